//! A control-plane write: the change itself, its audit event, its row in the change log and the new version, in one
//! transaction.

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value as Json;
use tollgate_access::{Actor, ActorKind};
use tollgate_core::{AuditEventId, OrganizationId, UnixMicros};
use tollgate_state::objects::Owner;
use uuid::Uuid;

use crate::audit::Action;
use crate::database::{Transaction, values};
use crate::error::{ObjectKind, StoreError};
use crate::settings;
use crate::store::Store;

/// Changes of one or many objects under one new version, all or none of them.
///
/// Holds the lock on the version row, so that control-plane writes happen one after the other, also those of other
/// processes. Dropped without [`Self::commit`], it leaves no trace.
#[derive(Debug)]
pub struct Write {
    pub(crate) transaction: Transaction,
    pub(crate) now: UnixMicros,
    version: u64,
    actor: ActorKind,
    recorded: u64,
    settings_changed: bool,
}

/// What an audit event says about a change. `before` and `after` must not contain secrets.
#[derive(Debug)]
pub(crate) struct Changed<'a> {
    pub(crate) kind: ObjectKind,
    pub(crate) id: Uuid,
    pub(crate) name: &'a str,
    pub(crate) organization_id: Option<OrganizationId>,
    pub(crate) action: Action,
    pub(crate) before: Option<Json>,
    pub(crate) after: Option<Json>,
}

impl Store {
    /// Waits for the write that is under way and begins the next one. Whoever makes changes in it proves that this actor
    /// may, and asks nothing else of the store until it ends: on SQLite there is one writer.
    pub async fn begin_write(&self, actor: &Actor) -> Result<Write, StoreError> {
        let mut transaction = self.database.begin().await?;
        let row = transaction
            .row("UPDATE versions SET version = version + 1 WHERE id = 1 RETURNING version", values![])
            .await?
            .ok_or(StoreError::Unreadable {
                column: "versions.version",
                reason: "the row is missing".into(),
            })?;
        let version = row.unsigned("version")?;
        let (now, actor) = (self.now(), actor.kind().clone());
        Ok(Write { transaction, now, version, actor, recorded: 0, settings_changed: false })
    }
}

impl Write {
    /// Who owns what this actor makes.
    pub(crate) const fn owner(&self) -> Owner {
        match self.actor {
            ActorKind::ConfigurationFiles => Owner::File,
            ActorKind::Administrator(_) | ActorKind::System(_) => Owner::Api,
        }
    }

    /// Refuses to touch what the other side owns.
    pub(crate) fn check_owner(&self, kind: ObjectKind, name: &str, owner: Owner) -> Result<(), StoreError> {
        match (owner, self.owner()) {
            (Owner::File, Owner::Api) => Err(StoreError::OwnedByFiles { kind, name: name.to_owned() }),
            (Owner::Api, Owner::File) => Err(StoreError::OwnedByApi { kind, name: name.to_owned() }),
            _ => Ok(()),
        }
    }

    /// Writes the audit event and the row of the change log.
    pub(crate) async fn record(&mut self, changed: Changed<'_>) -> Result<(), StoreError> {
        const AUDIT: &str = "INSERT INTO audit_events (id, organization_id, at, actor, action, target_kind, \
            target_id, target_name, version, before, after) \
            VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)";
        const CHANGE: &str = "INSERT INTO changes (version, kind, object_id, deleted) VALUES ($1, $2, $3, $4) \
            ON CONFLICT DO NOTHING";
        let audit = values![
            AuditEventId::generate(),
            changed.organization_id,
            self.now,
            json_text(&self.actor)?,
            changed.action.as_str(),
            changed.kind.as_str(),
            changed.id,
            changed.name,
            self.version,
            changed.before.as_ref().map(Json::to_string),
            changed.after.as_ref().map(Json::to_string),
        ];
        self.transaction.execute(AUDIT, audit).await?;
        let deleted = matches!(changed.action, Action::Delete | Action::Revoke);
        let change = values![self.version, changed.kind.as_str(), changed.id, deleted];
        self.transaction.execute(CHANGE, change).await?;
        self.recorded += 1;
        Ok(())
    }

    /// How many changes were made so far, each with its audit event.
    pub const fn recorded(&self) -> u64 {
        self.recorded
    }

    /// Makes the changes visible. Without any, there is no new version.
    pub async fn commit(self) -> Result<(), StoreError> {
        if self.recorded == 0 && !self.settings_changed {
            return Ok(());
        }
        self.transaction.commit().await
    }

    /// As [`Store::system_setting`], within the write.
    pub async fn system_setting<T: DeserializeOwned>(&mut self, name: &str) -> Result<Option<T>, StoreError> {
        settings::get(&mut self.transaction, name).await
    }

    /// As [`Store::system_set_setting`], within the write.
    pub async fn system_set_setting<T: Serialize>(
        &mut self,
        name: &str,
        value: &T,
    ) -> Result<(), StoreError> {
        self.settings_changed = true;
        settings::set(&mut self.transaction, name, value).await
    }

    /// Runs an INSERT or UPDATE that may collide with an existing name.
    pub(crate) async fn execute_named(
        &mut self,
        kind: ObjectKind,
        name: &str,
        sql: &'static str,
        arguments: &[crate::database::Value<'_>],
    ) -> Result<(), StoreError> {
        match self.transaction.execute(sql, arguments).await {
            Err(error) if error.is_unique_violation() => {
                Err(StoreError::NameTaken { kind, name: name.to_owned() })
            }
            other => other.map(|_| ()),
        }
    }
}

/// An enum without fields as the word it serialises to; [`crate::database::Row::word`] reads it.
pub(crate) fn word_text<T: Serialize>(value: &T) -> Result<String, StoreError> {
    match json(value)? {
        Json::String(word) => Ok(word),
        other => Err(StoreError::Database(sqlx::Error::Encode(format!("`{other}` is not a word").into()))),
    }
}

/// The JSON text of what this program can always serialise.
pub(crate) fn json_text<T: Serialize>(value: &T) -> Result<String, StoreError> {
    serde_json::to_string(value).map_err(|error| StoreError::Database(sqlx::Error::Encode(error.into())))
}

pub(crate) fn json<T: Serialize>(value: &T) -> Result<Json, StoreError> {
    serde_json::to_value(value).map_err(|error| StoreError::Database(sqlx::Error::Encode(error.into())))
}
