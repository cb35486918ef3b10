//! What can go wrong, told apart by who has to act.

use std::fmt;

use serde::{Deserialize, Serialize};
use tollgate_core::InstanceId;
use tollgate_ledger::journal::Position;

/// The kinds of objects that names, changes and errors speak of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ObjectKind {
    Organization,
    Team,
    Project,
    Provider,
    Model,
    Deployment,
    Key,
    Credential,
    AdminToken,
    Request,
    Budget,
    /// A temporary increase of a budget.
    Increase,
    Limit,
    Webhook,
    Instance,
}

impl ObjectKind {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Organization => "organization",
            Self::Team => "team",
            Self::Project => "project",
            Self::Provider => "provider",
            Self::Model => "model",
            Self::Deployment => "deployment",
            Self::Key => "key",
            Self::Credential => "credential",
            Self::AdminToken => "admin_token",
            Self::Request => "request",
            Self::Budget => "budget",
            Self::Increase => "increase",
            Self::Limit => "limit",
            Self::Webhook => "webhook",
            Self::Instance => "instance",
        }
    }
}

impl fmt::Display for ObjectKind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// Why the store did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database's fault: cannot be reached, is locked, full or shutting down. Asking again can help.
    #[error("the database is unavailable: {source}")]
    Unavailable { source: sqlx::Error },
    /// The server answered and does not let us in.
    #[error("the database refuses the connection: {0}; check user, password and database name in its URL")]
    Refused(#[source] sqlx::Error),
    /// Nothing with this id exists, or it belongs to somebody else; the two are not told apart.
    #[error("there is no {kind} `{id}`")]
    NotFound { kind: ObjectKind, id: String },
    #[error("the name `{name}` is already taken by another {kind}; choose another one")]
    NameTaken { kind: ObjectKind, name: String },
    #[error("the {kind} `{name}` is owned by configuration files; change it there")]
    OwnedByFiles { kind: ObjectKind, name: String },
    #[error(
        "the {kind} `{name}` was made through the API; change it there, or delete it and apply the files again"
    )]
    OwnedByApi { kind: ObjectKind, name: String },
    #[error("the {kind} `{name}` is still used by {}; remove these first", used_by.join(", "))]
    InUse { kind: ObjectKind, name: String, used_by: Vec<String> },
    #[error("the key `{name}` is revoked, which cannot be undone; make a new key")]
    Revoked { name: String },
    #[error("`{field}` of the {kind} `{name}` cannot change; delete it and make a new one")]
    Immutable { kind: ObjectKind, name: String, field: &'static str },
    /// A later run of the process is there, or this one was declared lost.
    #[error(
        "run {epoch} of `{instance_id}` was followed by another one or declared lost; it may lease nothing"
    )]
    Fenced { instance_id: InstanceId, epoch: u64 },
    #[error(
        "`{instance_id}` holds leases that run out in {seconds} s at the earliest; stop it and try again then"
    )]
    LeasesInUse { instance_id: InstanceId, seconds: i64 },
    #[error("`{field}` {reason}")]
    Invalid { field: &'static str, reason: String },
    /// Somebody else shipped in between; go on from `stored`.
    #[error("the journal was shipped up to epoch {} offset {}, not to where this batch begins", stored.epoch, stored.offset)]
    PositionMismatch { stored: Position },
    #[error("the target already has data in `{table}`; copy into an empty database")]
    TargetNotEmpty { table: &'static str },
    #[error(
        "`{table}` has {source_rows} rows in the source and {target_rows} in the target; the copy was undone"
    )]
    CopyIncomplete { table: &'static str, source_rows: i64, target_rows: i64 },
    #[error("{operation} is only possible on {on}")]
    WrongDatabase { operation: &'static str, on: &'static str },
    /// A stored value that this version cannot read.
    #[error("the stored value of `{column}` cannot be read: {reason}")]
    Unreadable { column: &'static str, reason: String },
    #[error("the database's schema cannot be brought up to date: {0}")]
    Migration(#[source] sqlx::migrate::MigrateError),
    /// A statement failed for a reason that asking again does not change: a bug, or a damaged database.
    #[error("the database refused a statement: {0}")]
    Database(#[source] sqlx::Error),
}

impl StoreError {
    pub(crate) fn not_found(kind: ObjectKind, id: impl fmt::Display) -> Self {
        Self::NotFound { kind, id: id.to_string() }
    }

    /// Whether the failure is the database's and may pass: a 503, never a 401 or 404.
    pub const fn is_unavailable(&self) -> bool {
        matches!(self, Self::Unavailable { .. })
    }

    pub(crate) fn is_unique_violation(&self) -> bool {
        matches!(self, Self::Database(sqlx::Error::Database(error)) if error.is_unique_violation())
    }
}

impl From<sqlx::Error> for StoreError {
    fn from(source: sqlx::Error) -> Self {
        if is_passing(&source) { Self::Unavailable { source } } else { Self::Database(source) }
    }
}

fn is_passing(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(_)
        | sqlx::Error::Tls(_)
        | sqlx::Error::PoolTimedOut
        | sqlx::Error::PoolClosed
        | sqlx::Error::WorkerCrashed
        | sqlx::Error::BeginFailed => true,
        sqlx::Error::Database(error) => {
            let postgres = error.try_downcast_ref::<sqlx::postgres::PgDatabaseError>().is_some();
            error.code().is_some_and(|code| {
                if postgres { is_passing_postgres(&code) } else { is_passing_sqlite(&code) }
            })
        }
        _ => false,
    }
}

/// SQLSTATE classes: connection, resources, operator intervention, system error, and conflicts between transactions.
fn is_passing_postgres(code: &str) -> bool {
    ["08", "53", "57", "58"].iter().any(|class| code.starts_with(class))
        || matches!(code, "25006" | "40001" | "40P01")
}

/// BUSY, LOCKED, NOMEM, READONLY, IOERR, FULL and CANTOPEN, in their extended forms too.
fn is_passing_sqlite(code: &str) -> bool {
    code.parse::<u32>().is_ok_and(|code| matches!(code & 0xff, 5 | 6 | 7 | 8 | 10 | 13 | 14))
}
