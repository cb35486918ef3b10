//! Both migration folders describe the same tables.

use std::collections::BTreeMap;

use sqlx::{AssertSqlSafe, Connection, PgConnection, Row, SqliteConnection};

use crate::harness::{TestStore, on_both_databases};

type Columns = BTreeMap<(String, String), (String, bool)>;

async fn of_sqlite(location: &str) -> Columns {
    let mut connection = SqliteConnection::connect(location).await.unwrap();
    let tables = "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE '\\_sqlx%' ESCAPE '\\' \
        AND name NOT LIKE 'sqlite%'";
    let mut columns = Columns::new();
    for table in sqlx::query(tables).fetch_all(&mut connection).await.unwrap() {
        let table: String = table.get(0);
        let strict: i64 = sqlx::query_scalar("SELECT strict FROM pragma_table_list WHERE name = $1")
            .bind(&table)
            .fetch_one(&mut connection)
            .await
            .unwrap();
        assert_eq!(strict, 1, "{table} is not STRICT");
        let info = AssertSqlSafe(format!(
            "SELECT name, type, \"notnull\" = 0 AND pk = 0 FROM pragma_table_info('{table}')"
        ));
        for column in sqlx::query(info).fetch_all(&mut connection).await.unwrap() {
            let kind: String = column.get(1);
            columns.insert((table.clone(), column.get(0)), (kind.to_lowercase(), column.get(2)));
        }
    }
    columns
}

async fn of_postgres(location: &str) -> Columns {
    let mut connection = PgConnection::connect(location).await.unwrap();
    let sql = "SELECT table_name::text, column_name::text, data_type::text, is_nullable = 'YES' \
        FROM information_schema.columns WHERE table_schema = 'public' AND table_name NOT LIKE '\\_sqlx%'";
    let rows = sqlx::query(sql).fetch_all(&mut connection).await.unwrap();
    let kind = |text: String| match text.as_str() {
        "bigint" | "boolean" => "integer".to_owned(),
        "uuid" | "bytea" => "blob".to_owned(),
        other => other.to_owned(),
    };
    rows.iter().map(|row| ((row.get(0), row.get(1)), (kind(row.get(2)), row.get(3)))).collect()
}

on_both_databases! {
    async fn tables_and_columns_are_the_same(test) {
        let TestStore { store, location, directory, .. } = &test;
        let sqlite = if store.kind() == "sqlite" {
            location.clone()
        } else {
            let path = directory.path().join("other.db").display().to_string();
            tollgate_store::Store::open(&path).await.unwrap().close().await;
            path
        };
        let sqlite = of_sqlite(&sqlite).await;
        assert!(sqlite.len() > 150, "{}", sqlite.len());
        if store.kind() == "postgres" {
            assert_eq!(sqlite, of_postgres(location).await);
        }
    }
}

#[test]
fn migration_files_come_in_pairs() {
    let names = |folder: &str| {
        let path = format!("{}/migrations/{folder}", env!("CARGO_MANIFEST_DIR"));
        let mut names: Vec<_> =
            std::fs::read_dir(path).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        names
    };
    assert_eq!(names("sqlite"), names("postgres"));
}
