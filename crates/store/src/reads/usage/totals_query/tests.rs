use super::*;
use crate::database::Database;
use crate::reads::usage::UsageFilter;

const DAY: i64 = 20_000 * DAY_US;

fn asked(from: i64, to: i64, group_by: &[Dimension]) -> UsageQuery {
    let (from, to) = (UnixMicros(from), UnixMicros(to));
    UsageQuery { from, to, group_by: group_by.to_vec(), filter: UsageFilter::default() }
}

#[test]
fn whole_days_are_read_as_days_and_the_ends_as_hours() {
    let parts_of = |from, to| parts(&asked(from, to, &[Dimension::Day]));
    let (hours, days) = (Part::Hours, Part::Days);
    let end = DAY + 3 * DAY_US;
    assert_eq!(parts_of(DAY, end), [days(DAY..end)]);
    assert_eq!(parts_of(DAY - 1, end + 1), [days(DAY..end), hours(DAY - HOUR_US..DAY), hours(end..end + 1)]);
    assert_eq!(parts_of(DAY + 1, end), [days(DAY..end)]);
    let second = DAY + DAY_US;
    assert_eq!(parts_of(DAY + HOUR_US, end), [days(second..end), hours(DAY + HOUR_US..second)]);
    assert_eq!(parts_of(DAY + HOUR_US, DAY + 2 * DAY_US - 1), [hours(DAY + HOUR_US..DAY + 2 * DAY_US - 1)]);
    assert_eq!(parts_of(DAY, DAY), [hours(DAY..DAY)]);
    assert_eq!(parts_of(end, DAY), [hours(end..DAY)]);
    assert_eq!(parts(&asked(DAY, end, &[Dimension::Hour])), [hours(DAY..end)]);
    for (from, to) in [(i64::MIN, i64::MAX), (i64::MAX, i64::MIN), (i64::MAX, i64::MAX), (-1, 1)] {
        assert!(!parts_of(from, to).is_empty());
    }
}

#[tokio::test]
async fn both_tables_are_searched_by_their_key() {
    let directory = tempfile::tempdir().unwrap();
    let database = Database::open(directory.path().join("store.db").to_str().unwrap()).await.unwrap();
    for group_by in [&[][..], &[Dimension::Day], &[Dimension::Team], &[Dimension::Day, Dimension::Model]] {
        let asked = asked(DAY - HOUR_US, DAY + 30 * DAY_US + HOUR_US, group_by);
        let query = totals_query(OrganizationId::generate(), &asked);
        let sql = sqlx::AssertSqlSafe(format!("EXPLAIN QUERY PLAN {}", query.sql().as_str()));
        let rows = database.rows(sql, query.values()).await.unwrap();
        let plan: Vec<String> = rows.iter().map(|row| row.get("detail").unwrap()).collect();
        let searches = |text: &str| plan.iter().filter(|line| line.starts_with(text)).count();
        let daily = "SEARCH usage_daily USING PRIMARY KEY (organization_id=? AND day>? AND day<?)";
        let hourly = "SEARCH usage_hourly USING PRIMARY KEY (organization_id=? AND hour>? AND hour<?)";
        assert_eq!((searches(daily), searches(hourly)), (1, 2), "{plan:?}");
        assert_eq!((searches("SCAN usage_daily"), searches("SCAN usage_hourly")), (0, 0), "{plan:?}");
    }
    database.close().await;
}
