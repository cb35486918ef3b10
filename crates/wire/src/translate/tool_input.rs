//! Inputs of tool calls: JSON text as the OpenAI dialects send it, and plain text where a tool takes that.

use serde::Deserialize;
use serde_json::json;

use crate::canonical::Json;

/// What is told where a dialect has no tools that take plain text.
pub(crate) const FREE_TEXT_EMULATED: &str =
    "a tool that takes plain text became a function with one argument";

/// The object that `arguments` spell; nothing at all counts as an empty one.
pub(crate) fn from_arguments(arguments: &str) -> Option<Json> {
    if arguments.trim().is_empty() {
        return Some(Json::empty_object());
    }
    Json::parse(arguments).filter(Json::is_object)
}

/// An object around arguments that are none.
pub(crate) fn quoted(arguments: &str) -> Json {
    Json::from(&json!({ "invalid_arguments": arguments }))
}

/// The object in which a dialect without plain-text tools carries the text.
pub(crate) fn from_free_text(text: &str) -> Json {
    Json::from(&json!({ "input": text }))
}

/// The text inside such an object; other JSON is the text itself, since a model may forget the object.
pub(crate) fn free_text(input: &str) -> String {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Around {
        input: String,
    }
    serde_json::from_str::<Around>(input).map_or_else(|_| input.to_owned(), |around| around.input)
}

/// What a model is told of such an object.
pub(crate) fn free_text_schema(format: Option<&Json>) -> Json {
    let description = match format {
        Some(format) => {
            format!(
                "The whole input of the tool, as plain text that follows this format: {}",
                format.as_str()
            )
        }
        None => "The whole input of the tool, as plain text".to_owned(),
    };
    Json::from(&json!({
        "type": "object",
        "properties": {"input": {"type": "string", "description": description}},
        "required": ["input"],
        "additionalProperties": false,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_comes_out_as_it_went_in() {
        let text = "*** Begin Patch\n\"a\"\u{e9}";
        assert_eq!(free_text(from_free_text(text).as_str()), text);
        assert_eq!(free_text("{\"input\":1}"), "{\"input\":1}");
        assert_eq!(free_text("{\"input\":\"cut o"), "{\"input\":\"cut o");
    }
}
