//! Rules about single lines of Rust.

use super::{Violation, names};

/// No skipped tests, and no module declared inside a file under a name that a file could not have.
pub(super) fn check(path: &str, content: &str) -> Vec<Violation> {
    content.lines().enumerate().filter_map(|(index, line)| check_line(path, index, line.trim())).collect()
}

fn check_line(path: &str, index: usize, line: &str) -> Option<Violation> {
    if line.starts_with("#[ignore") {
        return Some(Violation::in_line(
            path,
            index,
            "a test runs or is deleted: make it pass, never skip it",
        ));
    }
    let name = module_name(line)?;
    let violation = names::check(name).pop()?;
    Some(Violation::in_line(path, index, violation.message))
}

/// The name in `mod name;` or `pub(crate) mod name {`.
fn module_name(line: &str) -> Option<&str> {
    let mut words = line.split([' ', ';', '{']).skip_while(|word| word.starts_with("pub"));
    (words.next()? == "mod").then_some(())?;
    words.next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepts_ordinary_code() {
        assert_eq!(check("a.rs", "mod money;\npub(crate) mod tokens {}\nlet modest = 1;\n#[test]\n"), []);
    }

    #[test]
    fn refuses_skipped_tests() {
        let content = ["    #[", "ignore = \"slow\"]\n"].concat();
        assert_eq!(check("a.rs", &content).len(), 1);
    }

    #[test]
    fn refuses_modules_with_empty_names() {
        for line in ["mod utils;", "pub mod helpers {", "pub(crate) mod key_manager;"] {
            assert_eq!(check("a.rs", line).len(), 1, "{line}");
        }
    }
}
