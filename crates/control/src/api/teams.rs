//! Teams, which projects belong to.

use schemars::JsonSchema;
use serde::Deserialize;
use tollgate_access::authorize::{TreeRead, TreeWrite};
use tollgate_core::{OrganizationId, TeamId};
use tollgate_state::objects::Team;
use tollgate_store::{ObjectKind, Page};

use super::organizations::Named;
use super::paging::{ListQuery, organization, organization_to_fill, page};
use crate::call::{Call, Nothing};
use crate::problem::Problem;

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct TeamPath {
    team_id: TeamId,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewTeam {
    /// May be left out while there is only one organization.
    organization_id: Option<OrganizationId>,
    name: String,
}

pub(crate) async fn list(call: Call<TreeRead, Nothing, ListQuery>) -> Result<Page<Team>, Problem> {
    let store = &call.plane.installation()?.store;
    let request = page(call.query.cursor.as_deref(), call.query.limit)?;
    let organization_id = organization(store, &call.proof, call.query.organization_id).await?;
    Ok(store.list_teams(&call.proof, organization_id, request).await?)
}

pub(crate) async fn create(call: Call<TreeWrite, Nothing, Nothing, NewTeam>) -> Result<Team, Problem> {
    let store = &call.plane.installation()?.store;
    let organization_id = organization_to_fill(store, &call.proof, call.body.organization_id).await?;
    let created = store.create_team(&call.proof, organization_id, &call.body.name).await;
    created.map_err(|error| Problem::of_reference(error, &[(ObjectKind::Organization, "organization_id")]))
}

pub(crate) async fn get(call: Call<TreeRead, TeamPath>) -> Result<Team, Problem> {
    Ok(call.plane.installation()?.store.get_team(&call.proof, call.path.team_id).await?)
}

pub(crate) async fn rename(call: Call<TreeWrite, TeamPath, Nothing, Named>) -> Result<Team, Problem> {
    Ok(call.plane.installation()?.store.rename_team(&call.proof, call.path.team_id, &call.body.name).await?)
}

pub(crate) async fn delete(call: Call<TreeWrite, TeamPath>) -> Result<Nothing, Problem> {
    call.plane.installation()?.store.delete_team(&call.proof, call.path.team_id).await?;
    Ok(Nothing {})
}
