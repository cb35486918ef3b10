//! Canonical form to chat completions request.

use super::TOOL_NAME_LIMIT;
use super::write_messages::write_messages;
use crate::canonical::{Effort, Losses, OutputFormat, ReasoningMode, Request, Tool, ToolChoice};
use crate::translate::carry::{Capabilities, RequestContext};
use crate::translate::error::TranslateError;
use crate::translate::schema::accepted_strict;
use crate::translate::write::{self, ObjectWriter};
use crate::translate::{names, tool_input};

/// OpenAI takes at most this many stop sequences.
const MAXIMUM_STOP_SEQUENCES: usize = 4;
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
        result = write_messages(out, request, capabilities, losses);
        write_tools(out, request, capabilities, losses);
        let limit = if capabilities.max_completion_tokens { "max_completion_tokens" } else { "max_tokens" };
        out.optional(limit, request.max_output_tokens.as_ref());
        write_sampling(out, request, capabilities, losses);
        write_output_format(out, request, capabilities, losses);
        write_reasoning(out, request, capabilities, losses);
        write_end_user(out, request, losses);
        write_service_tier(out, request, losses);
        if request.automatic_cache.is_some() {
            losses.dropped("cache_control", "the provider decides itself what it caches");
        }
        if request.stream {
            out.value("stream", &true);
            // Usage is needed for the account whether or not the client wants to see it.
            out.object("stream_options", |options| options.value("include_usage", &true));
        }
    });
    result.map(|()| body)
}

fn write_tools(
    out: &mut ObjectWriter<'_>,
    request: &Request,
    capabilities: &Capabilities,
    losses: &mut Losses,
) {
    if request.tools.is_empty() {
        return;
    }
    out.array("tools", |tools| {
        for tool in &request.tools {
            tools.object(|out| write_tool(out, tool, losses));
        }
    });
    let mut choice = request.tool_choice.clone();
    if let Some(ToolChoice::Required | ToolChoice::Tool(_)) = choice
        && !capabilities.forced_tool_choice
    {
        losses.changed("tool_choice", "the model cannot be forced to call a tool; it was left to choose");
        choice = Some(ToolChoice::Auto);
    }
    match &choice {
        None => {}
        Some(ToolChoice::Auto) => out.text("tool_choice", "auto"),
        Some(ToolChoice::None) => out.text("tool_choice", "none"),
        Some(ToolChoice::Required) => out.text("tool_choice", "required"),
        Some(ToolChoice::Tool(name)) => out.object("tool_choice", |choice| {
            choice.text("type", "function");
            choice.object("function", |function| function.text("name", &names::fit(name, TOOL_NAME_LIMIT)));
        }),
    }
    out.optional("parallel_tool_calls", request.parallel_tool_calls.as_ref());
}

fn write_tool(out: &mut ObjectWriter<'_>, tool: &Tool, losses: &mut Losses) {
    if tool.cache.is_some() {
        losses.dropped("tools[*].cache_control", "the provider decides itself what it caches");
    }
    if tool.free_text.is_some() {
        losses.emulated("tools[*]", tool_input::FREE_TEXT_EMULATED);
    }
    out.text("type", "function");
    out.object("function", |function| {
        function.text("name", &names::fit(&tool.name, TOOL_NAME_LIMIT));
        function.optional("description", tool.description.as_deref());
        if let Some(parameters) = &tool.parameters {
            function.json("parameters", parameters);
        }
        let strict = accepted_strict(tool.strict, tool.parameters.as_ref(), "tools[*].strict", losses);
        function.optional("strict", strict.as_ref());
    });
}

fn write_sampling(
    out: &mut ObjectWriter<'_>,
    request: &Request,
    capabilities: &Capabilities,
    losses: &mut Losses,
) {
    let sampling = &request.sampling;
    if capabilities.sampling_params {
        out.optional("temperature", sampling.temperature.as_ref());
        out.optional("top_p", sampling.top_p.as_ref());
    } else {
        for (field, value) in [("temperature", &sampling.temperature), ("top_p", &sampling.top_p)] {
            if value.is_some() {
                losses.dropped(field, "the model takes no sampling parameters");
            }
        }
    }
    if sampling.top_k.is_some() {
        losses.dropped("top_k", "the chat dialect has no such field");
    }
    out.optional("seed", sampling.seed.as_ref());
    out.optional("presence_penalty", sampling.presence_penalty.as_ref());
    out.optional("frequency_penalty", sampling.frequency_penalty.as_ref());
    if request.stop_sequences.len() > MAXIMUM_STOP_SEQUENCES {
        losses.changed("stop_sequences", "only the first 4 were sent");
    }
    if !request.stop_sequences.is_empty() {
        out.array("stop", |stops| {
            for stop in request.stop_sequences.iter().take(MAXIMUM_STOP_SEQUENCES) {
                stops.text(stop);
            }
        });
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
        Some(OutputFormat::JsonObject) => {
            out.object("response_format", |format| format.text("type", "json_object"));
        }
        // The schema then stands in the instructions, see `write_messages`.
        Some(OutputFormat::JsonSchema { .. }) if !capabilities.native_structured_output => {}
        Some(OutputFormat::JsonSchema { name, description, schema, strict }) => {
            out.object("response_format", |format| {
                format.text("type", "json_schema");
                format.object("json_schema", |described| {
                    described.text("name", name.as_deref().unwrap_or("response"));
                    described.optional("description", description.as_deref());
                    let strict = accepted_strict(*strict, Some(schema), "output_config.format", losses);
                    described.optional("strict", strict.as_ref());
                    described.json("schema", schema);
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
    if request.reasoning.display.is_some() {
        losses.dropped("thinking.display", "the provider decides itself what it shows of its reasoning");
    }
    let effort = match (request.reasoning.mode, request.reasoning.effort) {
        (Some(ReasoningMode::Disabled), _) => Some("none"),
        (_, Some(effort)) => Some(effort.as_str()),
        (Some(ReasoningMode::Budget(tokens)), None) => {
            losses.changed("thinking.budget_tokens", "became the nearest effort");
            Some(Effort::from_budget_tokens(tokens).as_str())
        }
        (Some(ReasoningMode::Adaptive) | None, None) => None,
    };
    let Some(effort) = effort else { return };
    if capabilities.reasoning_effort {
        out.text("reasoning_effort", effort);
    } else {
        losses.dropped("reasoning_effort", "the model takes no reasoning effort");
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

fn write_service_tier(out: &mut ObjectWriter<'_>, request: &Request, losses: &mut Losses) {
    let Some(tier) = &request.service_tier else { return };
    match tier.as_openai() {
        Some(known) => out.text("service_tier", known),
        None => losses.dropped("service_tier", "the provider does not know this tier"),
    }
}
