//! Organizations, the roots of the tree.

use schemars::JsonSchema;
use serde::Deserialize;
use tollgate_access::authorize::{TreeRead, TreeWrite};
use tollgate_core::OrganizationId;
use tollgate_state::objects::Organization;
use tollgate_store::Page;

use super::paging::page;
use crate::call::{Call, Nothing};
use crate::problem::Problem;

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct OrganizationPath {
    organization_id: OrganizationId,
}

/// A page of all organizations.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct OrganizationsQuery {
    /// `next` of the page before.
    cursor: Option<String>,
    /// Items per page, 1 to 500.
    limit: Option<u32>,
}

/// The name of an object as it shall be.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Named {
    pub(crate) name: String,
}

pub(crate) async fn list(
    call: Call<TreeRead, Nothing, OrganizationsQuery>,
) -> Result<Page<Organization>, Problem> {
    let request = page(call.query.cursor.as_deref(), call.query.limit)?;
    Ok(call.plane.installation()?.store.list_organizations(&call.proof, request).await?)
}

pub(crate) async fn create(call: Call<TreeWrite, Nothing, Nothing, Named>) -> Result<Organization, Problem> {
    let created = call.plane.installation()?.store.create_organization(&call.proof, &call.body.name).await?;
    call.plane.publish().await;
    Ok(created)
}

pub(crate) async fn get(call: Call<TreeRead, OrganizationPath>) -> Result<Organization, Problem> {
    Ok(call.plane.installation()?.store.get_organization(&call.proof, call.path.organization_id).await?)
}

pub(crate) async fn rename(
    call: Call<TreeWrite, OrganizationPath, Nothing, Named>,
) -> Result<Organization, Problem> {
    let store = &call.plane.installation()?.store;
    Ok(store.rename_organization(&call.proof, call.path.organization_id, &call.body.name).await?)
}

pub(crate) async fn delete(call: Call<TreeWrite, OrganizationPath>) -> Result<Nothing, Problem> {
    call.plane.installation()?.store.delete_organization(&call.proof, call.path.organization_id).await?;
    call.plane.publish().await;
    Ok(Nothing {})
}
