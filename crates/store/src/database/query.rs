//! SQL that is put together from parts known at compile time; what users sent travels as values only.

use sqlx::{AssertSqlSafe, SqlSafeStr, SqlStr};

use super::value::Value;

#[derive(Debug, Default)]
pub(crate) struct Query<'a> {
    sql: String,
    values: Vec<Value<'a>>,
}

impl<'a> Query<'a> {
    pub(crate) fn new(sql: &'static str) -> Self {
        Self { sql: sql.to_owned(), values: Vec::new() }
    }

    pub(crate) fn push(&mut self, sql: &'static str) -> &mut Self {
        self.sql.push_str(sql);
        self
    }

    /// A placeholder for a value.
    pub(crate) fn bind(&mut self, value: impl Into<Value<'a>>) -> &mut Self {
        self.values.push(value.into());
        self.sql.push('$');
        self.sql.push_str(&self.values.len().to_string());
        self
    }

    /// ` AND <column> = $n` when there is a value.
    pub(crate) fn filter<V: Into<Value<'a>>>(
        &mut self,
        comparison: &'static str,
        value: Option<V>,
    ) -> &mut Self {
        if let Some(value) = value {
            self.push(" AND ").push(comparison).push(" ").bind(value);
        }
        self
    }

    pub(crate) fn sql(&self) -> SqlStr {
        // Made of `&'static str` parts and placeholders.
        AssertSqlSafe(self.sql.clone()).into_sql_str()
    }

    pub(crate) fn values(&self) -> &[Value<'a>] {
        &self.values
    }
}
