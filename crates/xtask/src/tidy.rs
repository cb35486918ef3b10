//! `cargo xtask tidy`: the rules of the house that neither the compiler nor clippy knows.
//!
//! Every rule is a pure function from what it looks at to the places that break it.

mod arrows;
mod identifiers;
mod manifest;
mod names;
mod outbound;
mod size;
mod source;
mod text;

use std::fmt;

use anyhow::{Context, bail};

use crate::workspace::Workspace;

/// A place that breaks a rule, and what to do about it.
#[derive(Debug, PartialEq, Eq)]
struct Violation {
    /// A file, `file:line`, or the name of a package.
    place: String,
    message: String,
}

impl Violation {
    fn new(place: impl Into<String>, message: impl Into<String>) -> Self {
        Self { place: place.into(), message: message.into() }
    }

    /// A violation in a line, counted from zero.
    fn in_line(path: &str, index: usize, message: impl Into<String>) -> Self {
        Self::new(format!("{path}:{}", index + 1), message)
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}", self.place, self.message)
    }
}

/// Checks the whole repository and prints each violation.
pub(crate) fn run(workspace: &Workspace) -> anyhow::Result<()> {
    let mut violations = Vec::new();
    let files = workspace.files()?;
    for path in &files {
        violations.extend(names::check(path));
        if !text::is_text(path) {
            continue;
        }
        let content = std::fs::read_to_string(workspace.path(path))
            .with_context(|| format!("could not read {path} as UTF-8"))?;
        violations.extend(text::check(path, &content));
        violations.extend(identifiers::check(path, &content));
        violations.extend(manifest::check(path, &content));
        if path.ends_with(".rs") {
            violations.extend(size::check(path, &content));
            violations.extend(source::check(path, &content));
            violations.extend(outbound::check(path, &content));
            if let Some(hint) = size::hint(path, &content) {
                println!("hint: {hint}");
            }
        }
    }
    violations.extend(arrows::check(&workspace.metadata()?));
    for violation in &violations {
        println!("{violation}");
    }
    if !violations.is_empty() {
        bail!("tidy found {} violations of the rules in CONTRIBUTING.md", violations.len());
    }
    println!("tidy: {} files follow the rules", files.len());
    Ok(())
}
