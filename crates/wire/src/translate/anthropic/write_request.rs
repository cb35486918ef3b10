//! Canonical form to messages request.

use super::thinking::{self, Thinking};
use super::turns;
use super::write_content::write_blocks;
use super::write_tools::write_tools;
use crate::canonical::{
    Block, CacheHint, Content, Json, Losses, OutputFormat, ReasoningMode, Request, Role, ServiceTier,
};
use crate::translate::carry::{Capabilities, RequestContext};
use crate::translate::error::TranslateError;
use crate::translate::write::{self, ObjectWriter};
use crate::translate::{names, schema, structured_output};

const END_USER_LIMIT: usize = 256;
const SCHEMA_FIELD: &str = "response_format.json_schema.schema";

pub(in crate::translate) fn write_request(
    mut request: Request,
    context: &RequestContext<'_>,
    losses: &mut Losses,
) -> Result<Vec<u8>, TranslateError> {
    let capabilities = &context.capabilities;
    turns::arrange(&mut request, capabilities, losses);
    if request.messages.is_empty() {
        return Err(TranslateError::request("messages", "must contain a message with content"));
    }
    let format = output_schema(&mut request, capabilities, losses)?;
    request.system.retain(|block| !matches!(&block.content, Content::Text(text) if text.trim().is_empty()));
    let max_tokens = request.max_output_tokens.unwrap_or(context.default_max_output_tokens);
    let thinking = thinking::plan(&request, max_tokens, capabilities, losses);
    let mut body = Vec::new();
    let mut result = Ok(());
    write::object(&mut body, |out| {
        out.text("model", context.upstream_model);
        out.number("max_tokens", max_tokens);
        write_system(out, &request.system);
        result = write_messages(out, &request);
        write_tools(out, &request, capabilities, thinking, losses);
        write_sampling(out, &request, capabilities, thinking, losses);
        write_thinking(out, &request, thinking, format.as_ref());
        write_end_user(out, &request, losses);
        write_service_tier(out, &request, losses);
        if let Some(cache) = request.automatic_cache {
            write_cache_control(out, Some(cache));
        }
        if request.stream {
            out.value("stream", &true);
        }
    });
    result.map(|()| body)
}

pub(super) fn write_cache_control(out: &mut ObjectWriter<'_>, cache: Option<CacheHint>) {
    let Some(cache) = cache else { return };
    out.object("cache_control", |control| {
        control.text("type", "ephemeral");
        if cache.long {
            control.text("ttl", "1h");
        }
    });
}

/// The schema for constrained decoding; without support for it, an instruction is added instead.
fn output_schema(
    request: &mut Request,
    capabilities: &Capabilities,
    losses: &mut Losses,
) -> Result<Option<Json>, TranslateError> {
    match &request.output_format {
        None => Ok(None),
        Some(OutputFormat::JsonSchema { schema, .. }) if capabilities.native_structured_output => {
            let (schema, changed) = schema::for_constrained_decoding(schema, SCHEMA_FIELD)?;
            if changed {
                losses.changed(SCHEMA_FIELD, "constraints moved into descriptions, objects were closed");
            }
            Ok(Some(schema))
        }
        Some(format) => {
            let schema = match format {
                OutputFormat::JsonSchema { schema, .. } => Some(schema),
                OutputFormat::JsonObject => None,
            };
            losses.emulated("response_format", "the model was told to answer in JSON, not constrained to");
            request.system.push(Block::text(structured_output::instruction(schema)));
            Ok(None)
        }
    }
}

fn write_system(out: &mut ObjectWriter<'_>, system: &[Block]) {
    match system {
        [] => {}
        [Block { content: Content::Text(text), cache: None }] => out.text("system", text),
        blocks => out.array("system", |list| {
            for block in blocks {
                let Content::Text(text) = &block.content else { continue };
                list.object(|out| {
                    out.text("type", "text");
                    out.text("text", text);
                    write_cache_control(out, block.cache);
                });
            }
        }),
    }
}

fn write_messages(out: &mut ObjectWriter<'_>, request: &Request) -> Result<(), TranslateError> {
    let mut result = Ok(());
    out.array("messages", |list| {
        for message in &request.messages {
            list.object(|out| {
                let role = match message.role {
                    Role::System => "system",
                    Role::User => "user",
                    Role::Assistant => "assistant",
                };
                out.text("role", role);
                let written = write_blocks(out, &message.blocks);
                if result.is_ok() {
                    result = written;
                }
            });
        }
    });
    result
}

fn write_sampling(
    out: &mut ObjectWriter<'_>,
    request: &Request,
    capabilities: &Capabilities,
    thinking: Thinking,
    losses: &mut Losses,
) {
    let sampling = &request.sampling;
    let shared =
        [("temperature", &sampling.temperature), ("top_p", &sampling.top_p), ("top_k", &sampling.top_k)];
    for (field, value) in shared {
        let Some(value) = value else { continue };
        if !capabilities.sampling_params || thinking.is_on() {
            losses.dropped(field, "the model takes no sampling parameters, or none while it thinks");
        } else if field == "temperature" && value.as_f64().is_some_and(|number| number > 1.0) {
            losses.changed(field, "is at most 1 at this provider");
            out.number(field, 1);
        } else {
            out.value(field, value);
        }
    }
    let unknown = [
        ("seed", &sampling.seed),
        ("presence_penalty", &sampling.presence_penalty),
        ("frequency_penalty", &sampling.frequency_penalty),
    ];
    for (field, value) in unknown {
        let without_effect =
            field != "seed" && value.as_ref().and_then(serde_json::Number::as_f64) == Some(0.0);
        if value.is_some() && !without_effect {
            losses.dropped(field, "the messages dialect has no such field");
        }
    }
    let (stops, blank): (Vec<_>, Vec<_>) =
        request.stop_sequences.iter().partition(|stop| !stop.trim().is_empty());
    if !blank.is_empty() {
        losses.dropped("stop", "stop sequences of white space are not allowed");
    }
    if !stops.is_empty() {
        out.array("stop_sequences", |list| stops.iter().for_each(|stop| list.text(stop)));
    }
}

fn write_thinking(out: &mut ObjectWriter<'_>, request: &Request, thinking: Thinking, format: Option<&Json>) {
    if let Some(mode) = thinking.mode {
        out.object("thinking", |out| {
            match mode {
                ReasoningMode::Disabled => out.text("type", "disabled"),
                ReasoningMode::Adaptive => out.text("type", "adaptive"),
                ReasoningMode::Budget(tokens) => {
                    out.text("type", "enabled");
                    out.number("budget_tokens", tokens);
                }
            }
            if mode != ReasoningMode::Disabled {
                out.optional("display", request.reasoning.display.as_deref());
            }
        });
    }
    if thinking.effort.is_none() && format.is_none() {
        return;
    }
    out.object("output_config", |config| {
        if let Some(effort) = thinking.effort {
            config.text("effort", effort.as_str());
        }
        if let Some(schema) = format {
            config.object("format", |format| {
                format.text("type", "json_schema");
                format.json("schema", schema);
            });
        }
    });
}

fn write_end_user(out: &mut ObjectWriter<'_>, request: &Request, losses: &mut Losses) {
    let Some(end_user) = &request.end_user else { return };
    let too_long = end_user.chars().count() > END_USER_LIMIT;
    if too_long {
        losses.changed("user", "was longer than 256 characters and is sent as a digest");
    }
    let sent = if too_long { names::digest(end_user) } else { end_user.clone() };
    out.object("metadata", |metadata| metadata.text("user_id", &sent));
}

fn write_service_tier(out: &mut ObjectWriter<'_>, request: &Request, losses: &mut Losses) {
    match &request.service_tier {
        None => {}
        Some(ServiceTier::Auto | ServiceTier::Priority) => out.text("service_tier", "auto"),
        Some(ServiceTier::Standard) => out.text("service_tier", "standard_only"),
        Some(ServiceTier::Fast | ServiceTier::Flex | ServiceTier::Other(_)) => {
            losses.dropped("service_tier", "the provider has no such tier");
        }
    }
}
