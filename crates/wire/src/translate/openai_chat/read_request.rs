//! Chat completions request to canonical form.

use super::read_content::{read_assistant, read_text_blocks, read_tool_result, read_user};
use crate::canonical::{
    Effort, Losses, Message, OutputFormat, ReasoningControl, ReasoningMode, Request, Role, Sampling,
    ServiceTier, Tool, ToolChoice,
};
use crate::translate::error::{Side, TranslateError};
use crate::translate::read::{Node, Object};

pub(in crate::translate) fn read_request(
    body: &[u8],
    losses: &mut Losses,
) -> Result<Request, TranslateError> {
    let mut fields = Object::parse(body, Side::Request)?;
    refuse_what_no_other_dialect_has(&mut fields)?;
    let mut request = Request { model: fields.require("model")?.text()?, ..Request::default() };
    read_messages(&mut fields, &mut request, losses)?;
    for tool in fields.array("tools")? {
        request.tools.extend(read_tool(&tool, losses)?);
    }
    read_tool_choice(&mut fields, &mut request, losses)?;
    request.parallel_tool_calls = fields.boolean("parallel_tool_calls")?;
    let legacy_limit = fields.unsigned("max_tokens")?;
    request.max_output_tokens = fields.unsigned("max_completion_tokens")?.or(legacy_limit);
    request.sampling = Sampling {
        temperature: fields.number("temperature")?,
        top_p: fields.number("top_p")?,
        top_k: fields.number("top_k")?,
        seed: fields.number("seed")?,
        presence_penalty: fields.number("presence_penalty")?,
        frequency_penalty: fields.number("frequency_penalty")?,
    };
    request.stop_sequences = read_stop(&mut fields)?;
    request.output_format = read_output_format(&mut fields, losses)?;
    request.reasoning = read_reasoning(&mut fields)?;
    let user = fields.text("user")?;
    request.end_user = fields.text("safety_identifier")?.or(user);
    request.service_tier = fields.text("service_tier")?.map(ServiceTier::from_openai);
    request.stream = fields.boolean("stream")?.unwrap_or(false);
    if let Some(mut options) = fields.object("stream_options")? {
        request.include_usage = options.boolean("include_usage")?.unwrap_or(false);
        options.ignore(&["include_obfuscation"]);
        options.report_rest(losses);
    }
    fields.ignore_value("logprobs", &["false"]);
    fields.ignore_value("store", &["false"]);
    fields.ignore_value("modalities", &["[\"text\"]"]);
    fields.ignore_value("logit_bias", &["{}"]);
    fields.report_rest(losses);
    Ok(request)
}

fn refuse_what_no_other_dialect_has(fields: &mut Object<'_>) -> Result<(), TranslateError> {
    if fields.unsigned("n")?.is_some_and(|count| count != 1) {
        return Err(fields.error("n", "must be 1: the provider of this model gives one answer per request"));
    }
    if fields.take("functions").is_some() || fields.take("function_call").is_some() {
        return Err(fields.error("functions", "is not translated for this model; use tools and tool_choice"));
    }
    if fields.take("audio").is_some() {
        return Err(fields.error("audio", "this model gives no audio; remove the field"));
    }
    Ok(())
}

fn read_messages(
    fields: &mut Object<'_>,
    request: &mut Request,
    losses: &mut Losses,
) -> Result<(), TranslateError> {
    for node in fields.require("messages")?.array()? {
        let mut message = node.object()?;
        let role = message.require("role")?.text()?;
        match role.as_str() {
            "system" | "developer" => {
                let blocks = read_text_blocks(&mut message, losses)?;
                if request.messages.is_empty() {
                    request.system.extend(blocks);
                } else {
                    request.messages.push(Message { role: Role::System, blocks });
                }
            }
            "user" => {
                let blocks = read_user(&mut message, losses)?;
                request.messages.push(Message { role: Role::User, blocks });
            }
            "assistant" => {
                let blocks = read_assistant(&mut message, losses)?;
                request.messages.push(Message { role: Role::Assistant, blocks });
            }
            "tool" => {
                let blocks = vec![read_tool_result(&mut message, losses)?];
                request.messages.push(Message { role: Role::User, blocks });
            }
            _ => return Err(message.error("role", "must be system, developer, user, assistant or tool")),
        }
        message.report_rest(losses);
    }
    Ok(())
}

fn read_tool(node: &Node<'_>, losses: &mut Losses) -> Result<Option<Tool>, TranslateError> {
    let mut outer = node.object()?;
    let kind = outer.text("type")?;
    if kind.as_deref() == Some("custom") {
        return Err(outer.error("type", "custom tools are not translated for this model; declare a function"));
    }
    if kind.is_some_and(|kind| kind != "function") {
        losses.dropped(node.path(), "only function tools can be translated");
        return Ok(None);
    }
    let mut function = outer.require("function")?.object()?;
    let tool = Tool {
        name: function.require("name")?.text()?,
        description: function.text("description")?,
        parameters: function.take("parameters").map(|schema| schema.json()),
        strict: function.boolean("strict")?,
        cache: super::read_content::read_cache_hint(&mut outer)?,
        ..Tool::default()
    };
    function.report_rest(losses);
    outer.report_rest(losses);
    Ok(Some(tool))
}

fn read_tool_choice(
    fields: &mut Object<'_>,
    request: &mut Request,
    losses: &mut Losses,
) -> Result<(), TranslateError> {
    let Some(node) = fields.take("tool_choice") else { return Ok(()) };
    request.tool_choice = Some(if node.is_text() {
        read_choice_word(&node)?
    } else {
        let mut choice = node.object()?;
        match choice.require("type")?.text()?.as_str() {
            "function" => ToolChoice::Tool(choice.require("function")?.object()?.require("name")?.text()?),
            "allowed_tools" => {
                let mut allowed = choice.require("allowed_tools")?.object()?;
                let mut names = Vec::new();
                for tool in allowed.array("tools")? {
                    let function = tool.object()?.require("function")?;
                    names.push(function.object()?.require("name")?.text()?);
                }
                request.tools.retain(|tool| names.contains(&tool.name));
                losses.emulated(node.path(), "tools that are not allowed were left out of the request");
                read_choice_word(&allowed.require("mode")?)?
            }
            _ => return Err(choice.error("type", "must be function or allowed_tools")),
        }
    });
    Ok(())
}

fn read_choice_word(node: &Node<'_>) -> Result<ToolChoice, TranslateError> {
    Ok(match node.text()?.as_str() {
        "auto" => ToolChoice::Auto,
        "none" => ToolChoice::None,
        "required" => ToolChoice::Required,
        _ => return Err(node.error("must be auto, none, required or an object that names a function")),
    })
}

fn read_stop(fields: &mut Object<'_>) -> Result<Vec<String>, TranslateError> {
    match fields.take("stop") {
        None => Ok(Vec::new()),
        Some(node) if node.is_text() => Ok(vec![node.text()?]),
        Some(node) => node.array_or_text()?.iter().map(Node::text).collect(),
    }
}

fn read_output_format(
    fields: &mut Object<'_>,
    losses: &mut Losses,
) -> Result<Option<OutputFormat>, TranslateError> {
    let Some(mut format) = fields.object("response_format")? else { return Ok(None) };
    match format.require("type")?.text()?.as_str() {
        "text" => Ok(None),
        "json_object" => Ok(Some(OutputFormat::JsonObject)),
        "json_schema" => {
            let mut described = format.require("json_schema")?.object()?;
            let schema = OutputFormat::JsonSchema {
                name: described.text("name")?,
                description: described.text("description")?,
                schema: described.require("schema")?.json(),
                strict: described.boolean("strict")?,
            };
            described.report_rest(losses);
            Ok(Some(schema))
        }
        _ => Err(format.error("type", "must be text, json_object or json_schema")),
    }
}

fn read_reasoning(fields: &mut Object<'_>) -> Result<ReasoningControl, TranslateError> {
    let Some(node) = fields.take("reasoning_effort") else { return Ok(ReasoningControl::default()) };
    let text = node.text()?;
    if text == "none" {
        return Ok(ReasoningControl { mode: Some(ReasoningMode::Disabled), ..ReasoningControl::default() });
    }
    let effort = Effort::parse(&text)
        .ok_or_else(|| node.error("must be none, minimal, low, medium, high, xhigh or max"))?;
    Ok(ReasoningControl { effort: Some(effort), ..ReasoningControl::default() })
}
