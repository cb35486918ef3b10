//! Why a translation failed, and whose fault that is.

use tollgate_core::Dialect;

const PROBLEM_LIMIT_CHARACTERS: usize = 500;

/// Which side's document is being read: decides whose fault a mistake in it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    Request,
    Response,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TranslateError {
    /// The caller must change its request: a 400.
    #[error("`{field}`: {problem}")]
    Request { field: String, problem: String },
    /// The upstream answered with something that its dialect does not allow: a 502.
    #[error("the provider's answer cannot be read: {problem}")]
    Response { problem: String },
    /// The two dialects are not translated into each other.
    #[error("no translation from {} to {}", .from.as_str(), .to.as_str())]
    Unsupported { from: Dialect, to: Dialect },
}

impl TranslateError {
    pub(crate) fn request(field: impl Into<String>, problem: impl Into<String>) -> Self {
        Self::Request { field: field.into(), problem: problem.into() }
    }

    pub(crate) fn response(problem: impl Into<String>) -> Self {
        // It may quote what the upstream sent.
        let mut problem = problem.into();
        if let Some((end, _)) = problem.char_indices().nth(PROBLEM_LIMIT_CHARACTERS) {
            problem.truncate(end);
        }
        Self::Response { problem }
    }

    pub(crate) fn at(side: Side, path: &str, problem: &str) -> Self {
        // A path contains the sender's own keys; they must not make a message of any length.
        let path: String = path.chars().take(200).collect();
        match side {
            Side::Request => Self::request(if path.is_empty() { "body".to_owned() } else { path }, problem),
            Side::Response if path.is_empty() => Self::response(problem),
            Side::Response => Self::response(format!("`{path}` {problem}")),
        }
    }
}
