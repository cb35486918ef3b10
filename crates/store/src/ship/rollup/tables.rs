//! The tables of the sums: alike but for the time that a row stands for.

use super::super::bulk::BulkInsert;

/// A table whose rows stand for the time that the column `$start` begins: rows that are there already grow.
macro_rules! sums_table {
    ($table:literal, $start:literal) => {
        BulkInsert::new(
            $table,
            &[
                "organization_id",
                $start,
                "team_id",
                "project_id",
                "key_id",
                "model",
                "provider_id",
                "deployment_id",
                "operation",
                "outcome",
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
                "max_cost_nanos_usd",
                "unknown_cost_requests",
                "latency_us",
                "time_to_first_token_us",
                "time_to_first_token_count",
            ],
            concat!(
                "(organization_id, ",
                $start,
                ", team_id, project_id, key_id, model, provider_id, deployment_id, \
                 operation, outcome) DO UPDATE SET ",
                "cost_nanos_usd = CASE \
                 WHEN ",
                $table,
                ".cost_nanos_usd > 100000000000000000 - excluded.cost_nanos_usd \
                 THEN 100000000000000000 ELSE ",
                $table,
                ".cost_nanos_usd + excluded.cost_nanos_usd END, ",
                "max_cost_nanos_usd = CASE WHEN excluded.max_cost_nanos_usd > ",
                $table,
                ".max_cost_nanos_usd \
                 THEN excluded.max_cost_nanos_usd ELSE ",
                $table,
                ".max_cost_nanos_usd END, ",
                "requests = ",
                $table,
                ".requests + excluded.requests, ",
                "attempts = ",
                $table,
                ".attempts + excluded.attempts, ",
                "errors = ",
                $table,
                ".errors + excluded.errors, ",
                "tokens_input = ",
                $table,
                ".tokens_input + excluded.tokens_input, ",
                "tokens_cache_read = ",
                $table,
                ".tokens_cache_read + excluded.tokens_cache_read, ",
                "tokens_cache_write = ",
                $table,
                ".tokens_cache_write + excluded.tokens_cache_write, ",
                "tokens_cache_write_long = ",
                $table,
                ".tokens_cache_write_long + excluded.tokens_cache_write_long, ",
                "tokens_output = ",
                $table,
                ".tokens_output + excluded.tokens_output, ",
                "tokens_reasoning = ",
                $table,
                ".tokens_reasoning + excluded.tokens_reasoning, ",
                "unknown_cost_requests = ",
                $table,
                ".unknown_cost_requests + excluded.unknown_cost_requests, ",
                "latency_us = ",
                $table,
                ".latency_us + excluded.latency_us, ",
                "time_to_first_token_us = ",
                $table,
                ".time_to_first_token_us + excluded.time_to_first_token_us, ",
                "time_to_first_token_count = ",
                $table,
                ".time_to_first_token_count + excluded.time_to_first_token_count",
            ),
        )
    };
}

pub(in crate::ship) static HOURLY: BulkInsert = sums_table!("usage_hourly", "hour");
pub(in crate::ship) static DAILY: BulkInsert = sums_table!("usage_daily", "day");
