//! YAML as a tree that knows its lines, so that every mistake can be shown where it is.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};
use serde_saphyr::Spanned;

/// A value with the line it begins on.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Node {
    pub(super) line: u64,
    content: Content,
}

#[derive(Debug, Clone, PartialEq)]
enum Content {
    Scalar(Value),
    List(Vec<Node>),
    Map(Vec<(String, Node)>),
}

/// Reads one document; an empty one is an empty map.
pub(super) fn parse(text: &str) -> Result<Node, (Option<u64>, String)> {
    if text.lines().all(|line| line.trim().is_empty() || line.trim_start().starts_with('#')) {
        return Ok(Node { line: 1, content: Content::Map(Vec::new()) });
    }
    let options = serde_saphyr::Options::default();
    let node: Node = serde_saphyr::from_str_with_options(text, options).map_err(|error| {
        let line = error.location().map(|location| location.line());
        let message = error.without_snippet().to_string();
        let message = message.split(" at line ").next().unwrap_or(&message).trim_end_matches(':').to_owned();
        (line, format!("is not valid YAML: {message}"))
    })?;
    match node.content {
        Content::Map(_) => Ok(node),
        _ => Err((Some(node.line), "must be a map of settings".into())),
    }
}

impl Node {
    /// The value as JSON, from which typed objects read themselves.
    pub(super) fn json(&self) -> Value {
        match &self.content {
            Content::Scalar(value) => value.clone(),
            Content::List(items) => Value::Array(items.iter().map(Self::json).collect()),
            Content::Map(fields) => Value::Object(
                fields.iter().map(|(name, node)| (name.clone(), node.json())).collect::<Map<_, _>>(),
            ),
        }
    }

    pub(super) fn text(&self) -> Option<&str> {
        match &self.content {
            Content::Scalar(Value::String(text)) => Some(text),
            _ => None,
        }
    }

    /// The fields of a map, or `None` for something else.
    pub(super) fn fields(&self) -> Option<&[(String, Self)]> {
        match &self.content {
            Content::Map(fields) => Some(fields),
            _ => None,
        }
    }

    /// The items of a list, or `None` for something else.
    pub(super) fn items(&self) -> Option<&[Self]> {
        match &self.content {
            Content::List(items) => Some(items),
            _ => None,
        }
    }

    pub(super) fn get(&self, name: &str) -> Option<&Self> {
        self.fields()?.iter().find(|(known, _)| known == name).map(|(_, node)| node)
    }

    /// Removes a field of a map.
    pub(super) fn take(&mut self, name: &str) -> Option<Self> {
        let Content::Map(fields) = &mut self.content else { return None };
        let position = fields.iter().position(|(known, _)| known == name)?;
        Some(fields.remove(position).1)
    }

    /// The deepest node on a path such as `deployments[0].weight`, and removes it when asked to.
    pub(super) fn at_path(&self, path: &str) -> &Self {
        let mut node = self;
        for step in steps(path) {
            let next = match step {
                Step::Field(name) => node.get(name),
                Step::Index(index) => node.items().and_then(|items| items.get(index)),
            };
            let Some(next) = next else { break };
            node = next;
        }
        node
    }

    /// Removes the field at the end of a path; says whether it was there.
    pub(super) fn remove_at(&mut self, path: &str) -> bool {
        let mut steps: Vec<_> = steps(path).collect();
        let Some(Step::Field(last)) = steps.pop() else { return false };
        let mut node = self;
        for step in steps {
            let next = match (step, &mut node.content) {
                (Step::Field(name), Content::Map(fields)) => {
                    fields.iter_mut().find(|(known, _)| known == name).map(|(_, node)| node)
                }
                (Step::Index(index), Content::List(items)) => items.get_mut(index),
                _ => None,
            };
            let Some(next) = next else { return false };
            node = next;
        }
        node.take(last).is_some()
    }
}

enum Step<'a> {
    Field(&'a str),
    Index(usize),
}

fn steps(path: &str) -> impl Iterator<Item = Step<'_>> {
    path.split(['.', '[']).filter(|part| !part.is_empty()).map(|part| {
        match part.strip_suffix(']').and_then(|digits| digits.parse().ok()) {
            Some(index) => Step::Index(index),
            None => Step::Field(part),
        }
    })
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let spanned = Spanned::<Content>::deserialize(deserializer)?;
        Ok(Self { line: spanned.referenced.line(), content: spanned.value })
    }
}

impl<'de> Deserialize<'de> for Content {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ContentVisitor)
    }
}

struct ContentVisitor;

impl<'de> Visitor<'de> for ContentVisitor {
    type Value = Content;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a YAML value")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Content, E> {
        Ok(Content::Scalar(Value::Bool(value)))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Content, E> {
        Ok(Content::Scalar(Value::Number(value.into())))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Content, E> {
        Ok(Content::Scalar(Value::Number(value.into())))
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Content, E> {
        let number = Number::from_f64(value).ok_or_else(|| E::custom("not a finite number"))?;
        Ok(Content::Scalar(Value::Number(number)))
    }

    fn visit_str<E>(self, value: &str) -> Result<Content, E> {
        Ok(Content::Scalar(Value::String(value.to_owned())))
    }

    fn visit_unit<E>(self) -> Result<Content, E> {
        Ok(Content::Scalar(Value::Null))
    }

    fn visit_none<E>(self) -> Result<Content, E> {
        Ok(Content::Scalar(Value::Null))
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Content, D::Error> {
        Content::deserialize(deserializer)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Content, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = sequence.next_element()? {
            items.push(item);
        }
        Ok(Content::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Content, A::Error> {
        let mut fields: Vec<(String, Node)> = Vec::new();
        while let Some((name, node)) = map.next_entry::<String, Node>()? {
            if fields.iter().any(|(known, _)| *known == name) {
                return Err(A::Error::custom(format!("`{name}` is given twice")));
            }
            fields.push((name, node));
        }
        Ok(Content::Map(fields))
    }
}
