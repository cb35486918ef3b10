//! What every crate's manifest says.

use super::Violation;

/// A crate without this line silently follows no lint of the workspace.
const LINTS: &str = "[lints]\nworkspace = true\n";

/// Each crate takes the lints of the workspace.
pub(super) fn check(path: &str, content: &str) -> Option<Violation> {
    let is_crate = path.starts_with("crates/") && path.ends_with("/Cargo.toml");
    (is_crate && !content.contains(LINTS))
        .then(|| Violation::new(path, "add `[lints]` with `workspace = true`: this crate follows no lints"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_a_crate_without_lints() {
        assert!(check("crates/core/Cargo.toml", "[package]\n").is_some());
        assert_eq!(check("crates/core/Cargo.toml", "[package]\n\n[lints]\nworkspace = true\n"), None);
        assert_eq!(check("Cargo.toml", "[workspace]\n"), None);
    }
}
