//! The handle that the rest of the program holds.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use tollgate_access::{Permission, Proof};
use tollgate_core::{Clock, OrganizationId, SystemClock, UnixMicros};

use crate::database::{Database, create_private, values};
use crate::error::{ObjectKind, StoreError};

/// An open database. Cheap to clone.
#[derive(Clone)]
pub struct Store {
    pub(crate) database: Database,
    clock: Arc<dyn Clock>,
}

impl fmt::Debug for Store {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Store").field("kind", &self.kind()).finish_non_exhaustive()
    }
}

impl Store {
    /// Opens a `postgres://` URL or a path of an SQLite file, which is created when missing, and migrates the schema.
    pub async fn open(location: &str) -> Result<Self, StoreError> {
        Self::open_with_clock(location, Arc::new(SystemClock)).await
    }

    /// As [`Self::open`], with the time that stored objects get.
    pub async fn open_with_clock(location: &str, clock: Arc<dyn Clock>) -> Result<Self, StoreError> {
        Ok(Self { database: Database::open(location).await?, clock })
    }

    /// `sqlite` or `postgres`.
    pub const fn kind(&self) -> &'static str {
        match self.database {
            Database::Sqlite { .. } => "sqlite",
            Database::Postgres(_) => "postgres",
        }
    }

    /// Whether the database answers.
    pub async fn ready(&self) -> Result<(), StoreError> {
        self.system_version().await.map(|_| ())
    }

    /// Waits for running statements and closes all connections.
    pub async fn close(&self) {
        self.database.close().await;
    }

    /// Writes a consistent copy of an SQLite store to a file that must not exist yet, while the store is in use.
    pub async fn backup_to(&self, path: &Path) -> Result<(), StoreError> {
        let Database::Sqlite { reader, .. } = &self.database else {
            return Err(StoreError::WrongDatabase {
                operation: "a backup to a file",
                on: "SQLite; use pg_dump for PostgreSQL",
            });
        };
        let text = path
            .to_str()
            .ok_or_else(|| StoreError::Invalid { field: "path", reason: "is not valid UTF-8".into() })?;
        create_private(path)?;
        sqlx::query("VACUUM INTO $1").bind(text).execute(reader).await?;
        Ok(())
    }

    pub(crate) fn now(&self) -> UnixMicros {
        self.clock.now()
    }

    /// The counter that every control-plane write increments.
    pub async fn system_version(&self) -> Result<u64, StoreError> {
        let row = self.database.row("SELECT version FROM versions WHERE id = 1", values![]).await?;
        row.ok_or(StoreError::Unreadable { column: "versions.version", reason: "the row is missing".into() })?
            .unsigned("version")
    }
}

/// What is outside the proof's scope does not exist for its actor.
pub(crate) fn check_scope<P: Permission>(
    proof: &Proof<P>,
    organization_id: OrganizationId,
) -> Result<(), StoreError> {
    if proof.covers(organization_id) {
        Ok(())
    } else {
        Err(StoreError::not_found(ObjectKind::Organization, organization_id))
    }
}

/// A display name: not empty, not longer than 128 characters, nothing invisible at its ends or inside.
pub(crate) fn check_name(name: &str) -> Result<(), StoreError> {
    let bad = name.is_empty()
        || name.chars().count() > 128
        || name.trim() != name
        || name.chars().any(char::is_control);
    if bad {
        let reason = "must have 1 to 128 characters, no control characters and no space at its ends";
        return Err(StoreError::Invalid { field: "name", reason: reason.into() });
    }
    Ok(())
}
