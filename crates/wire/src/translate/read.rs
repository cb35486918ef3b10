//! Reading JSON one level at a time: what a converter does not ask for is reported as lost.

use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, Error as _, MapAccess, Visitor};
use serde_json::Number;
use serde_json::value::RawValue;

use super::error::{Side, TranslateError};
use crate::canonical::{Json, Losses};

type Result<T> = std::result::Result<T, TranslateError>;

/// A JSON value whose inside has not been looked at.
#[derive(Debug, Clone)]
pub(crate) struct Node<'a> {
    raw: &'a RawValue,
    path: String,
    side: Side,
}

/// A JSON object of which fields are taken one by one.
#[derive(Debug)]
pub(crate) struct Object<'a> {
    fields: BTreeMap<String, &'a RawValue>,
    path: String,
    side: Side,
}

impl<'a> Node<'a> {
    pub(crate) fn parse(body: &'a [u8], side: Side) -> Result<Self> {
        let raw = serde_json::from_slice(body)
            .map_err(|error| TranslateError::at(side, "", &format!("is not valid json: {error}")))?;
        Ok(Self { raw, path: String::new(), side })
    }

    pub(crate) fn path(&self) -> &str {
        &self.path
    }

    pub(crate) fn error(&self, problem: &str) -> TranslateError {
        TranslateError::at(self.side, &self.path, problem)
    }

    fn first_byte(&self) -> u8 {
        self.raw.get().bytes().next().unwrap_or(b'n')
    }

    pub(crate) fn length_bytes(&self) -> usize {
        self.raw.get().len()
    }

    pub(crate) fn is_text(&self) -> bool {
        self.first_byte() == b'"'
    }

    pub(crate) fn is_null(&self) -> bool {
        self.first_byte() == b'n'
    }

    fn read<T: Deserialize<'a>>(&self, expected: &str) -> Result<T> {
        serde_json::from_str(self.raw.get()).map_err(|_| self.error(&format!("must be {expected}")))
    }

    pub(crate) fn text(&self) -> Result<String> {
        self.read("a string")
    }

    pub(crate) fn boolean(&self) -> Result<bool> {
        self.read("true or false")
    }

    pub(crate) fn unsigned(&self) -> Result<u64> {
        self.read("a whole number that is not negative")
    }

    pub(crate) fn number(&self) -> Result<Number> {
        self.read("a number")
    }

    pub(crate) fn json(&self) -> Json {
        Json::from_raw(self.raw)
    }

    pub(crate) fn array(&self) -> Result<Vec<Node<'a>>> {
        let items: Vec<&'a RawValue> = self.read("an array")?;
        Ok(items
            .into_iter()
            .enumerate()
            .map(|(position, raw)| Node { raw, path: format!("{}[{position}]", self.path), side: self.side })
            .collect())
    }

    /// The items of an array where a string would do as well; the caller has looked for the string.
    pub(crate) fn array_or_text(&self) -> Result<Vec<Node<'a>>> {
        if self.first_byte() == b'[' { self.array() } else { Err(self.error("must be a string or an array")) }
    }

    pub(crate) fn object(&self) -> Result<Object<'a>> {
        if self.first_byte() != b'{' {
            return Err(self.error("must be an object"));
        }
        let Fields(fields) = serde_json::from_str(self.raw.get()).map_err(|error| {
            let repeated = error.to_string().contains(REPEATED_KEY);
            self.error(if repeated { "has the same key twice" } else { "must be an object" })
        })?;
        Ok(Object { fields, path: self.path.clone(), side: self.side })
    }
}

impl<'a> Object<'a> {
    pub(crate) fn parse(body: &'a [u8], side: Side) -> Result<Self> {
        Node::parse(body, side)?.object()
    }

    pub(crate) fn path_of(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) }
    }

    pub(crate) fn error(&self, key: &str, problem: &str) -> TranslateError {
        TranslateError::at(self.side, &self.path_of(key), problem)
    }

    /// Takes a field; `null` counts as absent.
    pub(crate) fn take(&mut self, key: &str) -> Option<Node<'a>> {
        let raw = self.fields.remove(key)?;
        let node = Node { raw, path: self.path_of(key), side: self.side };
        (!node.is_null()).then_some(node)
    }

    /// Looks at a field and leaves it to be taken; `null` counts as absent.
    pub(crate) fn peek(&self, key: &str) -> Option<Node<'a>> {
        let raw = self.fields.get(key)?;
        let node = Node { raw, path: self.path_of(key), side: self.side };
        (!node.is_null()).then_some(node)
    }

    pub(crate) fn require(&mut self, key: &str) -> Result<Node<'a>> {
        self.take(key).ok_or_else(|| self.error(key, "is missing"))
    }

    pub(crate) fn text(&mut self, key: &str) -> Result<Option<String>> {
        self.take(key).map(|node| node.text()).transpose()
    }

    pub(crate) fn boolean(&mut self, key: &str) -> Result<Option<bool>> {
        self.take(key).map(|node| node.boolean()).transpose()
    }

    pub(crate) fn unsigned(&mut self, key: &str) -> Result<Option<u64>> {
        self.take(key).map(|node| node.unsigned()).transpose()
    }

    pub(crate) fn number(&mut self, key: &str) -> Result<Option<Number>> {
        self.take(key).map(|node| node.number()).transpose()
    }

    pub(crate) fn object(&mut self, key: &str) -> Result<Option<Object<'a>>> {
        self.take(key).map(|node| node.object()).transpose()
    }

    /// The items of an array; absent counts as empty.
    pub(crate) fn array(&mut self, key: &str) -> Result<Vec<Node<'a>>> {
        self.take(key).map_or_else(|| Ok(Vec::new()), |node| node.array())
    }

    /// Takes fields that mean nothing to any other dialect.
    pub(crate) fn ignore(&mut self, keys: &[&str]) {
        for key in keys {
            self.fields.remove(*key);
        }
    }

    /// Takes a field if it only spells out what is true without it.
    pub(crate) fn ignore_value(&mut self, key: &str, without_effect: &[&str]) {
        if self.fields.get(key).is_some_and(|raw| without_effect.contains(&raw.get())) {
            self.fields.remove(key);
        }
    }

    /// Reports every field that nobody took.
    pub(crate) fn report_rest(self, losses: &mut Losses) {
        let note = match self.side {
            Side::Request => "has no counterpart in the provider's dialect",
            Side::Response => "has no counterpart in the client's dialect",
        };
        for (key, raw) in &self.fields {
            if raw.get() != "null" {
                losses.dropped(&self.path_of(key), note);
            }
        }
    }
}

const REPEATED_KEY: &str = "repeated key";

struct Fields<'a>(BTreeMap<String, &'a RawValue>);

impl<'de: 'a, 'a> Deserialize<'de> for Fields<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        struct FieldsVisitor;
        impl<'de> Visitor<'de> for FieldsVisitor {
            type Value = Fields<'de>;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> std::result::Result<Self::Value, A::Error> {
                let mut fields = BTreeMap::new();
                while let Some((key, value)) = map.next_entry::<String, &'de RawValue>()? {
                    if fields.insert(key, value).is_some() {
                        return Err(A::Error::custom(REPEATED_KEY));
                    }
                }
                Ok(Fields(fields))
            }
        }
        deserializer.deserialize_map(FieldsVisitor)
    }
}
