//! The process's own log: text for people, JSON for collectors.
//!
//! Secrets have types that cannot be printed, so none can get here. What a caller wrote may: in text, characters that
//! could end a line or steer a terminal are escaped, in messages and fields alike.

mod text;

use std::io::IsTerminal;

use tracing::Subscriber;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::util::SubscriberInitExt;

use text::TextFormat;

/// The environment variable that chooses what is logged, for example `info,tollgate_gateway=debug`.
pub const FILTER_VARIABLE: &str = "TOLLGATE_LOG";

/// How log lines are written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogFormat {
    /// Text on a terminal, JSON elsewhere.
    #[default]
    Auto,
    Text,
    /// One object per line.
    Json,
}

/// Why logging could not begin.
#[derive(Debug, thiserror::Error)]
#[error(
    "log filter \"{filter}\" cannot be read: {reason}; write levels and targets, for example \"info,tollgate_gateway=debug\""
)]
pub struct InvalidFilter {
    filter: String,
    reason: tracing_subscriber::filter::ParseError,
}

/// Begins logging to standard error. `TOLLGATE_LOG` wins over `filter`; without either, `info` and above is logged.
///
/// A second start in one process keeps the first one's log.
///
/// # Errors
/// When the filter cannot be read.
pub fn start(format: LogFormat, filter: Option<&str>) -> Result<(), InvalidFilter> {
    let from_environment = std::env::var(FILTER_VARIABLE).ok().filter(|text| !text.is_empty());
    let filter = parse_filter(from_environment.as_deref().or(filter))?;
    let terminal = std::io::stderr().is_terminal();
    let _ = subscriber(format, filter, terminal, std::io::stderr).try_init();
    Ok(())
}

fn parse_filter(text: Option<&str>) -> Result<EnvFilter, InvalidFilter> {
    let text = text.unwrap_or("info");
    let builder = EnvFilter::builder().with_default_directive(tracing::Level::INFO.into());
    builder.parse(text).map_err(|reason| InvalidFilter { filter: text.to_owned(), reason })
}

fn subscriber<W>(
    format: LogFormat,
    filter: EnvFilter,
    terminal: bool,
    writer: W,
) -> Box<dyn Subscriber + Send + Sync>
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(writer).with_ansi(terminal);
    // Complaints about a log that cannot be written would go to standard error too, and panic when that is full.
    let log = log.log_internal_errors(false);
    let text = match format {
        LogFormat::Auto => terminal,
        LogFormat::Text => true,
        LogFormat::Json => false,
    };
    if text {
        Box::new(log.event_format(TextFormat).finish())
    } else {
        Box::new(log.json().flatten_event(true).with_current_span(false).with_span_list(false).finish())
    }
}

#[cfg(test)]
pub(crate) mod tests;
