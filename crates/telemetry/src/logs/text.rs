//! Log lines for people: `time level message field=value …`.

use std::fmt::{self, Write};

use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::fmt::FmtContext;
use tracing_subscriber::fmt::format::{FormatEvent, FormatFields, Writer};
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};
use tracing_subscriber::registry::LookupSpan;

pub(super) struct TextFormat;

impl<S, N> FormatEvent<S, N> for TextFormat
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        _: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        SystemTime.format_time(&mut writer)?;
        let level = *event.metadata().level();
        if writer.has_ansi_escapes() {
            write!(writer, " \u{1b}[{}m{level:>5}\u{1b}[0m", color(level))?;
        } else {
            write!(writer, " {level:>5}")?;
        }
        let mut fields = Fields { writer: Escaping(&mut writer), result: Ok(()) };
        event.record(&mut fields);
        fields.result?;
        writer.write_char('\n')
    }
}

/// Red, yellow, green, blue, magenta.
const fn color(level: Level) -> u8 {
    match level {
        Level::ERROR => 31,
        Level::WARN => 33,
        Level::INFO => 32,
        Level::DEBUG => 34,
        Level::TRACE => 35,
    }
}

struct Fields<W> {
    writer: Escaping<W>,
    result: fmt::Result,
}

impl<W: Write> Visit for Fields<W> {
    fn record_str(&mut self, field: &Field, value: &str) {
        // Quoted where the end of the value would not be seen otherwise; `{:?}` would escape twice.
        let plain = field.name() == "message" || !value.contains([' ', '"', '=']) && !value.is_empty();
        if plain {
            self.write(field, format_args!("{value}"));
        } else {
            self.write(field, format_args!("\"{}\"", value.replace('"', "\\\"")));
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.write(field, format_args!("{value:?}"));
    }
}

impl<W: Write> Fields<W> {
    fn write(&mut self, field: &Field, value: fmt::Arguments<'_>) {
        let name = field.name();
        // Where a line of the `log` crate came from; its message is what matters.
        if self.result.is_err() || name.starts_with("log.") {
            return;
        }
        self.result = match name {
            "message" => write!(self.writer, " {value}"),
            _ => write!(self.writer, " {}={value}", name.strip_prefix("r#").unwrap_or(name)),
        };
    }
}

/// Writes text with every character escaped that could end the line, steer a terminal or hide what follows.
pub(super) struct Escaping<W>(pub(super) W);

impl<W: Write> Write for Escaping<W> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let mut rest = text;
        while let Some((position, character)) = rest.char_indices().find(|(_, it)| is_dangerous(*it)) {
            let (before, after) = rest.split_at(position);
            self.0.write_str(before)?;
            for escaped in character.escape_default() {
                self.0.write_char(escaped)?;
            }
            rest = after.get(character.len_utf8()..).unwrap_or_default();
        }
        self.0.write_str(rest)
    }
}

/// Control characters, line and paragraph separators, and what changes the direction of text.
fn is_dangerous(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{2028}'..='\u{202E}' | '\u{2066}'..='\u{2069}' | '\u{200E}' | '\u{200F}' | '\u{061C}')
}
