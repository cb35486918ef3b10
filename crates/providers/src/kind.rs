//! The rows of the provider file.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use http::{HeaderName, HeaderValue};
use serde::Deserialize;
use tollgate_core::{Dialect, Operation, SecretText};

const DATA: &str = include_str!("../data/providers.toml");

/// How a provider wants its credential.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Auth {
    /// `Authorization: Bearer …`.
    Bearer,
    /// `x-api-key: …`.
    XApiKey,
    /// `api-key: …`.
    ApiKey,
    /// No credential; one that is configured is sent as a bearer token.
    None,
}

/// One row: a kind of provider that configuration can name.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProviderKind {
    pub kind: Box<str>,
    pub name: Box<str>,
    /// Absent where only the operator can know it.
    pub base_url: Option<Box<str>>,
    pub auth: Auth,
    pub speaks: Vec<Dialect>,
    /// Sent with every call unless the client sends the header itself.
    #[serde(default)]
    pub headers: BTreeMap<Box<str>, Box<str>>,
    #[serde(default = "yes")]
    pub stream_usage_option: bool,
    /// Usually lives in a private network, so the egress guard lets it through.
    #[serde(default)]
    pub internal: bool,
    /// The environment variable that `--detect` looks for.
    pub detect_env: Option<Box<str>>,
    pub source: Box<str>,
}

const fn yes() -> bool {
    true
}

#[derive(Deserialize)]
struct File {
    provider: Vec<ProviderKind>,
}

/// All rows, in the file's order.
pub fn known() -> &'static [ProviderKind] {
    static KINDS: OnceLock<Vec<ProviderKind>> = OnceLock::new();
    // A file that does not parse cannot be shipped: a test reads it.
    KINDS.get_or_init(|| toml::from_str::<File>(DATA).map(|file| file.provider).unwrap_or_default())
}

/// The row of a kind.
pub fn find(kind: &str) -> Option<&'static ProviderKind> {
    known().iter().find(|row| &*row.kind == kind)
}

/// In which dialect an operation goes upstream, and to which path below the base URL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UpstreamRoute {
    pub dialect: Dialect,
    pub path: &'static str,
}

impl UpstreamRoute {
    const fn new(dialect: Dialect, operation: Operation) -> Self {
        let path = match (dialect, operation) {
            (Dialect::OpenaiChat, _) => "/chat/completions",
            (Dialect::OpenaiCompletions, _) => "/completions",
            (Dialect::OpenaiEmbeddings, _) => "/embeddings",
            (Dialect::OpenaiResponses, _) => "/responses",
            (Dialect::AnthropicMessages, Operation::CountTokens) => "/messages/count_tokens",
            (Dialect::AnthropicMessages, _) => "/messages",
        };
        Self { dialect, path }
    }
}

impl ProviderKind {
    /// The client's own dialect where the provider speaks it, else the nearest one that Tollgate can translate to;
    /// `None` where neither.
    pub fn route(&self, operation: Operation, client: Dialect) -> Option<UpstreamRoute> {
        if self.speaks.contains(&client) {
            return Some(UpstreamRoute::new(client, operation));
        }
        let substitutes = match (operation, client) {
            (Operation::Chat, Dialect::OpenaiChat) => [Dialect::AnthropicMessages, Dialect::OpenaiResponses],
            (Operation::Chat, Dialect::AnthropicMessages) => [Dialect::OpenaiChat, Dialect::OpenaiResponses],
            (Operation::Response, Dialect::OpenaiResponses) => {
                [Dialect::OpenaiChat, Dialect::AnthropicMessages]
            }
            _ => return None,
        };
        let substitute = substitutes.into_iter().find(|substitute| self.speaks.contains(substitute))?;
        Some(UpstreamRoute::new(substitute, operation))
    }

    /// The header that carries the credential; `None` when there is none to send.
    pub fn credential_header(
        &self,
        secret: Option<&SecretText>,
    ) -> Result<Option<(HeaderName, HeaderValue)>, http::header::InvalidHeaderValue> {
        let Some(secret) = secret else { return Ok(None) };
        let (name, text) = match self.auth {
            Auth::Bearer | Auth::None => (http::header::AUTHORIZATION, format!("Bearer {}", secret.expose())),
            Auth::XApiKey => (HeaderName::from_static("x-api-key"), secret.expose().to_owned()),
            Auth::ApiKey => (HeaderName::from_static("api-key"), secret.expose().to_owned()),
        };
        let mut value = HeaderValue::try_from(text)?;
        value.set_sensitive(true);
        Ok(Some((name, value)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_is_whole() {
        let kinds = toml::from_str::<File>(DATA).unwrap().provider;
        assert!(kinds.len() >= 10);
        for row in &kinds {
            assert_eq!(kinds.iter().filter(|other| other.kind == row.kind).count(), 1, "{} twice", row.kind);
            assert!(!row.speaks.is_empty() && !row.source.is_empty(), "{}", row.kind);
            if let Some(url) = &row.base_url {
                let parsed: http::Uri = url.parse().unwrap();
                assert!(parsed.host().is_some() && !url.ends_with('/'), "{url}");
                assert!(url.starts_with("https://") || row.internal, "{url} is not encrypted");
            }
        }
    }

    #[test]
    fn same_dialect_first_then_a_translation_then_nothing() {
        let anthropic = find("anthropic").unwrap();
        let route = anthropic.route(Operation::Chat, Dialect::AnthropicMessages).unwrap();
        assert_eq!((route.dialect, route.path), (Dialect::AnthropicMessages, "/messages"));
        let count = anthropic.route(Operation::CountTokens, Dialect::AnthropicMessages).unwrap();
        assert_eq!(count.path, "/messages/count_tokens");
        let translated = anthropic.route(Operation::Chat, Dialect::OpenaiChat).unwrap();
        assert_eq!(translated.dialect, Dialect::AnthropicMessages);
        let response =
            |kind| find(kind).unwrap().route(Operation::Response, Dialect::OpenaiResponses).unwrap();
        assert_eq!(response("openai").path, "/responses");
        assert_eq!(response("openai_chat_compatible").path, "/chat/completions");
        assert_eq!(response("anthropic").path, "/messages");
        let only_responses = find("openai_responses_compatible").unwrap();
        for dialect in [Dialect::OpenaiChat, Dialect::AnthropicMessages] {
            assert_eq!(only_responses.route(Operation::Chat, dialect).unwrap().path, "/responses");
        }
        assert_eq!(anthropic.route(Operation::Embedding, Dialect::OpenaiEmbeddings), None);
        assert_eq!(find("openai").unwrap().route(Operation::CountTokens, Dialect::AnthropicMessages), None);
    }

    #[test]
    fn credentials_are_marked_sensitive() {
        let secret = SecretText::new("sk-canary".into());
        let (name, value) = find("anthropic").unwrap().credential_header(Some(&secret)).unwrap().unwrap();
        assert_eq!(name, "x-api-key");
        assert!(value.is_sensitive());
        assert!(find("openai").unwrap().credential_header(Some(&SecretText::new("a\nb".into()))).is_err());
    }
}
