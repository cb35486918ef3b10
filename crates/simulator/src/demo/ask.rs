//! What a request asks for, whatever its dialect.

use serde_json::{Value, json};

use super::models::Model;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Surface {
    Chat,
    Completions,
    Embeddings,
    Responses,
    Messages,
    CountTokens,
}

impl Surface {
    pub(super) fn of(path: &str) -> Option<Self> {
        Some(match path.strip_prefix("/v1").unwrap_or(path) {
            "/chat/completions" => Self::Chat,
            "/completions" => Self::Completions,
            "/embeddings" => Self::Embeddings,
            "/responses" => Self::Responses,
            "/messages" => Self::Messages,
            "/messages/count_tokens" => Self::CountTokens,
            _ => return None,
        })
    }

    pub(super) fn is_anthropic(self) -> bool {
        matches!(self, Self::Messages | Self::CountTokens)
    }
}

/// A function that the request offers.
#[derive(Debug)]
pub(super) struct Tool {
    pub(super) name: String,
    pub(super) description: String,
    pub(super) schema: Value,
}

#[derive(Debug)]
pub(super) struct Ask {
    pub(super) surface: Surface,
    pub(super) model: &'static Model,
    pub(super) stream: bool,
    /// Whether a chat stream ends with a usage chunk.
    pub(super) include_usage: bool,
    pub(super) last_user_text: String,
    /// Bytes of all text that the model reads.
    pub(super) prompt_bytes: usize,
    pub(super) tools: Vec<Tool>,
    /// Whether a call is demanded.
    pub(super) tool_required: bool,
    /// The tool result that the last turn brings.
    pub(super) tool_result: Option<String>,
    pub(super) max_output_tokens: Option<u64>,
    /// The texts to embed.
    pub(super) inputs: Vec<String>,
    pub(super) base64: bool,
}

impl Ask {
    pub(super) fn read(surface: Surface, model: &'static Model, body: &Value, body_bytes: usize) -> Self {
        let null = Value::Null;
        let at = |name: &str| body.get(name).unwrap_or(&null);
        let turns = match surface {
            Surface::Responses | Surface::Embeddings => at("input"),
            Surface::Completions => at("prompt"),
            _ => at("messages"),
        };
        let last = turns.as_array().and_then(|turns| turns.last()).unwrap_or(turns);
        let mut prompt_bytes = text_of(turns).len() + text_of(at("system")).len();
        prompt_bytes += text_of(at("instructions")).len() + json_bytes(at("tools"));
        let choice = at("tool_choice");
        let kind = choice.get("type").and_then(Value::as_str).or(choice.as_str()).unwrap_or_default();
        let limit = ["max_completion_tokens", "max_tokens", "max_output_tokens"]
            .iter()
            .find_map(|name| at(name).as_u64());
        Self {
            surface,
            model,
            stream: *at("stream") == json!(true),
            include_usage: body.pointer("/stream_options/include_usage") == Some(&json!(true)),
            last_user_text: last_user_text(turns),
            // A prompt whose text is not understood still costs something.
            prompt_bytes: if prompt_bytes == 0 { body_bytes } else { prompt_bytes },
            tools: if kind == "none" { Vec::new() } else { tools(at("tools")) },
            tool_required: matches!(kind, "required" | "any" | "tool" | "function"),
            tool_result: tool_result(last),
            max_output_tokens: limit,
            inputs: inputs(turns),
            base64: *at("encoding_format") == json!("base64"),
        }
    }
}

fn json_bytes(value: &Value) -> usize {
    if value.is_null() { 0 } else { value.to_string().len() }
}

/// All text in a message, a list of messages or a list of parts.
fn text_of(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(parts) => parts.iter().map(text_of).collect::<Vec<_>>().join(" "),
        Value::Object(fields) => {
            ["text", "content", "output", "arguments", "tool_calls", "function", "input"]
                .iter()
                .filter_map(|name| fields.get(*name))
                .map(text_of)
                .collect()
        }
        _ => String::new(),
    }
}

fn last_user_text(turns: &Value) -> String {
    let Some(list) = turns.as_array() else { return text_of(turns) };
    let is_user = |turn: &&Value| turn.get("role").is_none_or(|role| role == "user");
    list.iter().rev().filter(is_user).map(text_of).find(|text| !text.trim().is_empty()).unwrap_or_default()
}

fn tool_result(last: &Value) -> Option<String> {
    let is_result =
        last.get("role") == Some(&json!("tool")) || last.get("type") == Some(&json!("function_call_output"));
    if is_result {
        return Some(text_of(last));
    }
    let blocks = last.get("content")?.as_array()?;
    let result = blocks.iter().find(|block| block.get("type") == Some(&json!("tool_result")))?;
    Some(text_of(result))
}

/// The functions on offer: nested as in chat, flat as in responses, or with `input_schema` as in messages.
fn tools(offered: &Value) -> Vec<Tool> {
    let read = |tool: &Value| {
        let function = tool.get("function").unwrap_or(tool);
        let text = |name: &str| function.get(name).and_then(Value::as_str).map(str::to_owned);
        let schema = function.get("parameters").or(function.get("input_schema"));
        Some(Tool {
            name: text("name")?,
            description: text("description").unwrap_or_default(),
            schema: schema.cloned().unwrap_or_default(),
        })
    };
    offered.as_array().map(|tools| tools.iter().filter_map(read).collect()).unwrap_or_default()
}

/// One text, a list of texts, one list of token ids, or a list of such lists.
fn inputs(input: &Value) -> Vec<String> {
    match input.as_array() {
        Some(list) if list.iter().all(Value::is_number) => vec![input.to_string()],
        Some(list) => {
            list.iter().map(|one| one.as_str().map_or_else(|| one.to_string(), str::to_owned)).collect()
        }
        None => vec![text_of(input)],
    }
}
