use super::*;
use crate::database::{Database, Value};

fn filters() -> Vec<(&'static str, RequestFilter)> {
    let time = Some(UnixMicros(1_800_000_000_000_000));
    let all = RequestFilter::default;
    let (by_time, by_stream) = ("request_records_by_time", "request_records_by_stream");
    let team = Some(tollgate_core::TeamId::generate());
    let key = Some(KeyId::generate());
    vec![
        (by_time, all()),
        (by_time, RequestFilter { from: time, to: time, ..all() }),
        (by_time, RequestFilter { project_id: Some(ProjectId::generate()), ..all() }),
        (
            by_time,
            RequestFilter { model: Some("m".into()), status_class: Some(StatusClass::Success), ..all() },
        ),
        ("request_records_by_error", RequestFilter { status_class: Some(StatusClass::ServerError), ..all() }),
        ("request_records_by_error", RequestFilter { status_class: Some(StatusClass::ClientError), ..all() }),
        (by_stream, RequestFilter { stream: Some(true), ..all() }),
        (by_stream, RequestFilter { provider_id: Some(ProviderId::generate()), stream: Some(true), ..all() }),
        (by_time, RequestFilter { provider_id: Some(ProviderId::generate()), ..all() }),
        (by_time, RequestFilter { outcome: Some(Outcome::Failed), min_cost: Some(NanoUsd::new(1)), ..all() }),
        (by_time, RequestFilter { team_id: team, ..all() }),
        (by_time, RequestFilter { team_id: team, from: time, model: Some("m".into()), ..all() }),
        ("request_records_by_key", RequestFilter { key_id: key, ..all() }),
        (
            "request_records_by_key",
            RequestFilter { key_id: key, to: time, outcome: Some(Outcome::Failed), ..all() },
        ),
    ]
}

async fn plan(database: &Database, query: &Query<'_>) -> Vec<String> {
    let sql = sqlx::AssertSqlSafe(format!("EXPLAIN QUERY PLAN {}", query.sql().as_str()));
    let values: &[Value<'_>] = query.values();
    let rows = database.rows(sql, values).await.unwrap();
    rows.iter().map(|row| row.get::<String>("detail").unwrap()).collect()
}

#[tokio::test]
async fn no_list_of_requests_scans_or_sorts_the_table() {
    let directory = tempfile::tempdir().unwrap();
    let database = Database::open(directory.path().join("store.db").to_str().unwrap()).await.unwrap();
    let organization_id = OrganizationId::generate();
    let cursor = Cursor { at: 1_800_000_000_000_000, id: uuid::Uuid::now_v7() };
    for after in [None, Some(cursor)] {
        for (index, filter) in filters() {
            let list = List { organization_id, filter: &filter, after, is_postgres: false };
            let days = plan(&database, &list.days_query(list.bounds(), 2)).await;
            let found =
                days.iter().any(|line| line.contains("PRIMARY KEY (organization_id=? AND day>? AND day<?)"));
            assert!(found && days.len() == 1, "{days:?}");
            let hours = plan(&database, &list.hours_query(list.bounds(), &[20_000 * DAY_US])).await;
            let found = hours.iter().any(|line| {
                line.contains("SEARCH hourly USING PRIMARY KEY (organization_id=? AND hour=? AND team_id=?")
                    && line.contains("outcome=?")
            });
            assert!(found && hours.iter().all(|line| !line.contains("SCAN usage")), "{hours:?}");
            let query = list.rows_query(list.bounds(), 100);
            let plan = plan(&database, &query).await;
            let found = plan.iter().any(|line| line.starts_with("SEARCH records") && line.contains(index));
            assert!(found, "{index}: {plan:?}");
            assert!(plan.iter().all(|line| !line.starts_with("SCAN")), "{plan:?}");
            assert!(plan.iter().all(|line| !line.ends_with("TEMP B-TREE FOR ORDER BY")), "{plan:?}");
            assert!(plan.iter().any(|line| line.contains("started_at>? AND started_at<?")), "{plan:?}");
        }
    }
    database.close().await;
}

#[test]
fn hours_that_follow_each_other_are_one_window() {
    let hour = |number: i64| number * HOUR_US;
    assert_eq!(windows(&[]), []);
    let found = windows(&[hour(9), hour(8), hour(5), hour(1), hour(0)]);
    assert_eq!(found, [hour(8)..hour(10), hour(5)..hour(6), hour(0)..hour(2)]);
}
