//! Tools and the choice among them, for requests.

use super::NAME_LIMIT;
use super::thinking::Thinking;
use super::write_request::write_cache_control;
use crate::canonical::{Losses, Request, Tool, ToolChoice};
use crate::translate::carry::Capabilities;
use crate::translate::write::ObjectWriter;
use crate::translate::{names, tool_input};

pub(super) fn write_tools(
    out: &mut ObjectWriter<'_>,
    request: &Request,
    capabilities: &Capabilities,
    thinking: Thinking,
    losses: &mut Losses,
) {
    if request.tools.is_empty() {
        return;
    }
    out.array("tools", |tools| {
        for tool in &request.tools {
            tools.object(|out| write_tool(out, tool));
        }
    });
    if request.tools.iter().any(|tool| tool.free_text.is_some()) {
        losses.emulated("tools[*]", tool_input::FREE_TEXT_EMULATED);
    }
    let mut choice = request.tool_choice.clone();
    let forced = matches!(choice, Some(ToolChoice::Required | ToolChoice::Tool(_)));
    if forced && (!capabilities.forced_tool_choice || thinking.is_on()) {
        losses.changed("tool_choice", "the model cannot be forced to call a tool; it was left to choose");
        choice = Some(ToolChoice::Auto);
    }
    let parallel = request.parallel_tool_calls;
    let Some(choice) = choice.or((parallel == Some(false)).then_some(ToolChoice::Auto)) else { return };
    out.object("tool_choice", |out| {
        match &choice {
            ToolChoice::Auto => out.text("type", "auto"),
            ToolChoice::None => out.text("type", "none"),
            ToolChoice::Required => out.text("type", "any"),
            ToolChoice::Tool(name) => {
                out.text("type", "tool");
                out.text("name", &names::fit(name, NAME_LIMIT));
            }
        }
        if parallel == Some(false) && choice != ToolChoice::None {
            out.value("disable_parallel_tool_use", &true);
        }
    });
}

fn write_tool(out: &mut ObjectWriter<'_>, tool: &Tool) {
    out.text("name", &names::fit(&tool.name, NAME_LIMIT));
    out.optional("description", tool.description.as_deref());
    match &tool.parameters {
        Some(parameters) if parameters.as_str() != "{}" => out.json("input_schema", parameters),
        _ => out.object("input_schema", |schema| {
            schema.text("type", "object");
            schema.object("properties", |_| {});
        }),
    }
    out.optional("strict", tool.strict.as_ref());
    write_cache_control(out, tool.cache);
}
