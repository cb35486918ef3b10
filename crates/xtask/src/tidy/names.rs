//! Names of files and folders.

use super::Violation;

/// Names that say nothing about what is inside.
const EMPTY_NAMES: &[&str] = &["util", "utils", "helper", "helpers", "common", "manager", "managers", "misc"];

/// No `mod.rs`, and no file or folder with an empty name, alone or as a part.
pub(super) fn check(path: &str) -> Vec<Violation> {
    let mut violations = Vec::new();
    if path == "mod.rs" || path.ends_with("/mod.rs") {
        violations.push(Violation::new(path, "name the file after its module: `name.rs` beside `name/`"));
    }
    if let Some(name) = path.split('/').find_map(empty_name) {
        violations.push(Violation::new(path, format!("`{name}` says nothing: name it after what it holds")));
    }
    violations
}

fn empty_name(component: &str) -> Option<&str> {
    let stem = component.split('.').next().unwrap_or(component);
    stem.split(['_', '-']).find(|word| EMPTY_NAMES.contains(&word.to_ascii_lowercase().as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepts_names_that_say_something() {
        assert_eq!(check("crates/core/src/model_name.rs"), []);
        assert_eq!(check("crates/gateway/src/commonality.rs"), []);
    }

    #[test]
    fn refuses_module_files_without_a_name() {
        assert_eq!(check("crates/core/src/money/mod.rs").len(), 1);
    }

    #[test]
    fn refuses_empty_names_of_files_folders_and_parts() {
        for path in
            ["crates/utils/src/lib.rs", "crates/core/src/helpers.rs", "crates/core/src/key_manager.rs"]
        {
            assert_eq!(check(path).len(), 1, "{path}");
        }
    }
}
