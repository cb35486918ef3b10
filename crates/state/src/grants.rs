//! Which models a key may use: allow and deny patterns; deny wins, and nothing listed means nothing allowed.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tollgate_core::ModelPattern;

/// Patterns over public model names. An empty `allow` allows nothing; `["*"]` allows every model.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Grants {
    #[schemars(with = "Vec<String>")]
    pub allow: Vec<ModelPattern>,
    #[schemars(with = "Vec<String>")]
    pub deny: Vec<ModelPattern>,
}

/// Why a model is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// A deny pattern matches.
    Denied,
    /// No allow pattern matches.
    NotGranted,
}

impl Grants {
    /// Every model.
    pub fn everything() -> Self {
        Self { allow: vec![ModelPattern::Prefix("".into())], deny: Vec::new() }
    }

    /// Whether every model may be used, also those that have no name here.
    pub fn is_everything(&self) -> bool {
        self.deny.is_empty() && self.allow.iter().any(|pattern| pattern.specificity() == 0)
    }

    /// Whether `model` may be used.
    pub fn check(&self, model: &str) -> Result<(), Refusal> {
        if self.deny.iter().any(|pattern| pattern.matches(model)) {
            Err(Refusal::Denied)
        } else if self.allow.iter().any(|pattern| pattern.matches(model)) {
            Ok(())
        } else {
            Err(Refusal::NotGranted)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn patterns(texts: &[&str]) -> Vec<ModelPattern> {
        texts.iter().map(|text| ModelPattern::parse(text).unwrap()).collect()
    }

    #[test]
    fn deny_wins_and_nothing_means_nothing() {
        let grants = Grants { allow: patterns(&["gpt-*"]), deny: patterns(&["gpt-5.5"]) };
        assert_eq!(grants.check("gpt-5"), Ok(()));
        assert_eq!(grants.check("gpt-5.5"), Err(Refusal::Denied));
        assert_eq!(grants.check("claude"), Err(Refusal::NotGranted));
        assert_eq!(Grants::default().check("gpt-5"), Err(Refusal::NotGranted));
        assert_eq!(Grants::everything().check("anything"), Ok(()));
        assert!(Grants::everything().is_everything());
        assert!(!grants.is_everything());
        assert!(!Grants { deny: patterns(&["x"]), ..Grants::everything() }.is_everything());
    }
}
