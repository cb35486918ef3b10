//! Tools and the choice among them, for requests.

use super::{NAMESPACE_SEPARATOR, TOOL_NAME_LIMIT};
use crate::canonical::{Losses, Request, Tool, ToolChoice};
use crate::translate::carry::Capabilities;
use crate::translate::names;
use crate::translate::schema::accepted_strict;
use crate::translate::write::{ArrayWriter, ObjectWriter};

pub(super) fn write_tools(
    out: &mut ObjectWriter<'_>,
    request: &Request,
    capabilities: &Capabilities,
    losses: &mut Losses,
) {
    if request.tools.is_empty() {
        return;
    }
    out.array("tools", |tools| write_list(tools, &request.tools, losses));
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
            let chosen = request.tools.iter().find(|tool| tool.name == *name);
            let is_free_text = chosen.is_some_and(|tool| tool.free_text.is_some());
            choice.text("type", if is_free_text { "custom" } else { "function" });
            write_name(choice, name, chosen.and_then(|tool| tool.namespace.as_deref()));
        }),
    }
    out.optional("parallel_tool_calls", request.parallel_tool_calls.as_ref());
}

/// A tool's name, and its namespace apart.
pub(super) fn write_name(out: &mut ObjectWriter<'_>, name: &str, namespace: Option<&str>) {
    out.text("name", &names::fit(own_name(name, namespace), TOOL_NAME_LIMIT));
    out.optional("namespace", namespace);
}

fn own_name<'n>(name: &'n str, namespace: Option<&str>) -> &'n str {
    namespace
        .and_then(|namespace| name.strip_prefix(namespace)?.strip_prefix(NAMESPACE_SEPARATOR))
        .unwrap_or(name)
}

/// Members of one namespace that follow one another stand in one group.
fn write_list(list: &mut ArrayWriter<'_>, tools: &[Tool], losses: &mut Losses) {
    for group in tools.chunk_by(|one, other| one.namespace.is_some() && one.namespace == other.namespace) {
        match group {
            [Tool { namespace: Some(namespace), .. }, ..] => list.object(|out| {
                out.text("type", "namespace");
                out.text("name", namespace);
                out.text("description", "");
                out.array("tools", |members| {
                    for tool in group {
                        members.object(|out| write_tool(out, tool, losses));
                    }
                });
            }),
            tools => {
                for tool in tools {
                    list.object(|out| write_tool(out, tool, losses));
                }
            }
        }
    }
}

fn write_tool(out: &mut ObjectWriter<'_>, tool: &Tool, losses: &mut Losses) {
    if tool.cache.is_some() {
        losses.dropped("tools[*].cache_control", "the provider decides itself what it caches");
    }
    let name = names::fit(own_name(&tool.name, tool.namespace.as_deref()), TOOL_NAME_LIMIT);
    out.text("type", if tool.free_text.is_some() { "custom" } else { "function" });
    out.text("name", &name);
    out.optional("description", tool.description.as_deref());
    if let Some(free_text) = &tool.free_text {
        if let Some(format) = &free_text.format {
            out.json("format", format);
        }
        return;
    }
    match &tool.parameters {
        Some(parameters) => out.json("parameters", parameters),
        None => out.object("parameters", |schema| {
            schema.text("type", "object");
            schema.object("properties", |_| {});
        }),
    }
    let strict = accepted_strict(tool.strict, tool.parameters.as_ref(), "tools[*].strict", losses);
    // Unlike in other dialects, strictness is what absence means.
    out.value("strict", &strict.unwrap_or(false));
}
