//! What lists have in common.

use schemars::JsonSchema;
use serde::Deserialize;
use tollgate_access::authorize::TreeRead;
use tollgate_access::{Permission, Proof};
use tollgate_core::OrganizationId;
use tollgate_store::{Cursor, Page, PageRequest, Store};

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

/// The named organization, or the only one there is.
pub(crate) async fn organization<P: Permission>(
    store: &Store,
    proof: &Proof<P>,
    named: Option<OrganizationId>,
) -> Result<OrganizationId, Problem> {
    if let Some(id) = named {
        return Ok(id);
    }
    let proof = proof.actor().authorize::<TreeRead>(proof.scope())?;
    let two = PageRequest { after: None, limit: 2 };
    match store.list_organizations(&proof, two).await?.items.as_slice() {
        [only] => Ok(only.id),
        [] => Err(Problem::invalid(
            "organization_id",
            "must be given: there is no organization yet, make one first",
        )),
        _ => Err(Problem::invalid("organization_id", "must be given: there are several organizations")),
    }
}

/// The same page of something else.
pub(crate) fn map_page<T, U>(page: Page<T>, map: impl FnMut(T) -> U) -> Page<U> {
    Page { items: page.items.into_iter().map(map).collect(), next: page.next }
}
