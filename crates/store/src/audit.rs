//! Who changed what, newest first.

use serde::{Deserialize, Serialize};
use serde_json::Value as Json;
use tollgate_access::{ActorKind, Proof, authorize::AuditRead};
use tollgate_core::{AuditEventId, OrganizationId, UnixMicros};
use uuid::Uuid;

use crate::database::{Query, Row};
use crate::error::{ObjectKind, StoreError};
use crate::page::{Cursor, Page, PageRequest};
use crate::store::{Store, check_scope};

/// What was done to an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    Create,
    Update,
    Delete,
    Rotate,
    Revoke,
    WriteOff,
}

impl Action {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Update => "update",
            Self::Delete => "delete",
            Self::Rotate => "rotate",
            Self::Revoke => "revoke",
            Self::WriteOff => "write_off",
        }
    }
}

/// One change, with what the object was before and after; secrets are never part of it.
#[derive(Debug, Clone, PartialEq, Serialize, schemars::JsonSchema)]
pub struct AuditEvent {
    pub id: AuditEventId,
    /// Absent for what belongs to the installation, such as admin tokens.
    pub organization_id: Option<OrganizationId>,
    pub at: UnixMicros,
    pub actor: ActorKind,
    pub action: Action,
    pub target_kind: ObjectKind,
    pub target_id: Uuid,
    pub target_name: String,
    /// The version of the configuration that the change made.
    pub version: u64,
    pub before: Option<Json>,
    pub after: Option<Json>,
}

/// Which events are wanted.
#[derive(Debug, Clone, Copy, Default)]
pub struct AuditFilter {
    pub target_kind: Option<ObjectKind>,
    pub target_id: Option<Uuid>,
}

impl Store {
    /// Events of one organization, or of the whole installation when none is named.
    pub async fn list_audit_events(
        &self,
        proof: &Proof<AuditRead>,
        organization_id: Option<OrganizationId>,
        filter: AuditFilter,
        request: PageRequest,
    ) -> Result<Page<AuditEvent>, StoreError> {
        let mut query = Query::new("SELECT * FROM audit_events WHERE ");
        match organization_id {
            Some(organization_id) => {
                check_scope(proof, organization_id)?;
                query.push("organization_id = ").bind(organization_id);
            }
            None if proof.scope() == tollgate_access::Scope::Installation => {
                query.push("TRUE");
            }
            None => {
                return Err(StoreError::Invalid { field: "organization", reason: "must be named".into() });
            }
        }
        query.filter("target_kind =", filter.target_kind.map(ObjectKind::as_str));
        query.filter("target_id =", filter.target_id);
        query.filter("id <", request.after.map(|cursor| cursor.id));
        query.push(" ORDER BY id DESC LIMIT ").bind(request.rows_to_fetch());
        let rows = self.database.rows(query.sql(), query.values()).await?;
        let events = rows.iter().map(audit_event).collect::<Result<Vec<_>, _>>()?;
        Ok(request.page(events, |event| Cursor::of_id(event.id.as_uuid())))
    }
}

fn audit_event(row: &Row) -> Result<AuditEvent, StoreError> {
    Ok(AuditEvent {
        id: row.id("id")?,
        organization_id: row.optional_id("organization_id")?,
        at: row.time("at")?,
        actor: row.json("actor")?,
        action: row.word("action")?,
        target_kind: row.word("target_kind")?,
        target_id: row.get("target_id")?,
        target_name: row.get("target_name")?,
        version: row.unsigned("version")?,
        before: row.optional_json("before")?,
        after: row.optional_json("after")?,
    })
}
