//! JSON that the gateway carries but does not interpret: tool inputs and schemas.

use serde_json::value::RawValue;

/// One valid JSON value without insignificant white space; key order and number spelling are the sender's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Json(String);

impl Json {
    /// Takes over an already validated value.
    pub fn from_raw(raw: &RawValue) -> Self {
        Self(compact(raw.get()))
    }

    /// Validates `text`; `None` when it is not one JSON value.
    pub fn parse(text: &str) -> Option<Self> {
        serde_json::from_str::<&RawValue>(text).ok().map(Self::from_raw)
    }

    /// The value `{}`.
    pub fn empty_object() -> Self {
        Self("{}".to_owned())
    }

    pub fn is_object(&self) -> bool {
        self.0.starts_with('{')
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<&serde_json::Value> for Json {
    fn from(value: &serde_json::Value) -> Self {
        Self(value.to_string())
    }
}

/// Removes white space outside strings, so that the value fits one line of an event stream.
fn compact(text: &str) -> String {
    let mut result = String::with_capacity(text.len());
    let (mut in_string, mut escaped) = (false, false);
    for character in text.chars() {
        if in_string {
            result.push(character);
            in_string = escaped || character != '"';
            escaped = !escaped && character == '\\';
        } else if !matches!(character, ' ' | '\t' | '\n' | '\r') {
            result.push(character);
            in_string = character == '"';
        }
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn white_space_goes_but_strings_order_and_numbers_stay() {
        let json =
            Json::parse("{ \"z\" : 1.0,\n\"a b\\\" c\": [ 18446744073709551616 , \"\\\\\" ] }").unwrap();
        assert_eq!(json.as_str(), "{\"z\":1.0,\"a b\\\" c\":[18446744073709551616,\"\\\\\"]}");
    }

    #[test]
    fn what_is_not_json_is_refused() {
        assert_eq!(Json::parse("{\"a\":"), None);
        assert_eq!(Json::parse(""), None);
    }
}
