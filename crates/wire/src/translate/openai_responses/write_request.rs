//! Canonical form to responses request.

use super::write_input::write_input;
use super::write_tools::write_tools;
use crate::canonical::{Content, Effort, Losses, OutputFormat, ReasoningMode, Request};
use crate::translate::carry::{Capabilities, RequestContext};
use crate::translate::error::TranslateError;
use crate::translate::schema::accepted_strict;
use crate::translate::write::{self, ObjectWriter};
use crate::translate::{names, reasoning_proof};

/// Longest end-user identifier.
const END_USER_LIMIT: usize = 64;

pub(in crate::translate) fn write_request(
    request: &Request,
    context: &RequestContext<'_>,
    losses: &mut Losses,
) -> Result<Vec<u8>, TranslateError> {
    let capabilities = &context.capabilities;
    let mut body = Vec::new();
    let mut result = Ok(());
    write::object(&mut body, |out| {
        out.text("model", context.upstream_model);
        result = write_input(out, request, capabilities, losses);
        write_tools(out, request, capabilities, losses);
        out.optional("max_output_tokens", request.max_output_tokens.as_ref());
        write_sampling(out, request, capabilities, losses);
        write_output_format(out, request, capabilities, losses);
        write_reasoning(out, request, capabilities, losses);
        write_end_user(out, request, losses);
        if let Some(tier) = &request.service_tier {
            match tier.as_openai() {
                Some(known) => out.text("service_tier", known),
                None => losses.dropped("service_tier", "the provider does not know this tier"),
            }
        }
        if request.automatic_cache.is_some() {
            losses.dropped("cache_control", "the provider decides itself what it caches");
        }
        // The client's dialect has no way to ask for what a provider keeps.
        out.value("store", &false);
        if request.stream {
            out.value("stream", &true);
        }
    });
    result.map(|()| body)
}

fn write_sampling(
    out: &mut ObjectWriter<'_>,
    request: &Request,
    capabilities: &Capabilities,
    losses: &mut Losses,
) {
    let sampling = &request.sampling;
    for (field, value) in [("temperature", &sampling.temperature), ("top_p", &sampling.top_p)] {
        if capabilities.sampling_params {
            out.optional(field, value.as_ref());
        } else if value.is_some() {
            losses.dropped(field, "the model takes no sampling parameters");
        }
    }
    for (field, value) in [
        ("top_k", &sampling.top_k),
        ("seed", &sampling.seed),
        ("presence_penalty", &sampling.presence_penalty),
        ("frequency_penalty", &sampling.frequency_penalty),
    ] {
        let without_effect =
            field.ends_with("_penalty") && value.as_ref().and_then(serde_json::Number::as_f64) == Some(0.0);
        if value.is_some() && !without_effect {
            losses.dropped(field, "the responses dialect has no such field");
        }
    }
    if !request.stop_sequences.is_empty() {
        losses.dropped("stop", "the responses dialect has no stop sequences");
    }
}

fn write_output_format(
    out: &mut ObjectWriter<'_>,
    request: &Request,
    capabilities: &Capabilities,
    losses: &mut Losses,
) {
    match &request.output_format {
        None => {}
        Some(OutputFormat::JsonObject) => out.object("text", |text| {
            text.object("format", |format| format.text("type", "json_object"));
        }),
        // The schema then stands in the instructions, see `write_input`.
        Some(OutputFormat::JsonSchema { .. }) if !capabilities.native_structured_output => {}
        Some(OutputFormat::JsonSchema { name, description, schema, strict }) => {
            out.object("text", |text| {
                text.object("format", |format| {
                    format.text("type", "json_schema");
                    format.text("name", name.as_deref().unwrap_or("response"));
                    format.optional("description", description.as_deref());
                    let strict = accepted_strict(*strict, Some(schema), "output_config.format", losses);
                    // Unlike in the chat dialect, strictness is what absence means.
                    format.value("strict", &strict.unwrap_or(false));
                    format.json("schema", schema);
                });
            });
        }
    }
}

fn write_reasoning(
    out: &mut ObjectWriter<'_>,
    request: &Request,
    capabilities: &Capabilities,
    losses: &mut Losses,
) {
    let wanted = &request.reasoning;
    let effort = match (wanted.mode, wanted.effort) {
        (Some(ReasoningMode::Disabled), _) => Some("none"),
        (_, Some(effort)) => Some(effort.as_str()),
        (Some(ReasoningMode::Budget(tokens)), None) => {
            losses.changed("thinking.budget_tokens", "became the nearest effort");
            Some(Effort::from_budget_tokens(tokens).as_str())
        }
        (Some(ReasoningMode::Adaptive) | None, None) => None,
    };
    let thinks = matches!(wanted.mode, Some(ReasoningMode::Adaptive | ReasoningMode::Budget(_)));
    let replays = request.messages.iter().flat_map(|message| &message.blocks).any(|block| {
        matches!(&block.content, Content::Reasoning(reasoning) if reasoning_proof::is_of_responses(reasoning))
    });
    if !capabilities.reasoning_effort {
        if effort.is_some_and(|effort| effort != "none") || thinks {
            losses.dropped("reasoning", "the model does not reason");
        }
        return;
    }
    if effort.is_some() || thinks {
        let is_shown = thinks && wanted.display.as_deref() != Some("omitted");
        out.object("reasoning", |reasoning| {
            reasoning.optional("effort", effort);
            if is_shown {
                reasoning.text("summary", "auto");
            }
        });
    }
    // Without it the next turn could not bring the reasoning back. Models that do not reason refuse it.
    if thinks || replays || effort.is_some_and(|effort| effort != "none") {
        out.array("include", |include| include.text("reasoning.encrypted_content"));
    }
}

fn write_end_user(out: &mut ObjectWriter<'_>, request: &Request, losses: &mut Losses) {
    let Some(end_user) = &request.end_user else { return };
    if end_user.chars().count() > END_USER_LIMIT {
        losses.changed("metadata.user_id", "was longer than 64 characters and is sent as a digest");
        out.text("user", &names::digest(end_user));
    } else {
        out.text("user", end_user);
    }
}
