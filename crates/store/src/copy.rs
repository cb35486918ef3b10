//! Moving an installation from one database to another, usually from SQLite to PostgreSQL.

use std::borrow::Cow;

use futures_util::TryStreamExt;
use sqlx::{AssertSqlSafe, Postgres, Sqlite};
use uuid::Uuid;

use crate::database::{Row, Transaction, Value, values};
use crate::error::StoreError;
use crate::schema::{ColumnInfo, ColumnKind, TABLES, columns, count};
use crate::store::Store;

const ROWS_AT_ONCE: usize = 100;

impl Store {
    /// Copies all tables into an empty store, in one transaction, and compares the number of rows. Returns it.
    /// Nothing may write to either store meanwhile.
    pub async fn copy_to(&self, target: &Self) -> Result<u64, StoreError> {
        let mut from = self.database.begin_read().await?;
        let mut to = target.database.begin().await?;
        for table in TABLES {
            // An empty store has one row of its own: the version counter, still at zero.
            let used = match table {
                "versions" => {
                    to.row("SELECT version FROM versions WHERE version > 0", values![]).await?.is_some()
                }
                _ => count(&mut to, table).await? > 0,
            };
            if used {
                return Err(StoreError::TargetNotEmpty { table });
            }
        }
        to.execute("DELETE FROM versions", values![]).await?;
        let mut total = 0;
        for table in TABLES {
            // PostgreSQL tells apart what SQLite stores alike.
            let typed = if target.database.is_postgres() { &mut to } else { &mut from };
            let columns = columns(typed, table).await?;
            copy_table(&mut from, &mut to, table, &columns).await?;
            let (source_rows, target_rows) = (count(&mut from, table).await?, count(&mut to, table).await?);
            if source_rows != target_rows {
                return Err(StoreError::CopyIncomplete { table, source_rows, target_rows });
            }
            total += u64::try_from(target_rows).unwrap_or(0);
        }
        to.commit().await?;
        Ok(total)
    }
}

async fn copy_table(
    from: &mut Transaction,
    to: &mut Transaction,
    table: &'static str,
    columns: &[ColumnInfo],
) -> Result<(), StoreError> {
    let names = columns.iter().map(|column| format!("\"{}\"", column.name)).collect::<Vec<_>>().join(", ");
    // Names come from the database's own description of tables that the migrations made.
    let select = AssertSqlSafe(format!("SELECT {names} FROM {table}"));
    let mut pending: Vec<Value<'static>> = Vec::with_capacity(ROWS_AT_ONCE * columns.len());
    match from {
        Transaction::Sqlite(source) => {
            let mut rows = sqlx::query::<Sqlite>(select).fetch(&mut **source);
            while let Some(row) = rows.try_next().await? {
                push_row(&mut pending, &Row::Sqlite(row), columns)?;
                flush_if_full(to, table, &names, columns.len(), &mut pending).await?;
            }
        }
        Transaction::Postgres(source) => {
            let mut rows = sqlx::query::<Postgres>(select).fetch(&mut **source);
            while let Some(row) = rows.try_next().await? {
                push_row(&mut pending, &Row::Postgres(row), columns)?;
                flush_if_full(to, table, &names, columns.len(), &mut pending).await?;
            }
        }
    }
    flush(to, table, &names, columns.len(), &mut pending).await
}

async fn flush_if_full(
    to: &mut Transaction,
    table: &'static str,
    names: &str,
    width: usize,
    pending: &mut Vec<Value<'static>>,
) -> Result<(), StoreError> {
    if pending.len() < ROWS_AT_ONCE * width {
        return Ok(());
    }
    flush(to, table, names, width, pending).await
}

async fn flush(
    to: &mut Transaction,
    table: &'static str,
    names: &str,
    width: usize,
    pending: &mut Vec<Value<'static>>,
) -> Result<(), StoreError> {
    if pending.is_empty() {
        return Ok(());
    }
    let mut sql = format!("INSERT INTO {table} ({names}) VALUES ");
    for index in 0..pending.len() {
        let separator = match (index, index % width) {
            (0, _) => "(",
            (_, 0) => "), (",
            _ => ", ",
        };
        sql.push_str(separator);
        sql.push_str(&format!("${}", index + 1));
    }
    sql.push(')');
    to.execute(AssertSqlSafe(sql), pending).await?;
    pending.clear();
    Ok(())
}

fn push_row(pending: &mut Vec<Value<'static>>, row: &Row, columns: &[ColumnInfo]) -> Result<(), StoreError> {
    for (index, column) in columns.iter().enumerate() {
        pending.push(match column.kind {
            ColumnKind::Integer => Value::Integer(row.at(index)?),
            ColumnKind::Boolean => Value::Boolean(row.at(index)?),
            ColumnKind::Text => Value::Text(row.at::<Option<String>>(index)?.map(Cow::Owned)),
            ColumnKind::Bytes => Value::Bytes(row.at::<Option<Vec<u8>>>(index)?.map(Cow::Owned)),
            ColumnKind::Id => Value::Id(row.at::<Option<Uuid>>(index)?),
        });
    }
    Ok(())
}
