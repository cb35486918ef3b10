//! What lists have in common.

use schemars::JsonSchema;
use serde::Deserialize;
use tollgate_access::authorize::{TreeRead, TreeWrite};
use tollgate_access::{Permission, Proof};
use tollgate_core::OrganizationId;
use tollgate_store::{Cursor, Page, PageRequest, Store, StoreError};

use crate::problem::Problem;

/// The query of a plain list.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ListQuery {
    /// May be left out while there is only one organization.
    pub(crate) organization_id: Option<OrganizationId>,
    /// `next` of the page before.
    pub(crate) cursor: Option<String>,
    /// Items per page, 1 to 500.
    pub(crate) limit: Option<u32>,
}

/// The wanted page.
pub(crate) fn page(cursor: Option<&str>, limit: Option<u32>) -> Result<PageRequest, Problem> {
    let after = cursor.map(str::parse::<Cursor>).transpose()?;
    let limit = limit.unwrap_or(PageRequest::default().limit);
    if limit == 0 || limit > tollgate_store::MAX_PAGE {
        return Err(Problem::invalid("limit", format!("must be 1 to {}", tollgate_store::MAX_PAGE)));
    }
    Ok(PageRequest { after, limit })
}

/// What an installation's first organization is called where nobody named one.
const FIRST_ORGANIZATION: &str = "main";

/// The named organization, or the only one there is. Where there is none yet, an id that nothing has, so that lists are
/// empty.
pub(crate) async fn organization<P: Permission>(
    store: &Store,
    proof: &Proof<P>,
    named: Option<OrganizationId>,
) -> Result<OrganizationId, Problem> {
    match named {
        Some(id) => Ok(id),
        None => Ok(only(store, proof).await?.unwrap_or_else(OrganizationId::generate)),
    }
}

/// The named organization, or the only one there is, to make something in. Where there is none yet, it is made.
pub(crate) async fn organization_to_fill<P: Permission>(
    store: &Store,
    proof: &Proof<P>,
    named: Option<OrganizationId>,
) -> Result<OrganizationId, Problem> {
    if let Some(id) = named {
        return Ok(id);
    }
    if let Some(id) = only(store, proof).await? {
        return Ok(id);
    }
    let write = proof.actor().authorize::<TreeWrite>(proof.scope())?;
    match store.create_organization(&write, FIRST_ORGANIZATION).await {
        Ok(made) => Ok(made.id),
        // Another call was faster.
        Err(error @ StoreError::NameTaken { .. }) => Ok(only(store, proof).await?.ok_or(error)?),
        Err(error) => Err(error.into()),
    }
}

async fn only<P: Permission>(store: &Store, proof: &Proof<P>) -> Result<Option<OrganizationId>, Problem> {
    let proof = proof.actor().authorize::<TreeRead>(proof.scope())?;
    let two = PageRequest { after: None, limit: 2 };
    match store.list_organizations(&proof, two).await?.items.as_slice() {
        [] => Ok(None),
        [only] => Ok(Some(only.id)),
        _ => Err(Problem::invalid(
            "organization_id",
            "must be given, because there are several organizations: in the query of a list, in the body of what is made",
        )),
    }
}

/// The same page of something else.
pub(crate) fn map_page<T, U>(page: Page<T>, map: impl FnMut(T) -> U) -> Page<U> {
    Page { items: page.items.into_iter().map(map).collect(), next: page.next }
}
