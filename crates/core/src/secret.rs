//! Text that cannot be printed, logged or serialised by accident.

use std::fmt;

use secrecy::{ExposeSecret, SecretBox};

/// A secret string. `Debug` shows that there is one, never what it is; memory is wiped on drop.
pub struct SecretText(SecretBox<str>);

impl SecretText {
    pub fn new(text: String) -> Self {
        Self(SecretBox::from(text))
    }

    /// The secret itself. Call this only where the bytes leave for their one purpose.
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }

    /// The last four characters of a long secret, to recognise it by; nothing of a short one.
    pub fn hint(&self) -> String {
        let text = self.expose();
        let length = text.chars().count();
        if length < 16 {
            "…".into()
        } else {
            format!("…{}", text.chars().skip(length - 4).collect::<String>())
        }
    }
}

impl Clone for SecretText {
    fn clone(&self) -> Self {
        Self::new(self.expose().to_owned())
    }
}

impl fmt::Debug for SecretText {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("SecretText(…)")
    }
}

impl From<String> for SecretText {
    fn from(text: String) -> Self {
        Self::new(text)
    }
}

impl<'de> serde::Deserialize<'de> for SecretText {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(Self::new)
    }
}

impl schemars::JsonSchema for SecretText {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "SecretText".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "string", "writeOnly": true, "format": "password" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_and_hint_do_not_tell() {
        let secret = SecretText::new("sk-canary-0123456789".into());
        assert_eq!(format!("{secret:?}"), "SecretText(…)");
        assert_eq!(secret.hint(), "…6789");
        assert_eq!(SecretText::new("short".into()).hint(), "…");
    }
}
