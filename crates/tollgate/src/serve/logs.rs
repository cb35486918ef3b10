//! The process's own log: text for people, JSON for collectors.

use std::io::IsTerminal;

use tollgate_control::configuration::{LogFormat, LogSettings};
use tracing_subscriber::EnvFilter;

/// The environment variable that chooses what is logged, for example `info,tollgate_gateway=debug`.
const FILTER_VARIABLE: &str = "TOLLGATE_LOG";
const DEFAULT_FILTER: &str = "info";

/// Begins logging to standard error.
pub(crate) fn start(settings: &LogSettings) {
    let chosen = std::env::var(FILTER_VARIABLE).ok().or_else(|| settings.level.clone());
    let filter = EnvFilter::builder().parse_lossy(chosen.as_deref().unwrap_or(DEFAULT_FILTER));
    let as_text = match settings.format {
        Some(format) => format == LogFormat::Text,
        None => std::io::stderr().is_terminal(),
    };
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    // A second start in one process (tests) keeps the first one's log.
    let _ = if as_text {
        log.with_target(false).try_init()
    } else {
        log.json().flatten_event(true).with_current_span(false).with_span_list(false).try_init()
    };
}
