//! References to secrets: files name them, they never hold them.

use std::path::Path;

use tollgate_core::SecretText;

use super::Environment;

const HOW: &str =
    "secrets do not belong into configuration files: write `env:NAME`, `${NAME}` or `file:PATH`";

/// The secret that `${NAME}`, `env:NAME` or `file:PATH` names. A relative path is relative to the configuration file.
pub(super) fn resolve(text: &str, file: &Path, environment: Environment<'_>) -> Result<SecretText, String> {
    let variable =
        text.strip_prefix("env:").or_else(|| text.strip_prefix("${").and_then(|rest| rest.strip_suffix('}')));
    if let Some(name) = variable {
        return match environment(name) {
            Some(value) if !value.is_empty() => Ok(SecretText::new(value)),
            _ => Err(format!("the environment variable {name} is not set")),
        };
    }
    let path = text.strip_prefix("file:").ok_or(HOW)?;
    let path = file.parent().unwrap_or(Path::new("")).join(path);
    let content = std::fs::read_to_string(&path)
        .map_err(|error| format!("{} cannot be read: {error}", path.display()))?;
    match content.trim() {
        "" => Err(format!("{} is empty", path.display())),
        secret => Ok(SecretText::new(secret.to_owned())),
    }
}

/// Text in which `${NAME}` may stand for the whole.
pub(super) fn resolve_text(text: &str, environment: Environment<'_>) -> Result<String, String> {
    match text.strip_prefix("${").and_then(|rest| rest.strip_suffix('}')) {
        Some(name) => environment(name).ok_or_else(|| format!("the environment variable {name} is not set")),
        None => Ok(text.to_owned()),
    }
}
