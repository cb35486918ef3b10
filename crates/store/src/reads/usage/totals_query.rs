//! The statement behind a report: whole days from the daily sums, the ends of the time from the hourly ones.

use std::ops::Range;

use tollgate_core::{Operation, OrganizationId, UnixMicros};
use tollgate_ledger::record::Outcome;

use super::{Dimension, MAX_GROUPS, UsageQuery};
use crate::database::Query;
use crate::ship::{DAY_US, HOUR_US, start_of};

/// What the groups of every part are added up by; the cost in dollars and the rest, see [`super::cost`].
const PARTS_TOTALS: &str = "CAST(COALESCE(SUM(requests), 0) AS BIGINT) AS requests, \
    CAST(COALESCE(SUM(attempts), 0) AS BIGINT) AS attempts, \
    CAST(COALESCE(SUM(errors), 0) AS BIGINT) AS errors, \
    CAST(COALESCE(SUM(tokens_input), 0) AS BIGINT) AS tokens_input, \
    CAST(COALESCE(SUM(tokens_cache_read), 0) AS BIGINT) AS tokens_cache_read, \
    CAST(COALESCE(SUM(tokens_cache_write), 0) AS BIGINT) AS tokens_cache_write, \
    CAST(COALESCE(SUM(tokens_cache_write_long), 0) AS BIGINT) AS tokens_cache_write_long, \
    CAST(COALESCE(SUM(tokens_output), 0) AS BIGINT) AS tokens_output, \
    CAST(COALESCE(SUM(tokens_reasoning), 0) AS BIGINT) AS tokens_reasoning, \
    CAST(COALESCE(SUM(cost_dollars), 0) AS BIGINT) AS cost_dollars, \
    CAST(COALESCE(SUM(cost_rest_nanos), 0) AS BIGINT) AS cost_rest_nanos, \
    CAST(COALESCE(SUM(unknown_cost_requests), 0) AS BIGINT) AS unknown_cost_requests, \
    CAST(COALESCE(SUM(latency_us), 0) AS BIGINT) AS latency_us, \
    CAST(COALESCE(SUM(time_to_first_token_us), 0) AS BIGINT) AS time_to_first_token_us, \
    CAST(COALESCE(SUM(time_to_first_token_count), 0) AS BIGINT) AS time_to_first_token_count FROM (";

const PART_TOTALS: &str = "SUM(requests) AS requests, SUM(attempts) AS attempts, SUM(errors) AS errors, \
    SUM(tokens_input) AS tokens_input, SUM(tokens_cache_read) AS tokens_cache_read, \
    SUM(tokens_cache_write) AS tokens_cache_write, SUM(tokens_cache_write_long) AS tokens_cache_write_long, \
    SUM(tokens_output) AS tokens_output, SUM(tokens_reasoning) AS tokens_reasoning, \
    SUM(cost_nanos_usd / 1000000000) AS cost_dollars, SUM(cost_nanos_usd % 1000000000) AS cost_rest_nanos, \
    SUM(unknown_cost_requests) AS unknown_cost_requests, SUM(latency_us) AS latency_us, \
    SUM(time_to_first_token_us) AS time_to_first_token_us, \
    SUM(time_to_first_token_count) AS time_to_first_token_count";

/// Rows of one table from one time to another; both are beginnings of its rows.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Hours(Range<i64>),
    Days(Range<i64>),
}

impl Dimension {
    /// The column of a part and of the result.
    const fn column(self) -> &'static str {
        match self {
            Self::Hour => "hour",
            Self::Day => "day",
            Self::Team => "team_id",
            Self::Project => "project_id",
            Self::Key => "key_id",
            Self::Model => "model",
            Self::Provider => "provider_id",
            Self::Deployment => "deployment_id",
            Self::Operation => "operation",
            Self::Outcome => "outcome",
        }
    }

    /// The name behind an id, of deleted objects too.
    const fn name(self) -> &'static str {
        match self {
            Self::Team => "(SELECT name FROM teams WHERE teams.id = team_id) AS team_name, ",
            Self::Project => "(SELECT name FROM projects WHERE projects.id = project_id) AS project_name, ",
            Self::Key => "(SELECT name FROM keys WHERE keys.id = key_id) AS key_name, ",
            Self::Provider => {
                "(SELECT name FROM providers WHERE providers.id = provider_id) AS provider_name, "
            }
            Self::Hour | Self::Day | Self::Model | Self::Deployment | Self::Operation | Self::Outcome => "",
        }
    }
}

pub(super) fn totals_query(organization_id: OrganizationId, asked: &UsageQuery) -> Query<'_> {
    let mut query = Query::new("SELECT ");
    for dimension in &asked.group_by {
        query.push(dimension.column()).push(", ").push(dimension.name());
    }
    query.push(PARTS_TOTALS);
    for (index, part) in parts(asked).into_iter().enumerate() {
        query.push(if index == 0 { "" } else { " UNION ALL " });
        push_part(&mut query, organization_id, asked, part);
    }
    query.push(") AS parts");
    for list in [" GROUP BY ", " ORDER BY "] {
        push_columns(&mut query, list, asked);
    }
    query.push(" LIMIT ").bind(MAX_GROUPS + 1);
    query
}

/// Never empty, and never overlapping.
fn parts(asked: &UsageQuery) -> Vec<Part> {
    let from = start_of(HOUR_US, asked.from.0);
    let UnixMicros(to) = asked.to;
    let first_day = match start_of(DAY_US, from) {
        day if day == from => day,
        day => day.saturating_add(DAY_US),
    };
    let last_day = start_of(DAY_US, to);
    if asked.group_by.contains(&Dimension::Hour) || first_day >= last_day {
        return vec![Part::Hours(from..to)];
    }
    let mut parts = vec![Part::Days(first_day..last_day)];
    parts.extend(
        [from..first_day, last_day..to].into_iter().filter(|hours| !hours.is_empty()).map(Part::Hours),
    );
    parts
}

fn push_part<'a>(query: &mut Query<'a>, organization_id: OrganizationId, asked: &'a UsageQuery, part: Part) {
    query.push("SELECT ");
    for dimension in &asked.group_by {
        if matches!((dimension, &part), (Dimension::Day, Part::Hours(_))) {
            query.push("(hour - hour % 86400000000) AS ");
        }
        query.push(dimension.column()).push(", ");
    }
    query.push(PART_TOTALS);
    let (table, from, to, range) = match part {
        Part::Hours(range) => ("usage_hourly", "hour >=", "hour <", range),
        Part::Days(range) => ("usage_daily", "day >=", "day <", range),
    };
    let filter = &asked.filter;
    query
        .push(" FROM ")
        .push(table)
        .push(" WHERE organization_id = ")
        .bind(organization_id)
        .filter(from, Some(range.start))
        .filter(to, Some(range.end))
        .filter("team_id =", filter.team_id)
        .filter("project_id =", filter.project_id)
        .filter("key_id =", filter.key_id)
        .filter("model =", filter.model.as_ref())
        .filter("provider_id =", filter.provider_id)
        .filter("deployment_id =", filter.deployment_id)
        .filter("operation =", filter.operation.map(Operation::as_str))
        .filter("outcome =", filter.outcome.map(Outcome::as_str));
    push_columns(query, " GROUP BY ", asked);
}

fn push_columns(query: &mut Query<'_>, list: &'static str, asked: &UsageQuery) {
    for (index, dimension) in asked.group_by.iter().enumerate() {
        query.push(if index == 0 { list } else { ", " }).push(dimension.column());
    }
}

#[cfg(test)]
mod tests;
