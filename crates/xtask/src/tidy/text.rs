//! Whitespace.

use super::Violation;

const EXTENSIONS: &[&str] =
    &["rs", "toml", "md", "sql", "yaml", "yml", "sh", "py", "js", "mjs", "ts", "tsx", "css", "html", "conf"];

/// Whether a file is written by people in one of the project's own languages.
pub(super) fn is_text(path: &str) -> bool {
    path.rsplit_once('.').is_some_and(|(_, extension)| EXTENSIONS.contains(&extension)) || path == ".ci/run"
}

/// No line ends in whitespace, and the file ends with a line end.
pub(super) fn check(path: &str, content: &str) -> Vec<Violation> {
    let mut violations: Vec<Violation> = content
        .split('\n')
        .enumerate()
        .filter(|(_, line)| line.ends_with([' ', '\t', '\r']))
        .map(|(index, _)| Violation::in_line(path, index, "remove the whitespace at the end of the line"))
        .collect();
    if !content.is_empty() && !content.ends_with('\n') {
        violations.push(Violation::new(path, "end the file with a line end"));
    }
    violations
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepts_clean_text() {
        assert_eq!(check("a.rs", "fn a() {}\n\n    b\n"), []);
        assert_eq!(check("a.rs", ""), []);
    }

    #[test]
    fn finds_trailing_whitespace_and_its_line() {
        let places: Vec<String> =
            check("a.rs", "a \nb\n\t\nc\r\n").into_iter().map(|violation| violation.place).collect();
        assert_eq!(places, ["a.rs:1", "a.rs:3", "a.rs:4"]);
    }

    #[test]
    fn finds_a_missing_line_end() {
        assert_eq!(check("a.rs", "a").len(), 1);
    }

    #[test]
    fn looks_only_at_own_languages() {
        assert!(is_text("crates/core/src/lib.rs") && is_text(".ci/run"));
        assert!(!is_text("tests/fixtures/stream.sse") && !is_text("LICENSE"));
    }
}
