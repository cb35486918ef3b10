//! Throw-away databases on the PostgreSQL server that the test run was given.

use std::net::SocketAddr;

use anyhow::{Context, Result};
use sqlx::{AssertSqlSafe, Connection, PgConnection};

/// Where `cargo xtask test` says its server is.
const SERVER: &str = "TOLLGATE_TEST_POSTGRES_URL";

/// An empty database of its own.
#[derive(Debug)]
pub struct PostgresDatabase {
    /// For `--database`.
    pub url: String,
    server: String,
    name: String,
}

impl PostgresDatabase {
    /// Makes one; none, and a note, when the run has no server.
    ///
    /// # Errors
    /// When the server refuses.
    pub async fn create() -> Result<Option<Self>> {
        let Ok(server) = std::env::var(SERVER) else {
            #[allow(clippy::print_stdout, reason = "a test that does not run says why")]
            {
                println!("not run on PostgreSQL: {SERVER} is not set");
            }
            return Ok(None);
        };
        let name = format!("tollgate_test_{}", uuid::Uuid::now_v7().simple());
        let base = server.rsplit_once('/').with_context(|| format!("{SERVER} names no database"))?.0;
        let url = format!("{base}/{name}");
        execute(&server, format!("CREATE DATABASE {name}")).await?;
        Ok(Some(Self { url, server, name }))
    }

    /// Where its server listens.
    ///
    /// # Panics
    /// When the run's server has no address in its URL.
    #[allow(clippy::expect_used, reason = "a test that is set up wrong fails")]
    pub fn address(&self) -> SocketAddr {
        let server = self.authority().rsplit('@').next().unwrap_or_default().to_owned();
        server.replace("localhost", "127.0.0.1").parse().expect("the server's URL has host and port")
    }

    /// Its URL, but by way of another address.
    pub fn url_through(&self, address: SocketAddr) -> String {
        let authority = self.authority();
        let user = authority.rsplit_once('@').map_or(String::new(), |(user, _)| format!("{user}@"));
        self.url.replacen(authority, &format!("{user}{address}"), 1)
    }

    fn authority(&self) -> &str {
        let rest = self.url.split_once("://").map_or("", |(_, rest)| rest);
        rest.split('/').next().unwrap_or_default()
    }

    /// Removes it, whoever is still connected.
    ///
    /// # Errors
    /// When the server refuses.
    pub async fn remove(self) -> Result<()> {
        execute(&self.server, format!("DROP DATABASE {} WITH (FORCE)", self.name)).await
    }
}

async fn execute(server: &str, statement: String) -> Result<()> {
    let mut connection =
        PgConnection::connect(server).await.context("connecting to the tests' PostgreSQL")?;
    sqlx::query(AssertSqlSafe(statement)).execute(&mut connection).await?;
    connection.close().await?;
    Ok(())
}
