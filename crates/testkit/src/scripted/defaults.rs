//! How the provider behaves when no rule says otherwise: correctly.

use serde_json::{Value, json};
use tollgate_core::Dialect;

use super::{recorded::RecordedRequest, reply::Reply};
use crate::canned;

/// The dialect that a path belongs to.
pub(super) fn dialect_of(path: &str) -> Option<Dialect> {
    let dialect = match path.trim_end_matches('/') {
        path if path.ends_with("/chat/completions") => Dialect::OpenaiChat,
        path if path.ends_with("/completions") => Dialect::OpenaiCompletions,
        path if path.ends_with("/embeddings") => Dialect::OpenaiEmbeddings,
        path if path.ends_with("/responses") => Dialect::OpenaiResponses,
        path if path.ends_with("/messages") || path.ends_with("/messages/count_tokens") => {
            Dialect::AnthropicMessages
        }
        _ => return None,
    };
    Some(dialect)
}

pub(super) fn reply(request: &RecordedRequest) -> Reply {
    if request.method == "GET" && request.path().ends_with("/models") {
        return canned::models().reply();
    }
    let Some(dialect) = dialect_of(request.path()) else {
        return canned::error(Dialect::OpenaiChat, 404).reply();
    };
    if request.path().ends_with("/count_tokens") {
        return canned::count_tokens().reply();
    }
    let Ok(body) = serde_json::from_slice::<Value>(&request.body) else {
        return canned::error(dialect, 400).reply();
    };
    if dialect == Dialect::OpenaiEmbeddings {
        let base64 = body["encoding_format"] == json!("base64");
        return if base64 { canned::embedding_base64() } else { canned::text(dialect) }.reply();
    }
    let stream = body["stream"] == json!(true);
    let usage = body["stream_options"]["include_usage"] == json!(true);
    let answers_tool = brings_tool_result(dialect, &body);
    let canned = match (tool_to_call(dialect, &body), stream) {
        (Some(name), true) if !answers_tool && usage => canned::tool_call_stream(dialect, &name),
        (Some(name), true) if !answers_tool => canned::tool_call_stream_without_usage(dialect, &name),
        (Some(name), false) if !answers_tool => canned::tool_call(dialect, &name),
        (_, true) if answers_tool => canned::final_text_stream(dialect),
        (_, true) if usage => canned::text_stream(dialect),
        (_, true) => canned::text_stream_without_usage(dialect),
        (_, false) if answers_tool => canned::final_text(dialect),
        (_, false) => canned::text(dialect),
    };
    canned.reply()
}

/// The name of the first function that the request offers, unless it forbids calls.
fn tool_to_call(dialect: Dialect, body: &Value) -> Option<String> {
    let choice = &body["tool_choice"];
    if *choice == json!("none") || choice["type"] == json!("none") {
        return None;
    }
    let tool = body["tools"].as_array()?.first()?;
    let name = match dialect {
        Dialect::OpenaiChat => &tool["function"]["name"],
        Dialect::OpenaiResponses | Dialect::AnthropicMessages => &tool["name"],
        _ => return None,
    };
    name.as_str().map(str::to_owned)
}

fn brings_tool_result(dialect: Dialect, body: &Value) -> bool {
    let turns = if dialect == Dialect::OpenaiResponses { &body["input"] } else { &body["messages"] };
    let Some(last) = turns.as_array().and_then(|turns| turns.last()) else { return false };
    match dialect {
        Dialect::OpenaiResponses => last["type"] == json!("function_call_output"),
        Dialect::AnthropicMessages => last["content"]
            .as_array()
            .is_some_and(|blocks| blocks.iter().any(|block| block["type"] == json!("tool_result"))),
        _ => last["role"] == json!("tool"),
    }
}
