//! Responses request to canonical form.

use super::read_input::read_input;
use super::read_tools::{read_tool, read_tool_choice, refuse_same_names};
use crate::canonical::{
    Block, Effort, Losses, OutputFormat, ReasoningMode, Request, Sampling, ServiceTier, ToolChoice,
};
use crate::translate::error::{Side, TranslateError};
use crate::translate::read::Object;

type Result<T> = std::result::Result<T, TranslateError>;

/// Fields that the response object repeats.
const ECHOED: [&str; 16] = [
    "instructions",
    "max_output_tokens",
    "max_tool_calls",
    "metadata",
    "parallel_tool_calls",
    "prompt_cache_key",
    "reasoning",
    "safety_identifier",
    "temperature",
    "text",
    "tool_choice",
    "tools",
    "top_logprobs",
    "top_p",
    "truncation",
    "user",
];

pub(in crate::translate) fn read_request(body: &[u8], losses: &mut Losses) -> Result<Request> {
    let mut fields = Object::parse(body, Side::Request)?;
    refuse_what_a_provider_keeps(&mut fields)?;
    let echo = ECHOED.iter().filter_map(|key| Some((*key, fields.peek(key)?.json()))).collect();
    let mut request = Request { model: fields.require("model")?.text()?, echo, ..Request::default() };
    if let Some(instructions) = fields.text("instructions")? {
        request.system.push(Block::text(instructions));
    }
    for tool in fields.array("tools")? {
        read_tool(&tool, &mut request.tools, losses)?;
    }
    read_input(&fields.require("input")?, &mut request, losses)?;
    refuse_same_names(&request.tools)?;
    read_tool_choice(&mut fields, &mut request, losses)?;
    if request.tools.is_empty() {
        request.tool_choice = request.tool_choice.filter(|choice| *choice == ToolChoice::None);
    }
    request.parallel_tool_calls = fields.boolean("parallel_tool_calls")?;
    request.max_output_tokens = fields.unsigned("max_output_tokens")?;
    request.sampling = Sampling {
        temperature: fields.number("temperature")?,
        top_p: fields.number("top_p")?,
        ..Sampling::default()
    };
    read_text(&mut fields, &mut request, losses)?;
    read_reasoning(&mut fields, &mut request, losses)?;
    let user = fields.text("user")?;
    request.end_user = fields.text("safety_identifier")?.or(user);
    request.service_tier = fields.text("service_tier")?.map(ServiceTier::from_openai);
    request.stream = fields.boolean("stream")?.unwrap_or(false);
    request.include_usage = true;
    if let Some(mut options) = fields.object("stream_options")? {
        options.ignore(&["include_obfuscation"]);
        options.report_rest(losses);
    }
    read_include(&mut fields, losses)?;
    // The answer repeats it; nothing else would become of it without a store.
    fields.ignore(&["metadata"]);
    fields.ignore_value("store", &["false"]);
    fields.ignore_value("background", &["false"]);
    fields.ignore_value("truncation", &["\"disabled\""]);
    fields.ignore_value("top_logprobs", &["0"]);
    fields.report_rest(losses);
    Ok(request)
}

/// State that only the provider of an earlier answer has.
fn refuse_what_a_provider_keeps(fields: &mut Object<'_>) -> Result<()> {
    for (key, instead) in [
        ("previous_response_id", "earlier answers are not kept for this model; send the whole input instead"),
        ("conversation", "conversations are not kept for this model; send the whole input instead"),
        ("prompt", "stored prompts exist at their own provider only; send instructions and input instead"),
    ] {
        if fields.take(key).is_some() {
            return Err(fields.error(key, instead));
        }
    }
    if fields.peek("background").is_some_and(|node| node.boolean() == Ok(true)) {
        return Err(fields.error("background", "is not served for this model; send false"));
    }
    Ok(())
}

fn read_text(fields: &mut Object<'_>, request: &mut Request, losses: &mut Losses) -> Result<()> {
    let Some(mut text) = fields.object("text")? else { return Ok(()) };
    if let Some(mut format) = text.object("format")? {
        request.output_format = match format.require("type")?.text()?.as_str() {
            "text" => None,
            "json_object" => Some(OutputFormat::JsonObject),
            "json_schema" => Some(OutputFormat::JsonSchema {
                name: format.text("name")?,
                description: format.text("description")?,
                schema: format.require("schema")?.json(),
                strict: format.boolean("strict")?,
            }),
            _ => return Err(format.error("type", "must be text, json_object or json_schema")),
        };
        format.report_rest(losses);
    }
    text.ignore_value("verbosity", &["\"medium\""]);
    text.report_rest(losses);
    Ok(())
}

fn read_reasoning(fields: &mut Object<'_>, request: &mut Request, losses: &mut Losses) -> Result<()> {
    let Some(mut reasoning) = fields.object("reasoning")? else { return Ok(()) };
    if let Some(node) = reasoning.take("effort") {
        let text = node.text()?;
        if text == "none" {
            request.reasoning.mode = Some(ReasoningMode::Disabled);
        } else {
            let effort = Effort::parse(&text);
            let problem = || node.error("must be none, minimal, low, medium, high, xhigh or max");
            request.reasoning.effort = Some(effort.ok_or_else(problem)?);
        }
    }
    // Whatever the upstream shows of its reasoning is shown; without it the next turn could not carry it.
    reasoning.ignore(&["summary", "generate_summary"]);
    reasoning.report_rest(losses);
    Ok(())
}

fn read_include(fields: &mut Object<'_>, losses: &mut Losses) -> Result<()> {
    for node in fields.array("include")? {
        let wanted = node.text()?;
        // Reasoning always comes with it.
        if wanted != "reasoning.encrypted_content" {
            losses.dropped(&format!("include({wanted})"), "the provider of this model has nothing like it");
        }
    }
    Ok(())
}
