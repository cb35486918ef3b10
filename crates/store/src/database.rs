//! One code base for two databases: the same SQL text with `$1` placeholders, typed values, rows by column name.

mod query;
mod row;
mod value;

use std::path::Path;
use std::str::FromStr;
use std::time::Duration;

use futures_util::TryStreamExt;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{ConnectOptions, Connection, PgConnection, PgPool, Postgres, SqlSafeStr, Sqlite, SqlitePool};

pub(crate) use query::Query;
pub(crate) use row::Row;
pub(crate) use value::{TypedId, Value, values};
use value::{postgres_arguments, sqlite_arguments};

use crate::error::StoreError;

const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(5);
const SQLITE_READERS: u32 = 4;
const POSTGRES_CONNECTIONS: u32 = 16;

/// SQLite has one writer at a time: a pool of one connection queues for it without busy waiting.
#[derive(Debug, Clone)]
pub(crate) enum Database {
    Sqlite { writer: SqlitePool, reader: SqlitePool },
    Postgres(PgPool),
}

impl Database {
    /// Connects and brings the schema up to date.
    pub(crate) async fn open(location: &str) -> Result<Self, StoreError> {
        let is_postgres = location.starts_with("postgres://") || location.starts_with("postgresql://");
        if is_postgres {
            return Self::open_postgres(location).await;
        }
        let path =
            location.strip_prefix("sqlite:").map_or(location, |rest| rest.strip_prefix("//").unwrap_or(rest));
        if let Some((scheme, _)) = path.split_once("://") {
            let reason = format!("must be a postgres:// URL or the path of an SQLite file, not {scheme}://");
            return Err(StoreError::Invalid { field: "database", reason });
        }
        Self::open_sqlite(Path::new(path)).await
    }

    async fn open_sqlite(path: &Path) -> Result<Self, StoreError> {
        match create_private(path) {
            Err(error) if error.is_unavailable() => return Err(error),
            // Made now, or there already.
            Ok(()) | Err(_) => {}
        }
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Normal)
            .busy_timeout(ACQUIRE_TIMEOUT)
            .foreign_keys(true)
            .pragma("wal_autocheckpoint", "4000")
            // The journal that undoes one statement; in files it costs as much as the insertion itself.
            .pragma("temp_store", "MEMORY")
            .pragma("journal_size_limit", "67108864")
            .disable_statement_logging();
        let writer = SqlitePoolOptions::new()
            .max_connections(1)
            .acquire_timeout(ACQUIRE_TIMEOUT)
            .idle_timeout(None)
            .max_lifetime(None)
            .test_before_acquire(false)
            .connect_with(options.clone().pragma("cache_size", "-8192"))
            .await?;
        sqlx::migrate!("./migrations/sqlite").run(&writer).await.map_err(migration_error)?;
        let reader = SqlitePoolOptions::new()
            .max_connections(SQLITE_READERS)
            .acquire_timeout(ACQUIRE_TIMEOUT)
            .test_before_acquire(false)
            .connect_with(options.create_if_missing(false).read_only(true))
            .await?;
        Ok(Self::Sqlite { writer, reader })
    }

    async fn open_postgres(url: &str) -> Result<Self, StoreError> {
        let options = PgConnectOptions::from_str(url).map_err(|error| invalid_url(&error))?;
        let options = options.application_name("tollgate").disable_statement_logging();
        try_postgres(&options).await?;
        let pool = PgPoolOptions::new()
            .max_connections(POSTGRES_CONNECTIONS)
            .acquire_timeout(ACQUIRE_TIMEOUT)
            .connect_with(options)
            .await?;
        sqlx::migrate!("./migrations/postgres").run(&pool).await.map_err(migration_error)?;
        Ok(Self::Postgres(pool))
    }

    pub(crate) async fn close(&self) {
        match self {
            Self::Sqlite { writer, reader } => {
                reader.close().await;
                writer.close().await;
            }
            Self::Postgres(pool) => pool.close().await,
        }
    }

    /// A transaction that may write; on SQLite it holds the write lock from its beginning.
    pub(crate) async fn begin(&self) -> Result<Transaction, StoreError> {
        Ok(match self {
            Self::Sqlite { writer, .. } => Transaction::Sqlite(writer.begin_with("BEGIN IMMEDIATE").await?),
            Self::Postgres(pool) => Transaction::Postgres(pool.begin().await?),
        })
    }

    /// A transaction that sees one state of the database throughout.
    pub(crate) async fn begin_read(&self) -> Result<Transaction, StoreError> {
        const POSTGRES: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";
        Ok(match self {
            Self::Sqlite { reader, .. } => Transaction::Sqlite(reader.begin().await?),
            Self::Postgres(pool) => Transaction::Postgres(pool.begin_with(POSTGRES).await?),
        })
    }

    /// Reads outside a transaction.
    pub(crate) async fn rows(
        &self,
        sql: impl SqlSafeStr,
        values: &[Value<'_>],
    ) -> Result<Vec<Row>, StoreError> {
        Ok(match self {
            Self::Sqlite { reader, .. } => {
                let query = sqlx::query_with::<Sqlite, _>(sql, sqlite_arguments(values)?);
                query.fetch_all(reader).await?.into_iter().map(Row::Sqlite).collect()
            }
            Self::Postgres(pool) => {
                let query = sqlx::query_with::<Postgres, _>(sql, postgres_arguments(values)?);
                query.fetch_all(pool).await?.into_iter().map(Row::Postgres).collect()
            }
        })
    }

    pub(crate) async fn row(
        &self,
        sql: impl SqlSafeStr,
        values: &[Value<'_>],
    ) -> Result<Option<Row>, StoreError> {
        Ok(self.rows(sql, values).await?.into_iter().next())
    }
}

fn invalid_url(error: &sqlx::Error) -> StoreError {
    let reason = format!("is not a PostgreSQL URL like postgres://user@host/name: {error}");
    StoreError::Invalid { field: "database", reason }
}

/// One connection before there is a pool: the pool tries again and again, and in the end knows only that time is over.
async fn try_postgres(options: &PgConnectOptions) -> Result<(), StoreError> {
    let connecting = tokio::time::timeout(ACQUIRE_TIMEOUT, PgConnection::connect_with(options));
    match connecting.await {
        Ok(Ok(connection)) => Ok(connection.close().await?),
        Ok(Err(error)) => Err(match StoreError::from(error) {
            StoreError::Database(error) => StoreError::Refused(error),
            other => other,
        }),
        Err(_) => Err(StoreError::from(sqlx::Error::Io(std::io::ErrorKind::TimedOut.into()))),
    }
}

/// Makes an empty file that only its owner can read; SQLite gives the files beside it the same rights.
pub(crate) fn create_private(path: &Path) -> Result<(), StoreError> {
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    match options.open(path) {
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
            Err(StoreError::Invalid { field: "path", reason: "exists already; name a new file".into() })
        }
        other => other.map(|_| ()).map_err(|error| StoreError::from(sqlx::Error::Io(error))),
    }
}

fn migration_error(error: sqlx::migrate::MigrateError) -> StoreError {
    match error {
        sqlx::migrate::MigrateError::Execute(source) => match StoreError::from(source) {
            StoreError::Database(source) => {
                StoreError::Migration(sqlx::migrate::MigrateError::Execute(source))
            }
            unavailable => unavailable,
        },
        other => StoreError::Migration(other),
    }
}

/// Rolls back when dropped.
#[derive(Debug)]
pub(crate) enum Transaction {
    Sqlite(sqlx::Transaction<'static, Sqlite>),
    Postgres(sqlx::Transaction<'static, Postgres>),
}

impl Transaction {
    /// What a SELECT ends with that locks the rows it returns; on SQLite the whole database is locked already.
    pub(crate) const fn for_update(&self) -> &'static str {
        match self {
            Self::Sqlite(_) => "",
            Self::Postgres(_) => " FOR UPDATE",
        }
    }

    /// As [`Self::for_update`], for rows that others may lock likewise but not change.
    pub(crate) const fn for_share(&self) -> &'static str {
        match self {
            Self::Sqlite(_) => "",
            Self::Postgres(_) => " FOR SHARE",
        }
    }

    /// As [`Self::for_update`], leaving out rows that somebody else has locked.
    pub(crate) const fn for_update_skip_locked(&self) -> &'static str {
        match self {
            Self::Sqlite(_) => "",
            Self::Postgres(_) => " FOR UPDATE SKIP LOCKED",
        }
    }

    /// Runs a statement and says how many rows it touched.
    pub(crate) async fn execute(
        &mut self,
        sql: impl SqlSafeStr,
        values: &[Value<'_>],
    ) -> Result<u64, StoreError> {
        Ok(match self {
            Self::Sqlite(transaction) => {
                let query = sqlx::query_with::<Sqlite, _>(sql, sqlite_arguments(values)?);
                query.execute(&mut **transaction).await?.rows_affected()
            }
            Self::Postgres(transaction) => {
                let query = sqlx::query_with::<Postgres, _>(sql, postgres_arguments(values)?);
                query.execute(&mut **transaction).await?.rows_affected()
            }
        })
    }

    pub(crate) async fn rows(
        &mut self,
        sql: impl SqlSafeStr,
        values: &[Value<'_>],
    ) -> Result<Vec<Row>, StoreError> {
        Ok(match self {
            Self::Sqlite(transaction) => {
                let query = sqlx::query_with::<Sqlite, _>(sql, sqlite_arguments(values)?);
                query.fetch_all(&mut **transaction).await?.into_iter().map(Row::Sqlite).collect()
            }
            Self::Postgres(transaction) => {
                let query = sqlx::query_with::<Postgres, _>(sql, postgres_arguments(values)?);
                query.fetch_all(&mut **transaction).await?.into_iter().map(Row::Postgres).collect()
            }
        })
    }

    pub(crate) async fn row(
        &mut self,
        sql: impl SqlSafeStr,
        values: &[Value<'_>],
    ) -> Result<Option<Row>, StoreError> {
        Ok(self.rows(sql, values).await?.into_iter().next())
    }

    /// Like [`Self::rows`], read one by one: database rows take several times the memory of what is read from them.
    pub(crate) async fn read_each<T>(
        &mut self,
        sql: impl SqlSafeStr,
        values: &[Value<'_>],
        read: fn(&Row) -> Result<T, StoreError>,
    ) -> Result<Vec<T>, StoreError> {
        let mut items = Vec::new();
        self.visit_each(sql, values, |row| {
            items.push(read(row)?);
            Ok(())
        })
        .await?;
        Ok(items)
    }

    /// Visits rows one by one, however many there are.
    pub(crate) async fn visit_each(
        &mut self,
        sql: impl SqlSafeStr,
        values: &[Value<'_>],
        mut visit: impl FnMut(&Row) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        match self {
            Self::Sqlite(transaction) => {
                let query = sqlx::query_with::<Sqlite, _>(sql, sqlite_arguments(values)?);
                let mut rows = query.fetch(&mut **transaction);
                while let Some(row) = rows.try_next().await? {
                    visit(&Row::Sqlite(row))?;
                }
            }
            Self::Postgres(transaction) => {
                let query = sqlx::query_with::<Postgres, _>(sql, postgres_arguments(values)?);
                let mut rows = query.fetch(&mut **transaction);
                while let Some(row) = rows.try_next().await? {
                    visit(&Row::Postgres(row))?;
                }
            }
        }
        Ok(())
    }

    pub(crate) async fn commit(self) -> Result<(), StoreError> {
        match self {
            Self::Sqlite(transaction) => transaction.commit().await?,
            Self::Postgres(transaction) => transaction.commit().await?,
        }
        Ok(())
    }
}
