//! Whether a configuration could be published after a write: asked before the write is committed.

use tollgate_core::SecretText;
use tollgate_state::build::{Problem as BuildProblem, build};
use tollgate_state::objects::Configuration;
use tollgate_store::Keys;
use tollgate_upstream::{Egress, Origin};

use crate::connection::Installation;
use crate::problem::{FieldError, Problem};
use crate::publisher::load;

/// Refuses a change with which the configuration could not be published. What was wrong before the change is not held
/// against it, so that it can be mended step by step.
pub(crate) async fn check_change(
    installation: &Installation,
    change: impl FnOnce(&mut Configuration),
) -> Result<(), Problem> {
    let before = load(installation, Keys::Omit).await?;
    let mut after = before.clone();
    change(&mut after);
    let Err(problems) = build(&after) else { return Ok(()) };
    let known = build(&before).err().unwrap_or_default();
    let new: Vec<_> = problems.into_iter().filter(|problem| !known.contains(problem)).collect();
    if new.is_empty() { Ok(()) } else { Err(unbuildable(new)) }
}

fn unbuildable(problems: Vec<BuildProblem>) -> Problem {
    let errors = problems.into_iter();
    Problem::invalid_fields(
        errors.map(|problem| FieldError { field: problem.place, message: problem.message }).collect(),
    )
}

/// Everything wrong with a provider by itself, by field.
pub(crate) fn provider_errors(
    kind: &str,
    base_url: Option<&str>,
    internal: bool,
    secret: Option<&SecretText>,
) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let mut wrong =
        |field: &str, message: String| errors.push(FieldError { field: field.to_owned(), message });
    let Some(known) = tollgate_providers::find(kind) else {
        let kinds: Vec<_> = tollgate_providers::known().iter().map(|row| &*row.kind).collect();
        wrong("kind", format!("is `{kind}`, which is not one of {}", kinds.join(", ")));
        return errors;
    };
    match base_url.or(known.base_url.as_deref()) {
        None => wrong("base_url", format!("must be given for the kind `{kind}`")),
        Some(url) => {
            let egress = if internal || known.internal { Egress::Internal } else { Egress::Public };
            if let Err(error) = Origin::parse(url, egress) {
                wrong("base_url", error.to_string());
            }
        }
    }
    if known.credential_header(secret).is_err() {
        wrong("secret", "contains characters that no header can carry".to_owned());
    }
    if secret.is_some_and(|secret| secret.expose().is_empty()) {
        wrong("secret", "is empty; leave it out if the provider needs none".to_owned());
    }
    errors
}
