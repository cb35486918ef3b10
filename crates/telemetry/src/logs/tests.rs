use std::io;
use std::sync::{Arc, Mutex};

use tollgate_core::SecretText;

use super::*;

/// Keeps what is written.
#[derive(Clone, Default)]
struct Kept(Arc<Mutex<Vec<u8>>>);

impl io::Write for Kept {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What is logged while `action` runs.
pub(crate) fn logged(format: LogFormat, terminal: bool, filter: &str, action: impl FnOnce()) -> String {
    let kept = Kept::default();
    let writer = kept.clone();
    let filter = parse_filter(Some(filter)).unwrap();
    let subscriber = subscriber(format, filter, terminal, move || writer.clone());
    tracing::subscriber::with_default(subscriber, action);
    String::from_utf8(kept.0.lock().unwrap().clone()).unwrap()
}

const ATTACK: &str = "x\r\n2026-01-01T00:00:00Z ERROR forged\u{1b}[2J\u{2028}\u{85}\u{202e}\t";
const ESCAPED: &str = r"x\r\n2026-01-01T00:00:00Z ERROR forged\u{1b}[2J\u{2028}\u{85}\u{202e}\t";

#[test]
fn text_escapes_what_could_forge_a_line_or_steer_a_terminal() {
    let error = io::Error::other(ATTACK);
    let text = logged(LogFormat::Text, false, "info", || {
        tracing::warn!(model = ATTACK, %error, shown = ?ATTACK, "{ATTACK}");
    });
    assert_eq!(text.lines().count(), 1, "{text:?}");
    assert_eq!(text.matches(ESCAPED).count(), 4, "message and three fields: {text}");
    assert!(!text.trim_end_matches('\n').contains(|character: char| character.is_control()), "{text:?}");
    assert!(!text.contains(['\u{2028}', '\u{202e}']), "{text:?}");
}

#[test]
fn text_is_readable_and_coloured_on_terminals_only() {
    let write = || tracing::info!(count = 3, name = "two words", empty = "", "it has begun");
    let plain = logged(LogFormat::Text, false, "info", write);
    assert!(plain.ends_with("  INFO it has begun count=3 name=\"two words\" empty=\"\"\n"), "{plain}");
    let coloured = logged(LogFormat::Auto, true, "info", write);
    assert!(coloured.contains(" \u{1b}[32m INFO\u{1b}[0m it has begun count=3"), "{coloured}");
}

#[test]
fn json_is_one_object_per_line() {
    let text = logged(LogFormat::Auto, false, "info", || tracing::info!(model = ATTACK, "two\nlines"));
    assert_eq!(text.lines().count(), 1);
    let line: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(
        (&line["message"], &line["model"], &line["level"]),
        (&"two\nlines".into(), &ATTACK.into(), &"INFO".into())
    );
}

#[test]
fn the_filter_chooses_and_a_bad_one_is_refused() {
    let write = || {
        tracing::info!("one");
        tracing::debug!("two");
    };
    assert!(logged(LogFormat::Text, false, "warn", write).is_empty());
    assert_eq!(logged(LogFormat::Text, false, "warn,tollgate_telemetry=debug", write).lines().count(), 2);
    let error = parse_filter(Some("tollgate=loud")).unwrap_err().to_string();
    assert!(error.starts_with("log filter \"tollgate=loud\" cannot be read: "), "{error}");
}

#[test]
fn a_secret_cannot_be_logged() {
    for format in [LogFormat::Text, LogFormat::Json] {
        let text = logged(format, false, "trace", || {
            let secret = SecretText::new("sk-canary-0123".into());
            tracing::info!(?secret, "a provider");
        });
        assert!(!text.contains("canary") && text.contains("secret"), "{text}");
    }
}
