//! Who changed what: the audit events.

use schemars::JsonSchema;
use serde::Deserialize;
use tollgate_access::authorize::AuditRead;
use tollgate_core::OrganizationId;
use tollgate_store::{AuditEvent, AuditFilter, ObjectKind, Page};
use uuid::Uuid;

use super::paging::page;
use crate::call::{Call, Nothing};
use crate::problem::Problem;

/// Which events are wanted.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct AuditQuery {
    /// Absent: of the whole installation.
    organization_id: Option<OrganizationId>,
    target_kind: Option<ObjectKind>,
    target_id: Option<Uuid>,
    /// `next` of the page before.
    cursor: Option<String>,
    /// Items per page, 1 to 500.
    limit: Option<u32>,
}

pub(crate) async fn list(call: Call<AuditRead, Nothing, AuditQuery>) -> Result<Page<AuditEvent>, Problem> {
    let query = &call.query;
    let request = page(query.cursor.as_deref(), query.limit)?;
    let filter = AuditFilter { target_kind: query.target_kind, target_id: query.target_id };
    let store = &call.plane.installation()?.store;
    Ok(store.list_audit_events(&call.proof, query.organization_id, filter, request).await?)
}
