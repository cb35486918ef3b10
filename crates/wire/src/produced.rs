//! The text that a model produced, for counting tokens when the provider did not. Builds trees: not for the hot path.

use serde_json::Value;
use tollgate_core::Dialect;

/// Appends the text of one stream event.
pub(crate) fn event_text(dialect: Dialect, data: &[u8], out: &mut String) {
    let Ok(event) = serde_json::from_slice::<Value>(data) else { return };
    match dialect {
        Dialect::AnthropicMessages => {
            add(&event["content_block"]["name"], out);
            for key in ["text", "thinking", "partial_json"] {
                add(&event["delta"][key], out);
            }
        }
        Dialect::OpenaiResponses => add(&event["delta"], out),
        _ => choices_text(&event, out),
    }
}

/// The text of a whole answer.
pub(crate) fn answer_text(dialect: Dialect, body: &[u8]) -> String {
    let mut out = String::new();
    let Ok(answer) = serde_json::from_slice::<Value>(body) else { return out };
    match dialect {
        Dialect::AnthropicMessages => each(&answer["content"], |block| anthropic_block(block, &mut out)),
        Dialect::OpenaiResponses => each(&answer["output"], |item| {
            for key in ["name", "arguments", "input"] {
                add(&item[key], &mut out);
            }
            for parts in ["content", "summary"] {
                each(&item[parts], |part| {
                    add(&part["text"], &mut out);
                    add(&part["refusal"], &mut out);
                });
            }
        }),
        Dialect::OpenaiEmbeddings => {}
        _ => choices_text(&answer, &mut out),
    }
    out
}

fn anthropic_block(block: &Value, out: &mut String) {
    add(&block["text"], out);
    add(&block["thinking"], out);
    add(&block["name"], out);
    if !block["input"].is_null() {
        out.push_str(&block["input"].to_string());
    }
}

fn choices_text(answer: &Value, out: &mut String) {
    each(&answer["choices"], |choice| {
        add(&choice["text"], out);
        for part in ["delta", "message"] {
            let message = &choice[part];
            // Servers that give both spellings of reasoning repeat the text.
            let reasoning =
                if message["reasoning_content"].is_string() { "reasoning_content" } else { "reasoning" };
            for key in ["content", reasoning, "refusal"] {
                add(&message[key], out);
            }
            function_text(&message["function_call"], out);
            each(&message["tool_calls"], |call| {
                function_text(&call["function"], out);
                add(&call["custom"]["input"], out);
            });
        }
    });
}

fn function_text(function: &Value, out: &mut String) {
    add(&function["name"], out);
    add(&function["arguments"], out);
}

fn add(value: &Value, out: &mut String) {
    if let Some(text) = value.as_str() {
        out.push_str(text);
    }
}

fn each(value: &Value, visit: impl FnMut(&Value)) {
    value.as_array().into_iter().flatten().for_each(visit);
}
