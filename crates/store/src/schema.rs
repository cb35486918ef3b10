//! The tables, in an order in which they can be filled without breaking a reference.

use sqlx::AssertSqlSafe;

use crate::database::{Database, Transaction, values};
use crate::error::StoreError;

pub(crate) const TABLES: [&str; 28] = [
    "versions",
    "changes",
    "settings",
    "admin_tokens",
    "audit_events",
    "organizations",
    "teams",
    "projects",
    "providers",
    "models",
    "deployments",
    "keys",
    "credentials",
    "provider_objects",
    "shipping_positions",
    "request_records",
    "usage_records",
    "usage_hourly",
    "usage_daily",
    "budgets",
    "limits",
    "webhooks",
    "instances",
    "budget_balances",
    "budget_leases",
    "ledger_entries",
    "alerts",
    "alert_deliveries",
];

/// How a column's values travel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ColumnKind {
    Integer,
    Boolean,
    Text,
    Bytes,
    Id,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ColumnInfo {
    pub(crate) name: String,
    pub(crate) kind: ColumnKind,
    pub(crate) nullable: bool,
}

/// The columns of a table as the database describes them, ordered by name.
pub(crate) async fn columns(
    transaction: &mut Transaction,
    table: &'static str,
) -> Result<Vec<ColumnInfo>, StoreError> {
    const SQLITE: &str = "SELECT name, type AS kind, CASE WHEN \"notnull\" = 0 AND pk = 0 THEN 1 ELSE 0 END \
        AS nullable FROM pragma_table_info($1) ORDER BY name";
    const POSTGRES: &str = "SELECT column_name::text AS name, data_type::text AS kind, \
        is_nullable = 'YES' AS nullable FROM information_schema.columns \
        WHERE table_schema = current_schema() AND table_name = $1 ORDER BY column_name COLLATE \"C\"";
    let sql = match transaction {
        Transaction::Sqlite(_) => SQLITE,
        Transaction::Postgres(_) => POSTGRES,
    };
    transaction
        .rows(sql, values![table])
        .await?
        .iter()
        .map(|row| {
            let kind: String = row.get("kind")?;
            let kind = match kind.to_ascii_lowercase().as_str() {
                "integer" | "bigint" => ColumnKind::Integer,
                "boolean" => ColumnKind::Boolean,
                "text" => ColumnKind::Text,
                "blob" | "bytea" => ColumnKind::Bytes,
                "uuid" => ColumnKind::Id,
                other => {
                    return Err(StoreError::Unreadable { column: table, reason: format!("type {other}") });
                }
            };
            Ok(ColumnInfo { name: row.get("name")?, kind, nullable: row.get("nullable")? })
        })
        .collect()
}

pub(crate) async fn count(transaction: &mut Transaction, table: &'static str) -> Result<i64, StoreError> {
    // The name is one of `TABLES`.
    let row =
        transaction.row(AssertSqlSafe(format!("SELECT COUNT(*) AS rows FROM {table}")), values![]).await?;
    row.map_or(Ok(0), |row| row.get("rows"))
}

impl Database {
    pub(crate) const fn is_postgres(&self) -> bool {
        matches!(self, Self::Postgres(_))
    }
}
