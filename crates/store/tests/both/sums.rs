//! The daily sums against the hourly ones and against the records.

use sqlx::{AssertSqlSafe, Connection, PgConnection, SqliteConnection};
use tollgate_core::{NanoUsd, ProjectId, TokenUsage, UnixMicros};
use tollgate_ledger::journal::Position;
use tollgate_ledger::record::Settlement;
use tollgate_store::{Dimension, UsageFilter, UsageGroup, UsageQuery, UsageTotals};

use crate::harness::*;
use crate::records::{at, bare, full, shipment};

const HOUR: i64 = 3_600_000_000;
const DAY: i64 = 24 * HOUR;
const START: i64 = 20_000 * DAY;

/// Repeatable numbers (SplitMix64).
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % end
    }

    fn time(&mut self, days: u64) -> i64 {
        // Often near the turn of a day, where mistakes would be.
        match self.below(4) {
            0 => START + self.below(days) as i64 * DAY + [-1, 0, 1, HOUR - 1][self.below(4) as usize],
            _ => START + self.below(days * DAY as u64) as i64,
        }
    }

    fn settlement(&mut self, tree: &Tree) -> Settlement {
        let time = UnixMicros(self.time(6));
        if self.below(5) == 0 {
            return bare(tree, time);
        }
        let mut one = full(tree, time);
        let request = &mut one.request;
        request.principal.payer.project_id =
            [None, Some(ProjectId::from_bytes([2; 16]))][self.below(2) as usize];
        request.model = ["gpt-5.5", "gpt-5.5-mini", "other"][self.below(3) as usize].into();
        request.latency_us = self.below(10_000);
        request.time_to_first_token_us = [None, Some(self.below(500))][self.below(2) as usize];
        let cost = self.below(1 << 40) as i64;
        one.attempts[1].usage = TokenUsage { output: self.below(1_000), ..one.attempts[1].usage };
        one.attempts[1].cost = Some(NanoUsd::new(cost));
        one
    }
}

async fn ship_random(test: &TestStore, tree: &Tree, numbers: &mut Numbers) -> Vec<Settlement> {
    let mut all = Vec::new();
    let mut from = Position::START;
    for number in 1..=12 {
        let batch: Vec<_> = (0..1 + numbers.below(60)).map(|_| numbers.settlement(tree)).collect();
        test.store.system_ship(&shipment(from, at(number), &batch, &[])).await.unwrap();
        from = at(number);
        all.extend(batch);
    }
    all
}

/// What one statement gives, as text, from the database itself.
async fn raw(test: &TestStore, sql: &str) -> Vec<String> {
    let sql = AssertSqlSafe(sql.to_owned());
    if test.store.kind() == "sqlite" {
        let mut connection = SqliteConnection::connect(&test.location).await.unwrap();
        sqlx::query_scalar(sql).fetch_all(&mut connection).await.unwrap()
    } else {
        let mut connection = PgConnection::connect(&test.location).await.unwrap();
        sqlx::query_scalar(sql).fetch_all(&mut connection).await.unwrap()
    }
}

const DIMENSIONS: &str = "organization_id, team_id, project_id, key_id, model, provider_id, deployment_id, operation, \
    outcome";
const SUMS: [&str; 14] = [
    "requests",
    "attempts",
    "errors",
    "tokens_input",
    "tokens_cache_read",
    "tokens_cache_write",
    "tokens_cache_write_long",
    "tokens_output",
    "tokens_reasoning",
    "cost_nanos_usd",
    "unknown_cost_requests",
    "latency_us",
    "time_to_first_token_us",
    "time_to_first_token_count",
];

/// Every row of a table, or of the days that its hours make up, as one text each.
fn days_of(table: &str, day: &str) -> String {
    let text = |column: &str| format!("CAST({column} AS TEXT) || ' ' || ");
    let sums: String = SUMS.iter().map(|column| text(&format!("CAST(SUM({column}) AS BIGINT)"))).collect();
    let most = text("MAX(max_cost_nanos_usd)");
    let (model, day_text) = (text("model"), text(day));
    format!(
        "SELECT {sums}{most}{model}{day_text}outcome FROM {table} GROUP BY {day}, {DIMENSIONS} \
         ORDER BY {day}, {DIMENSIONS}"
    )
}

fn records_between(settlements: &[Settlement], from: i64, to: i64) -> UsageTotals {
    let first = from - from.rem_euclid(HOUR);
    let end = to + (-to).rem_euclid(HOUR);
    let mut totals = UsageTotals::default();
    let mut cost = 0;
    for one in settlements.iter().filter(|one| (first..end).contains(&one.request.started_at.0)) {
        let request = &one.request;
        totals.requests += 1;
        totals.errors += u64::from(one.attempts.is_empty());
        totals.unknown_cost_requests += u64::from(request.cost.is_none());
        totals.latency_us += request.latency_us;
        totals.time_to_first_token_us += request.time_to_first_token_us.unwrap_or(0);
        totals.time_to_first_token_count += u64::from(request.time_to_first_token_us.is_some());
        for attempt in &one.attempts {
            totals.attempts += 1;
            cost += attempt.cost.unwrap().get();
            let (sum, usage) = (&mut totals.tokens, attempt.usage);
            sum.input += usage.input;
            sum.cache_read += usage.cache_read;
            sum.cache_write += usage.cache_write;
            sum.cache_write_long += usage.cache_write_long;
            sum.output += usage.output;
            sum.reasoning += usage.reasoning;
        }
    }
    UsageTotals { cost_nanos_usd: NanoUsd::new(cost), ..totals }
}

async fn groups(
    test: &TestStore,
    tree: &Tree,
    from: i64,
    to: i64,
    group_by: &[Dimension],
) -> Vec<UsageGroup> {
    let (from, to) = (UnixMicros(from), UnixMicros(to));
    let query = UsageQuery { from, to, group_by: group_by.to_vec(), filter: UsageFilter::default() };
    test.store.usage(&admin(), tree.organization_id, &query).await.unwrap().groups
}

on_both_databases! {
    async fn days_are_the_sums_of_their_hours(test) {
        let tree = tree(&test.store).await;
        ship_random(&test, &tree, &mut Numbers(1)).await;
        let hourly = raw(&test, &days_of("usage_hourly", "(hour - hour % 86400000000)")).await;
        let daily = raw(&test, &days_of("usage_daily", "day")).await;
        assert!(daily.len() > 50, "{}", daily.len());
        assert_eq!(hourly, daily);
        let rows = raw(&test, "SELECT CAST(COUNT(*) AS TEXT) FROM usage_daily").await;
        assert_eq!(rows, [daily.len().to_string()], "one row for each day and group");
    }

    async fn ragged_ranges_count_each_record_once(test) {
        let tree = tree(&test.store).await;
        let mut numbers = Numbers(2);
        let settlements = ship_random(&test, &tree, &mut numbers).await;
        let mut ranges = vec![(START, START + 2 * DAY), (START - DAY, START + 7 * DAY), (START + 1, START + 2)];
        for _ in 0..40 {
            let (one, two) = (numbers.time(7), numbers.time(7));
            ranges.push((one.min(two), one.max(two) + 1));
        }
        for (from, to) in ranges {
            let expected = records_between(&settlements, from, to);
            let total = groups(&test, &tree, from, to, &[]).await;
            assert_eq!(total.len(), 1);
            assert_eq!(total[0].totals, expected, "{from}..{to}");
            let by_hour = groups(&test, &tree, from, to, &[Dimension::Hour, Dimension::Model]).await;
            for group_by in [&[Dimension::Day][..], &[Dimension::Model], &[Dimension::Day, Dimension::Model]] {
                let found = groups(&test, &tree, from, to, group_by).await;
                let mut starts: Vec<_> = found.iter().map(|group| (group.start, group.model.clone())).collect();
                let before = starts.len();
                starts.dedup();
                assert_eq!(starts.len(), before, "each group is there once");
                assert!(starts.is_sorted());
                for group in found {
                    let same = by_hour.iter().filter(|hour| {
                        group.start.is_none_or(|day| (0..DAY).contains(&(hour.start.unwrap().0 - day.0)))
                            && (group.model.is_none() || group.model == hour.model)
                    });
                    let (requests, output) = same.fold((0, 0), |(requests, output), hour| {
                        (requests + hour.totals.requests, output + hour.totals.tokens.output)
                    });
                    let totals = group.totals;
                    assert_eq!((totals.requests, totals.tokens.output), (requests, output), "{from}..{to}");
                }
            }
        }
    }

    async fn whole_days_do_not_read_hours(test) {
        let tree = tree(&test.store).await;
        let times = [START - 1, START, START + DAY - 1, START + DAY];
        let settlements = times.map(|time| full(&tree, UnixMicros(time)));
        test.store.system_ship(&shipment(Position::START, at(1), &settlements, &[])).await.unwrap();
        let lost = format!("DELETE FROM usage_hourly WHERE hour >= {START} AND hour < {} RETURNING outcome", START + DAY);
        assert_eq!(raw(&test, &lost).await.len(), 4);
        let (from, to) = (START - 1, START + DAY + 1);
        let requests = async |group_by: &[Dimension]| -> u64 {
            groups(&test, &tree, from, to, group_by).await.iter().map(|group| group.totals.requests).sum()
        };
        for dimensions in [&[][..], &[Dimension::Day], &[Dimension::Team], &[Dimension::Day, Dimension::Model]] {
            assert_eq!(requests(dimensions).await, 4, "{dimensions:?}");
        }
        assert_eq!(requests(&[Dimension::Hour]).await, 2);
    }
}
