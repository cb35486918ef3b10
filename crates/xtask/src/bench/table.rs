//! The table that `cargo xtask bench` prints.

use std::fmt::Write;

use anyhow::Context;
use serde::Deserialize;

/// The yardstick that ratios refer to.
const YARDSTICK: &str = "nginx";

/// What `tollgate bench --json` prints; it may say more.
#[derive(Deserialize)]
struct Report {
    rows: Vec<Row>,
}

/// One target under one load.
#[derive(Deserialize)]
struct Row {
    /// The load: size of the body, stream or not, number of keys, connections.
    scenario: String,
    /// `direct`, `tollgate` or `nginx`.
    target: String,
    /// CPU of what handles requests (for Tollgate: the data-plane threads), absent where nothing stands between.
    cpu_us_per_request: Option<f64>,
    p50_us: Option<f64>,
    p99_us: Option<f64>,
}

/// Lays out the rows with the ratio of CPU time to nginx under the same load.
pub(super) fn render(json: &str) -> anyhow::Result<String> {
    let report: Report =
        serde_json::from_str(json).context("`tollgate bench --json` printed something unexpected")?;
    let width = report.rows.iter().map(|row| row.scenario.chars().count()).max().unwrap_or(0);
    let mut table = format!(
        "{:width$}  {:<10} {:>12} {:>9} {:>10} {:>10}\n",
        "load", "target", "CPU µs/req", "to nginx", "p50 µs", "p99 µs"
    );
    for row in &report.rows {
        let ratio = ratio(&report, row).map(|ratio| format!("{ratio:.2}×"));
        writeln!(
            table,
            "{:width$}  {:<10} {:>12} {:>9} {:>10} {:>10}",
            row.scenario,
            row.target,
            figure(row.cpu_us_per_request),
            ratio.as_deref().unwrap_or("–"),
            figure(row.p50_us),
            figure(row.p99_us)
        )?;
    }
    Ok(table)
}

fn ratio(report: &Report, row: &Row) -> Option<f64> {
    let is_yardstick = |other: &&Row| other.target == YARDSTICK && other.scenario == row.scenario;
    let yardstick = report.rows.iter().find(is_yardstick)?.cpu_us_per_request?;
    (yardstick > 0.0).then_some(row.cpu_us_per_request? / yardstick)
}

fn figure(value: Option<f64>) -> String {
    value.map_or_else(|| "–".to_owned(), |value| format!("{value:.1}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn relates_cpu_time_to_nginx_under_the_same_load() {
        let json = r#"{"rows": [
            {"scenario": "1 KiB", "target": "direct", "cpu_us_per_request": null, "p50_us": 40, "p99_us": 90},
            {"scenario": "1 KiB", "target": "tollgate", "cpu_us_per_request": 18.0, "p50_us": 70, "p99_us": 120},
            {"scenario": "1 KiB", "target": "nginx", "cpu_us_per_request": 12.0, "p50_us": 60, "p99_us": 110},
            {"scenario": "100 KiB", "target": "tollgate", "cpu_us_per_request": 50.0}
        ]}"#;
        let table = render(json).unwrap();
        let ratios: Vec<&str> =
            table.lines().skip(1).map(|line| line.split_whitespace().nth(4).unwrap()).collect();
        assert_eq!(ratios, ["–", "1.50×", "1.00×", "–"], "{table}");
    }

    #[test]
    fn says_what_it_could_not_read() {
        assert!(render("{}").is_err());
    }
}
