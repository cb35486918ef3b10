//! Tools and the choice among them.

use super::read_item::qualified;
use crate::canonical::{FreeText, Losses, Request, Tool, ToolChoice};
use crate::translate::error::TranslateError;
use crate::translate::read::{Node, Object};
use crate::translate::tool_input;

type Result<T> = std::result::Result<T, TranslateError>;

/// Reads one entry of `tools` into `tools`: none, one, or the members of a namespace.
pub(super) fn read_tool(node: &Node<'_>, tools: &mut Vec<Tool>, losses: &mut Losses) -> Result<()> {
    let mut fields = node.object()?;
    if fields.text("type")?.as_deref() != Some("namespace") {
        tools.extend(read_one(node, None, losses)?);
        return Ok(());
    }
    let namespace = fields.require("name")?.text()?;
    let description = fields.text("description")?.filter(|text| !text.is_empty());
    if description.is_some() {
        losses.emulated(&fields.path_of("description"), "the namespace's description went to its tools");
    }
    for member in fields.array("tools")? {
        let Some(mut tool) = read_one(&member, Some(&namespace), losses)? else { continue };
        if let Some(of_all) = &description {
            let own = tool.description.unwrap_or_default();
            tool.description = Some(format!("{of_all}\n\n{own}").trim_end().to_owned());
        }
        tools.push(tool);
    }
    fields.report_rest(losses);
    Ok(())
}

fn read_one(node: &Node<'_>, namespace: Option<&str>, losses: &mut Losses) -> Result<Option<Tool>> {
    let mut fields = node.object()?;
    let kind = fields.require("type")?.text()?;
    if !matches!(kind.as_str(), "function" | "custom") {
        losses.dropped(
            &format!("{}({kind})", node.path()),
            "runs at its provider and does not exist elsewhere; only function and custom tools do",
        );
        return Ok(None);
    }
    let name = fields.require("name")?.text()?;
    let mut tool = Tool {
        name: namespace.map_or_else(|| name.clone(), |namespace| qualified(namespace, &name)),
        description: fields.text("description")?,
        namespace: namespace.map(str::to_owned),
        ..Tool::default()
    };
    if kind == "custom" {
        let format = fields.take("format").map(|format| format.json());
        let format = format.filter(|format| format.as_str() != r#"{"type":"text"}"#);
        tool.parameters = Some(tool_input::free_text_schema(format.as_ref()));
        tool.free_text = Some(FreeText { format });
    } else {
        tool.parameters = fields.take("parameters").map(|schema| schema.json());
        tool.strict = fields.boolean("strict")?;
    }
    fields.ignore_value("defer_loading", &["false"]);
    fields.report_rest(losses);
    Ok(Some(tool))
}

/// Two tools of one name could not be told apart in the answer.
pub(super) fn refuse_same_names(tools: &[Tool]) -> Result<()> {
    let mut names: Vec<&str> = tools.iter().map(|tool| tool.name.as_str()).collect();
    names.sort_unstable();
    match names.windows(2).find(|pair| matches!(pair, [one, other] if one == other)) {
        Some([name, _]) => {
            Err(TranslateError::request("tools", format!("the name {name} stands for two tools; rename one")))
        }
        _ => Ok(()),
    }
}

pub(super) fn read_tool_choice(
    fields: &mut Object<'_>,
    request: &mut Request,
    losses: &mut Losses,
) -> Result<()> {
    let Some(node) = fields.take("tool_choice") else { return Ok(()) };
    if node.is_text() {
        request.tool_choice = Some(read_word(&node)?);
        return Ok(());
    }
    let mut choice = node.object()?;
    let wanted = match choice.require("type")?.text()?.as_str() {
        "function" | "custom" => ToolChoice::Tool(read_name(&mut choice)?),
        "allowed_tools" => {
            let mut names = Vec::new();
            for tool in choice.array("tools")? {
                let mut tool = tool.object()?;
                if matches!(tool.require("type")?.text()?.as_str(), "function" | "custom") {
                    names.push(read_name(&mut tool)?);
                }
            }
            request.tools.retain(|tool| names.contains(&tool.name));
            losses.emulated(node.path(), "tools that are not allowed were left out of the request");
            read_word(&choice.require("mode")?)?
        }
        _ => {
            losses.changed(node.path(), "the chosen tool could not be sent; the model was left to choose");
            ToolChoice::Auto
        }
    };
    request.tool_choice = Some(match wanted {
        ToolChoice::Tool(name) if !request.tools.iter().any(|tool| tool.name == name) => {
            losses.changed(node.path(), "the chosen tool could not be sent; the model was left to choose");
            ToolChoice::Auto
        }
        other => other,
    });
    Ok(())
}

fn read_name(fields: &mut Object<'_>) -> Result<String> {
    let name = fields.require("name")?.text()?;
    Ok(match fields.text("namespace")? {
        Some(namespace) => qualified(&namespace, &name),
        None => name,
    })
}

fn read_word(node: &Node<'_>) -> Result<ToolChoice> {
    Ok(match node.text()?.as_str() {
        "auto" => ToolChoice::Auto,
        "none" => ToolChoice::None,
        "required" => ToolChoice::Required,
        _ => return Err(node.error("must be auto, none, required or an object that names a tool")),
    })
}
