//! Length of files. (Length of functions is clippy's `too_many_lines`.)

use super::Violation;

/// A file beyond this holds more than one idea.
const LIMIT_LINES: usize = 400;
/// What a file should stay under.
const TARGET_LINES: usize = 250;

/// A source file stays under the limit, tests not counted.
pub(super) fn check(path: &str, content: &str) -> Option<Violation> {
    let lines = counted_lines(path, content);
    (lines > LIMIT_LINES).then(|| {
        let message =
            format!("{lines} lines without tests, the limit is {LIMIT_LINES}: find the concept to split out");
        Violation::new(path, message)
    })
}

/// Names a file that is on its way to the limit.
pub(super) fn hint(path: &str, content: &str) -> Option<String> {
    let lines = counted_lines(path, content);
    (lines > TARGET_LINES && lines <= LIMIT_LINES)
        .then(|| format!("{path} has {lines} lines without tests, the target is {TARGET_LINES}"))
}

/// Lines before the test module; none for files of tests.
fn counted_lines(path: &str, content: &str) -> usize {
    let is_test =
        path.ends_with("/tests.rs") || path.split('/').any(|part| part == "tests" || part == "benches");
    if is_test {
        return 0;
    }
    let lines: Vec<&str> = content.lines().collect();
    let tests =
        lines.windows(2).position(|pair| matches!(pair, ["#[cfg(test)]", next] if next.starts_with("mod ")));
    tests.unwrap_or(lines.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(code_lines: usize, test_lines: usize) -> String {
        let tests = format!("#[cfg(test)]\nmod tests {{\n{}}}\n", "    // test\n".repeat(test_lines));
        "// code\n".repeat(code_lines) + &tests
    }

    #[test]
    fn counts_no_tests() {
        assert_eq!(check("crates/core/src/a.rs", &file(LIMIT_LINES, 1000)), None);
        assert_eq!(check("crates/core/tests/a.rs", &file(1000, 0)), None);
        assert_eq!(check("crates/core/src/a/tests.rs", &file(1000, 0)), None);
    }

    #[test]
    fn refuses_long_files() {
        assert!(check("crates/core/src/a.rs", &file(LIMIT_LINES + 1, 0)).is_some());
    }

    #[test]
    fn hints_between_target_and_limit() {
        assert_eq!(hint("crates/core/src/a.rs", &file(TARGET_LINES, 0)), None);
        assert!(hint("crates/core/src/a.rs", &file(TARGET_LINES + 1, 0)).is_some());
        assert_eq!(hint("crates/core/src/a.rs", &file(LIMIT_LINES + 1, 0)), None);
    }
}
