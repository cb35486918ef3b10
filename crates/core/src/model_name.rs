//! Model names as clients write them, and patterns over them.

use std::fmt;

use serde::{Deserialize, Serialize};

const MAX_LENGTH: usize = 128;

/// Why a text is not a model name or pattern.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidModelName {
    #[error("a model name has 1 to 128 characters, this one has {0}")]
    Length(usize),
    #[error("model names are made of letters, digits and `._:/@-`; `{0}` is not allowed")]
    Character(char),
    #[error("a model name may not contain `..`")]
    DoubleDot,
    #[error("a pattern is a name with exactly one `*`, at its end")]
    Star,
}

fn validate(text: &str) -> Result<(), InvalidModelName> {
    if text.is_empty() || text.len() > MAX_LENGTH {
        return Err(InvalidModelName::Length(text.chars().count()));
    }
    let allowed = |byte: char| byte.is_ascii_alphanumeric() || "._:/@-".contains(byte);
    if let Some(character) = text.chars().find(|character| !allowed(*character)) {
        return Err(InvalidModelName::Character(character));
    }
    if text.contains("..") { Err(InvalidModelName::DoubleDot) } else { Ok(()) }
}

/// A valid public model name: `[A-Za-z0-9._:/@-]{1,128}` without `..`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ModelName(Box<str>);

impl ModelName {
    /// Checks without allocating; what passes may be looked up as it is.
    pub fn check(text: &str) -> Result<(), InvalidModelName> {
        validate(text)
    }

    pub fn parse(text: &str) -> Result<Self, InvalidModelName> {
        validate(text).map(|()| Self(text.into()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ModelName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl TryFrom<String> for ModelName {
    type Error = InvalidModelName;

    fn try_from(text: String) -> Result<Self, InvalidModelName> {
        Self::parse(&text)
    }
}

impl From<ModelName> for String {
    fn from(name: ModelName) -> Self {
        name.0.into()
    }
}

/// An exact name, or a prefix followed by `*`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum ModelPattern {
    Exact(ModelName),
    /// The text before the star; empty for `*`.
    Prefix(Box<str>),
}

impl ModelPattern {
    pub fn parse(text: &str) -> Result<Self, InvalidModelName> {
        match text.find('*') {
            None => ModelName::parse(text).map(Self::Exact),
            Some(position) if position + 1 == text.len() => {
                let prefix = &text[..position];
                if !prefix.is_empty() {
                    validate(prefix)?;
                }
                Ok(Self::Prefix(prefix.into()))
            }
            Some(_) => Err(InvalidModelName::Star),
        }
    }

    pub fn matches(&self, name: &str) -> bool {
        match self {
            Self::Exact(exact) => exact.as_str() == name,
            Self::Prefix(prefix) => name.starts_with(&**prefix),
        }
    }

    /// What is passed on of `name` if it matches: a prefix that ends in a slash (`openai/*`) names a place and is
    /// cut off, any other (`claude-*`) is part of the name.
    pub fn captured<'name>(&self, name: &'name str) -> Option<&'name str> {
        match self {
            Self::Exact(exact) => (exact.as_str() == name).then_some(name),
            Self::Prefix(prefix) if prefix.ends_with('/') => name.strip_prefix(&**prefix),
            Self::Prefix(prefix) => name.starts_with(&**prefix).then_some(name),
        }
    }

    /// The public name under which a prefix offers what a provider calls `upstream`.
    pub fn offered(&self, upstream: &str) -> Option<String> {
        match self {
            Self::Exact(_) => None,
            Self::Prefix(prefix) if prefix.ends_with('/') => Some(format!("{prefix}{upstream}")),
            Self::Prefix(prefix) => upstream.starts_with(&**prefix).then(|| upstream.to_owned()),
        }
    }

    /// Longer is more specific; an exact name beats every prefix.
    pub fn specificity(&self) -> usize {
        match self {
            Self::Exact(_) => usize::MAX,
            Self::Prefix(prefix) => prefix.len(),
        }
    }
}

impl fmt::Display for ModelPattern {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(name) => name.fmt(formatter),
            Self::Prefix(prefix) => write!(formatter, "{prefix}*"),
        }
    }
}

impl TryFrom<String> for ModelPattern {
    type Error = InvalidModelName;

    fn try_from(text: String) -> Result<Self, InvalidModelName> {
        Self::parse(&text)
    }
}

impl From<ModelPattern> for String {
    fn from(pattern: ModelPattern) -> Self {
        pattern.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_the_grammar() {
        for good in ["gpt-5.5", "openai/gpt-5.5", "claude@20260101", "a:b", &"x".repeat(128)] {
            assert!(ModelName::parse(good).is_ok(), "{good}");
        }
        for bad in ["", "a b", "a..b", "../x", "a\n", "é", "a*", &"x".repeat(129)] {
            assert!(ModelName::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn patterns_have_one_star_at_the_end() {
        let pattern = ModelPattern::parse("openai/*").unwrap();
        assert_eq!(pattern.captured("openai/gpt-5.5"), Some("gpt-5.5"));
        assert_eq!(pattern.offered("gpt-5.5").as_deref(), Some("openai/gpt-5.5"));
        let pattern = ModelPattern::parse("claude-*").unwrap();
        assert_eq!(pattern.captured("claude-opus"), Some("claude-opus"));
        assert_eq!((pattern.captured("gpt-5.5"), pattern.offered("gpt-5.5")), (None, None));
        assert!(!pattern.matches("anthropic/claude"));
        assert!(ModelPattern::parse("*").unwrap().matches("anything"));
        assert!(ModelPattern::parse("a*b").is_err());
        assert!(ModelPattern::parse("a**").is_err());
    }
}
