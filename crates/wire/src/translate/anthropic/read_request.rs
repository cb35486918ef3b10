//! Messages request to canonical form.

use super::read_content::{read_block, read_cache_control, read_content};
use crate::canonical::{
    Block, Effort, Losses, Message, OutputFormat, ReasoningMode, Request, Role, Sampling, ServiceTier, Tool,
    ToolChoice,
};
use crate::translate::error::{Side, TranslateError};
use crate::translate::read::{Node, Object};

pub(in crate::translate) fn read_request(
    body: &[u8],
    losses: &mut Losses,
) -> Result<Request, TranslateError> {
    let mut fields = Object::parse(body, Side::Request)?;
    let mut request = Request {
        model: fields.require("model")?.text()?,
        stream: fields.boolean("stream")?.unwrap_or(false),
        include_usage: true,
        ..Request::default()
    };
    request.max_output_tokens = fields.unsigned("max_tokens")?;
    if let Some(system) = fields.take("system") {
        request.system = read_content(&system, losses)?;
    }
    for node in fields.require("messages")?.array()? {
        request.messages.push(read_message(&node, losses)?);
    }
    for tool in fields.array("tools")? {
        request.tools.extend(read_tool(&tool, losses)?);
    }
    read_tool_choice(&mut fields, &mut request, losses)?;
    request.sampling = Sampling {
        temperature: fields.number("temperature")?,
        top_p: fields.number("top_p")?,
        top_k: fields.number("top_k")?,
        ..Sampling::default()
    };
    request.stop_sequences =
        fields.array("stop_sequences")?.iter().map(Node::text).collect::<Result<Vec<_>, _>>()?;
    read_thinking(&mut fields, &mut request, losses)?;
    read_output_config(&mut fields, &mut request, losses)?;
    if let Some(mut metadata) = fields.object("metadata")? {
        request.end_user = metadata.text("user_id")?;
        metadata.report_rest(losses);
    }
    request.service_tier = read_service_tier(&mut fields)?;
    request.automatic_cache = read_cache_control(&mut fields)?;
    fields.report_rest(losses);
    Ok(request)
}

fn read_message(node: &Node<'_>, losses: &mut Losses) -> Result<Message, TranslateError> {
    let mut message = node.object()?;
    let role = match message.require("role")?.text()?.as_str() {
        "user" => Role::User,
        "assistant" => Role::Assistant,
        "system" => Role::System,
        _ => return Err(message.error("role", "must be user, assistant or system")),
    };
    let blocks: Vec<Block> = read_content(&message.require("content")?, losses)?;
    message.report_rest(losses);
    Ok(Message { role, blocks })
}

fn read_tool(node: &Node<'_>, losses: &mut Losses) -> Result<Option<Tool>, TranslateError> {
    let mut fields = node.object()?;
    if fields.text("type")?.is_some_and(|kind| kind != "custom") {
        losses.dropped(node.path(), "runs at its provider and does not exist elsewhere");
        return Ok(None);
    }
    let tool = Tool {
        name: fields.require("name")?.text()?,
        description: fields.text("description")?,
        parameters: fields.take("input_schema").map(|schema| schema.json()),
        strict: fields.boolean("strict")?,
        cache: read_cache_control(&mut fields)?,
        ..Tool::default()
    };
    fields.report_rest(losses);
    Ok(Some(tool))
}

fn read_tool_choice(
    fields: &mut Object<'_>,
    request: &mut Request,
    losses: &mut Losses,
) -> Result<(), TranslateError> {
    let Some(mut choice) = fields.object("tool_choice")? else { return Ok(()) };
    let mut wanted = match choice.require("type")?.text()?.as_str() {
        "auto" => ToolChoice::Auto,
        "none" => ToolChoice::None,
        "any" => ToolChoice::Required,
        "tool" => ToolChoice::Tool(choice.require("name")?.text()?),
        _ => return Err(choice.error("type", "must be auto, any, tool or none")),
    };
    if let ToolChoice::Tool(name) = &wanted
        && !request.tools.iter().any(|tool| &tool.name == name)
    {
        losses.changed("tool_choice", "the chosen tool could not be sent; the model was left to choose");
        wanted = ToolChoice::Auto;
    }
    request.tool_choice = Some(wanted);
    request.parallel_tool_calls = choice.boolean("disable_parallel_tool_use")?.map(|disabled| !disabled);
    choice.report_rest(losses);
    Ok(())
}

fn read_thinking(
    fields: &mut Object<'_>,
    request: &mut Request,
    losses: &mut Losses,
) -> Result<(), TranslateError> {
    let Some(mut thinking) = fields.object("thinking")? else { return Ok(()) };
    request.reasoning.mode = match thinking.require("type")?.text()?.as_str() {
        "disabled" => Some(ReasoningMode::Disabled),
        "adaptive" => Some(ReasoningMode::Adaptive),
        "enabled" => Some(ReasoningMode::Budget(thinking.require("budget_tokens")?.unsigned()?)),
        _ => {
            losses.dropped("thinking.type", "the kind of thinking is not known");
            None
        }
    };
    request.reasoning.display = thinking.text("display")?;
    thinking.report_rest(losses);
    Ok(())
}

fn read_output_config(
    fields: &mut Object<'_>,
    request: &mut Request,
    losses: &mut Losses,
) -> Result<(), TranslateError> {
    // `output_format` is the name from the time when structured output was a beta.
    let mut format = fields.object("output_format")?;
    if let Some(mut config) = fields.object("output_config")? {
        if let Some(effort) = config.take("effort") {
            request.reasoning.effort = Effort::parse(&effort.text()?);
            if request.reasoning.effort.is_none() {
                losses.dropped(effort.path(), "the effort is not known");
            }
        }
        format = config.object("format")?.or(format);
        config.report_rest(losses);
    }
    let Some(mut format) = format else { return Ok(()) };
    if format.require("type")?.text()? != "json_schema" {
        return Err(format.error("type", "must be json_schema"));
    }
    request.output_format = Some(OutputFormat::JsonSchema {
        name: format.text("name")?,
        description: None,
        schema: format.require("schema")?.json(),
        // Anthropic always constrains the decoding.
        strict: Some(true),
    });
    format.report_rest(losses);
    Ok(())
}

fn read_service_tier(fields: &mut Object<'_>) -> Result<Option<ServiceTier>, TranslateError> {
    let tier = fields.text("service_tier")?.map(|tier| match tier.as_str() {
        "auto" => ServiceTier::Auto,
        "standard_only" => ServiceTier::Standard,
        _ => ServiceTier::Other(tier),
    });
    let fast = fields.text("speed")?.is_some_and(|speed| speed == "fast");
    Ok(if fast { Some(ServiceTier::Fast) } else { tier })
}

/// Reads one content block; unknown kinds are reported and left out.
pub(super) fn read_blocks(nodes: &[Node<'_>], losses: &mut Losses) -> Result<Vec<Block>, TranslateError> {
    let mut blocks = Vec::with_capacity(nodes.len());
    for node in nodes {
        blocks.extend(read_block(node, losses)?);
    }
    Ok(blocks)
}
