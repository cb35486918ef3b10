use std::collections::HashSet;
use std::fmt::Write as _;

use super::*;

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/metrics.md");

/// The documentation of all metrics.
fn page() -> String {
    let mut page = "# Metrics\n\n\
        `/metrics` shows these, in the text format that Prometheus reads. The page is made from\n\
        `crates/telemetry/src/names.rs`: `UPDATE=1 cargo test -p tollgate-telemetry documentation` writes it anew.\n\n\
        `model` is the configured name or pattern, never what a caller wrote; `deployment` is an id. A histogram adds\n\
        `_bucket`, `_sum` and `_count` to its name.\n\n\
        | metric | kind | labels | meaning |\n|---|---|---|---|\n"
        .to_owned();
    for metric in ALL {
        let suffix = if metric.kind == Kind::Counter { "_total" } else { "" };
        let labels: Vec<_> = metric.labels.iter().map(|label| format!("`{label}`")).collect();
        let (name, kind) = (metric.name, metric.kind.as_str());
        writeln!(page, "| `{name}{suffix}` | {kind} | {} | {} |", labels.join(", "), metric.help).unwrap();
    }
    page
}

#[test]
fn documentation_shows_every_metric() {
    let wanted = page();
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(PAGE, &wanted).unwrap();
    }
    let written = std::fs::read_to_string(PAGE).unwrap_or_default();
    assert!(
        written == wanted,
        "docs/metrics.md is not what names.rs says; `UPDATE=1 cargo test -p tollgate-telemetry documentation`"
    );
}

#[test]
fn names_are_unique_and_follow_the_conventions_of_prometheus() {
    let mut seen = HashSet::new();
    for metric in ALL {
        assert!(seen.insert(metric.name), "{} is named twice", metric.name);
        let owner = metric.name.starts_with("tollgate_") || metric.name.starts_with("process_");
        assert!(owner && !metric.name.ends_with("_total"), "{}", metric.name);
        assert!(metric.help.ends_with('.'), "{}", metric.name);
    }
}
