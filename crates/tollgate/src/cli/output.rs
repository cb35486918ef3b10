//! What commands print: JSON for programs, tables for people.

use std::io::{self, Write};

use serde_json::Value;

/// Prints one line, or nothing when nobody reads any more (`| head`).
pub(crate) fn line(text: impl AsRef<str>) -> anyhow::Result<()> {
    match writeln!(io::stdout().lock(), "{}", text.as_ref()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        other => Ok(other?),
    }
}

/// Tells the operator something beside the output proper.
pub(crate) fn note(text: impl AsRef<str>) {
    let _ = writeln!(io::stderr().lock(), "{}", text.as_ref());
}

/// Prints a value as indented JSON.
pub(crate) fn json(value: &Value) -> anyhow::Result<()> {
    line(serde_json::to_string_pretty(value)?)
}

/// Rows under headings, each column as wide as its widest cell. Columns after `numbers_from` are aligned right.
#[derive(Debug)]
pub(crate) struct Table {
    rows: Vec<Vec<String>>,
    numbers_from: usize,
}

impl Table {
    pub(crate) fn new(headings: &[&str]) -> Self {
        let headings: Vec<String> = headings.iter().map(|heading| (*heading).to_owned()).collect();
        Self { numbers_from: headings.len(), rows: vec![headings] }
    }

    /// Columns from this one on hold numbers.
    pub(crate) const fn numbers_from(mut self, column: usize) -> Self {
        self.numbers_from = column;
        self
    }

    pub(crate) fn row(&mut self, cells: Vec<String>) {
        self.rows.push(cells);
    }

    /// Prints the table, or `empty` when it has no rows.
    pub(crate) fn print(&self, empty: &str) -> anyhow::Result<()> {
        if self.rows.len() < 2 { line(empty) } else { line(self.render().trim_end()) }
    }

    fn render(&self) -> String {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let width = |column: usize| {
            self.rows
                .iter()
                .filter_map(|row| row.get(column))
                .map(|cell| cell.chars().count())
                .max()
                .unwrap_or(0)
        };
        let widths: Vec<usize> = (0..columns).map(width).collect();
        let mut text = String::new();
        for row in &self.rows {
            let cells = row.iter().zip(&widths).enumerate().map(|(column, (cell, width))| {
                if column >= self.numbers_from {
                    format!("{cell:>width$}")
                } else {
                    format!("{cell:<width$}")
                }
            });
            text.push_str(cells.collect::<Vec<_>>().join("  ").trim_end());
            text.push('\n');
        }
        text
    }
}

/// The text at a JSON pointer; `–` for what is absent or empty.
pub(crate) fn text(value: &Value, pointer: &str) -> String {
    match value.pointer(pointer) {
        None | Some(Value::Null) => "–".into(),
        Some(Value::String(text)) if text.is_empty() => "–".into(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    }
}

/// Microseconds since 1970 at a JSON pointer as a time of UTC.
pub(crate) fn time(value: &Value, pointer: &str) -> String {
    formatted(value, pointer, "%Y-%m-%d %H:%M:%SZ")
}

/// The day, in UTC, of microseconds since 1970 at a JSON pointer.
pub(crate) fn day(value: &Value, pointer: &str) -> String {
    formatted(value, pointer, "%Y-%m-%d")
}

fn formatted(value: &Value, pointer: &str, format: &str) -> String {
    let micros = value.pointer(pointer).and_then(Value::as_i64);
    micros
        .and_then(|micros| jiff::Timestamp::from_microsecond(micros).ok())
        .map_or_else(|| "–".into(), |time| time.strftime(format).to_string())
}

/// Nano-USD at a JSON pointer as dollars.
pub(crate) fn dollars(value: &Value, pointer: &str) -> String {
    let nanos = value.pointer(pointer).and_then(Value::as_i64);
    nanos.map_or_else(|| "unknown".into(), |nanos| tollgate_core::NanoUsd::new(nanos).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_and_absent_values_show_as_such() {
        let value = serde_json::json!({"name": "a", "cost": 1_500_000_000_i64, "at": 0, "none": ""});
        let mut table = Table::new(&["NAME", "COST", "AT", "GONE"]).numbers_from(1);
        table.row(vec![
            text(&value, "/name"),
            dollars(&value, "/cost"),
            time(&value, "/at"),
            text(&value, "/x"),
        ]);
        let rendered = table.render();
        let lines: Vec<_> = rendered.lines().collect();
        assert_eq!(lines[0], "NAME         COST                    AT  GONE");
        assert_eq!(lines[1], "a     1.500000000  1970-01-01 00:00:00Z     –");
        assert_eq!(dollars(&value, "/x"), "unknown");
        assert_eq!(day(&value, "/at"), "1970-01-01");
        assert_eq!(text(&value, "/none"), "–");
    }
}
