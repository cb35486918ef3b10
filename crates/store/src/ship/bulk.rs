//! Many rows per statement: a statement costs more than a row.

use std::sync::{Arc, OnceLock};

use sqlx::{AssertSqlSafe, SqlSafeStr, SqlStr};

use crate::database::{Row, Transaction, Value};
use crate::error::StoreError;

/// Rows per statement. Few sizes, so that each statement is prepared once and found again; powers of two, so that few
/// statements make up any number of rows.
const SIZES: [usize; 8] = [128, 64, 32, 16, 8, 4, 2, 1];

/// What to insert into.
#[derive(Debug)]
pub(super) struct BulkInsert {
    pub(super) table: &'static str,
    pub(super) columns: &'static [&'static str],
    pub(super) on_conflict: &'static str,
    sqlite: [OnceLock<Arc<str>>; SIZES.len()],
    postgres: [OnceLock<Arc<str>>; SIZES.len()],
}

impl BulkInsert {
    pub(super) const fn new(
        table: &'static str,
        columns: &'static [&'static str],
        on_conflict: &'static str,
    ) -> Self {
        Self {
            table,
            columns,
            on_conflict,
            sqlite: [const { OnceLock::new() }; SIZES.len()],
            postgres: [const { OnceLock::new() }; SIZES.len()],
        }
    }

    /// SQLite looks up a numbered placeholder in a list, which is slow for thousands of them; `?` needs no look-up.
    fn text(&self, transaction: &Transaction, size: usize, rows: usize) -> SqlStr {
        let numbered = matches!(transaction, Transaction::Postgres(_));
        let texts = if numbered { &self.postgres } else { &self.sqlite };
        let write = || self.write(rows, numbered).into();
        let text = texts.get(size).map_or_else(write, |text| Arc::clone(text.get_or_init(write)));
        // Made of constants and placeholders.
        AssertSqlSafe(text).into_sql_str()
    }

    fn write(&self, rows: usize, numbered: bool) -> String {
        let mut sql = format!("INSERT INTO {} ({}) VALUES ", self.table, self.columns.join(", "));
        for row in 0..rows {
            sql.push_str(if row == 0 { "(" } else { ", (" });
            for column in 0..self.columns.len() {
                if column > 0 {
                    sql.push_str(", ");
                }
                if numbered {
                    sql.push_str(&format!("${}", row * self.columns.len() + column + 1));
                } else {
                    sql.push('?');
                }
            }
            sql.push(')');
        }
        sql.push_str(" ON CONFLICT ");
        sql.push_str(self.on_conflict);
        sql
    }
}

/// As [`insert`], with the rows that the statement returns.
pub(super) async fn insert_returning(
    transaction: &mut Transaction,
    bulk: &BulkInsert,
    values: Vec<Value<'_>>,
) -> Result<Vec<Row>, StoreError> {
    let mut returned = Vec::new();
    for (index, rows, chunk) in chunks(&values, bulk.columns.len()) {
        returned.extend(transaction.rows(bulk.text(transaction, index, rows), chunk).await?);
    }
    Ok(returned)
}

/// Inserts rows whose values stand one after the other; returns how many were inserted or updated.
pub(super) async fn insert(
    transaction: &mut Transaction,
    bulk: &BulkInsert,
    values: Vec<Value<'_>>,
) -> Result<u64, StoreError> {
    let mut inserted = 0;
    for (index, rows, chunk) in chunks(&values, bulk.columns.len()) {
        inserted += transaction.execute(bulk.text(transaction, index, rows), chunk).await?;
    }
    Ok(inserted)
}

/// The values in as few statements as possible, each with the position of its size and its number of rows.
fn chunks<'v, 'a>(
    values: &'v [Value<'a>],
    width: usize,
) -> impl Iterator<Item = (usize, usize, &'v [Value<'a>])> {
    let mut remaining = values;
    std::iter::from_fn(move || {
        let fitting = |(_, rows): &(usize, usize)| rows * width <= remaining.len();
        let (index, rows) = SIZES.into_iter().enumerate().find(fitting)?;
        let (chunk, rest) = remaining.split_at_checked(rows * width)?;
        remaining = rest;
        (!chunk.is_empty()).then_some((index, rows, chunk))
    })
}
