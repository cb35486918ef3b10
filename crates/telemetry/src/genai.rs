//! The names that spans and their attributes carry, in one place.
//!
//! The GenAI conventions of OpenTelemetry are not stable. Dashboards in the field use the names up to version 1.41 of
//! the general conventions; the conventions' own repository has since changed some. One switch chooses between both.

use tollgate_core::Operation;

/// Which edition of the GenAI conventions spans follow.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Convention {
    /// Up to semantic conventions 1.41, which released instrumentations emit.
    #[default]
    Established,
    /// As the repository of the GenAI conventions has them.
    Latest,
}

impl Convention {
    /// Reads `OTEL_SEMCONV_STABILITY_OPT_IN`, a list of opt-ins of which one concerns GenAI.
    pub fn from_opt_in(list: &str) -> Self {
        let latest = list.split(',').any(|item| item.trim() == "gen_ai_latest_experimental");
        if latest { Self::Latest } else { Self::Established }
    }
}

/// An attribute's name in both editions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attribute {
    established: &'static str,
    latest: &'static str,
}

impl Attribute {
    const fn same(name: &'static str) -> Self {
        Self { established: name, latest: name }
    }

    pub const fn name(self, convention: Convention) -> &'static str {
        match convention {
            Convention::Established => self.established,
            Convention::Latest => self.latest,
        }
    }
}

pub const OPERATION_NAME: Attribute = Attribute::same("gen_ai.operation.name");
pub const PROVIDER_NAME: Attribute = Attribute::same("gen_ai.provider.name");
pub const REQUEST_MODEL: Attribute = Attribute::same("gen_ai.request.model");
pub const REQUEST_STREAM: Attribute = Attribute::same("gen_ai.request.stream");
pub const FINISH_REASONS: Attribute = Attribute::same("gen_ai.response.finish_reasons");
/// In seconds.
pub const TIME_TO_FIRST_CHUNK: Attribute = Attribute::same("gen_ai.response.time_to_first_chunk");
/// All prompt tokens, cached ones included.
pub const INPUT_TOKENS: Attribute = Attribute::same("gen_ai.usage.input_tokens");
/// All generated tokens, reasoning included.
pub const OUTPUT_TOKENS: Attribute = Attribute::same("gen_ai.usage.output_tokens");
pub const CACHE_READ_TOKENS: Attribute = Attribute::same("gen_ai.usage.cache_read.input_tokens");
pub const CACHE_WRITE_TOKENS: Attribute = Attribute {
    established: "gen_ai.usage.cache_creation.input_tokens",
    latest: "gen_ai.usage.cache_write.input_tokens",
};
pub const REASONING_TOKENS: Attribute = Attribute::same("gen_ai.usage.reasoning.output_tokens");
/// In US dollars, on the request's span only, so that a sum over all spans counts nothing twice. In no convention,
/// but what other gateways call it.
pub const COST: Attribute = Attribute::same("gen_ai.usage.cost");

pub const ERROR_TYPE: Attribute = Attribute::same("error.type");
pub const HTTP_STATUS: Attribute = Attribute::same("http.response.status_code");
pub const REGION: Attribute = Attribute::same("cloud.region");

pub const REQUEST_ID: Attribute = Attribute::same("tollgate.request_id");
pub const ORGANIZATION_ID: Attribute = Attribute::same("tollgate.organization_id");
pub const TEAM_ID: Attribute = Attribute::same("tollgate.team_id");
pub const PROJECT_ID: Attribute = Attribute::same("tollgate.project_id");
pub const KEY_ID: Attribute = Attribute::same("tollgate.key_id");
pub const OUTCOME: Attribute = Attribute::same("tollgate.outcome");
pub const FAULT: Attribute = Attribute::same("tollgate.fault");
pub const CLIENT_DIALECT: Attribute = Attribute::same("tollgate.client_dialect");
pub const OVERHEAD_US: Attribute = Attribute::same("tollgate.overhead_us");
/// Exact, on every span: a request's is the sum of its attempts'.
pub const COST_NANOS_USD: Attribute = Attribute::same("tollgate.cost_nanos_usd");
pub const ATTEMPTS: Attribute = Attribute::same("tollgate.attempts");
/// Counted from 0.
pub const ATTEMPT: Attribute = Attribute::same("tollgate.attempt");
pub const SERVED: Attribute = Attribute::same("tollgate.served");
pub const PROVIDER_ID: Attribute = Attribute::same("tollgate.provider_id");
pub const DEPLOYMENT_ID: Attribute = Attribute::same("tollgate.deployment_id");
pub const UPSTREAM_REQUEST_ID: Attribute = Attribute::same("tollgate.upstream_request_id");

/// The value of `gen_ai.operation.name`; operations that the conventions do not have keep our word.
pub const fn operation_name(operation: Operation) -> &'static str {
    match operation {
        Operation::Chat | Operation::Response => "chat",
        Operation::Completion => "text_completion",
        Operation::Embedding => "embeddings",
        Operation::CountTokens | Operation::ProviderObject => operation.as_str(),
    }
}

/// The value of `gen_ai.provider.name` for a kind of provider; kinds that the conventions do not have keep our word.
pub fn provider_name(kind: &str) -> &str {
    match kind {
        "google" => "gcp.gemini",
        "mistral" => "mistral_ai",
        "xai" => "x_ai",
        "azure" => "azure.ai.openai",
        "bedrock" => "aws.bedrock",
        "vertex" => "gcp.vertex_ai",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_switch_changes_the_names_that_changed_and_no_others() {
        let [old, new] = [Convention::Established, Convention::Latest];
        assert_eq!(CACHE_WRITE_TOKENS.name(old), "gen_ai.usage.cache_creation.input_tokens");
        assert_eq!(CACHE_WRITE_TOKENS.name(new), "gen_ai.usage.cache_write.input_tokens");
        assert_eq!(INPUT_TOKENS.name(old), INPUT_TOKENS.name(new));
        assert_eq!(Convention::from_opt_in("http, gen_ai_latest_experimental"), new);
        assert_eq!(Convention::from_opt_in("http"), old);
    }
}
