//! From nodes to typed values, collecting mistakes instead of stopping at the first.

use std::path::Path;

use serde::de::DeserializeOwned;

use super::node::Node;
use super::{ConfigurationProblem, Environment};

/// Where mistakes of one file go.
pub(super) struct Reader<'a> {
    pub(super) file: &'a Path,
    pub(super) environment: Environment<'a>,
    pub(super) problems: &'a mut Vec<ConfigurationProblem>,
}

impl Reader<'_> {
    pub(super) fn wrong(&mut self, node: &Node, field: &str, message: impl Into<String>) {
        self.problems.push(ConfigurationProblem {
            file: self.file.to_owned(),
            line: Some(node.line),
            field: field.to_owned(),
            message: message.into(),
        });
    }

    /// Reads a typed value. Unknown fields are all reported and left out, other mistakes up to the first.
    pub(super) fn typed<T: DeserializeOwned>(&mut self, node: &Node, field: &str) -> Option<T> {
        let mut rest = node.clone();
        loop {
            let error = match serde_path_to_error::deserialize::<_, T>(rest.json()) {
                Ok(value) => return Some(value),
                Err(error) => error,
            };
            let path = if error.path().to_string() == "." { String::new() } else { error.path().to_string() };
            let message = error.into_inner().to_string();
            let Some(unknown) =
                message.strip_prefix("unknown field `").and_then(|text| text.split('`').next())
            else {
                self.wrong(rest.at_path(&path), &join(field, &path), in_words(&message));
                return None;
            };
            let path = with_last(&path, unknown);
            self.wrong(rest.at_path(&path), &join(field, &path), unknown_field(unknown, &known_in(&message)));
            if !rest.remove_at(&path) {
                return None;
            }
        }
    }

    /// Refuses fields of a map that are not among the known ones.
    pub(super) fn only_known(&mut self, node: &Node, field: &str, known: &[&str]) {
        let Some(fields) = node.fields() else {
            self.wrong(node, field, "must be a map");
            return;
        };
        for (name, value) in fields {
            if !known.contains(&name.as_str()) {
                self.wrong(value, &join(field, name), unknown_field(name, known));
            }
        }
    }

    /// The items of a list field, each with its path; nothing when the field is absent.
    pub(super) fn list<'node>(
        &mut self,
        node: &'node Node,
        field: &str,
        name: &str,
    ) -> Vec<(String, &'node Node)> {
        let Some(list) = node.get(name) else { return Vec::new() };
        let path = join(field, name);
        match list.items() {
            Some(items) => {
                items.iter().enumerate().map(|(index, item)| (format!("{path}[{index}]"), item)).collect()
            }
            None => {
                self.wrong(list, &path, "must be a list");
                Vec::new()
            }
        }
    }
}

pub(super) fn join(parent: &str, path: &str) -> String {
    match (parent.is_empty(), path.is_empty()) {
        (true, _) => path.to_owned(),
        (_, true) => parent.to_owned(),
        _ => format!("{parent}.{path}"),
    }
}

/// The path of an unknown field; serde's ends in the field or in the object around it.
fn with_last(path: &str, name: &str) -> String {
    if path == name || path.ends_with(&format!(".{name}")) { path.to_owned() } else { join(path, name) }
}

fn in_words(message: &str) -> String {
    match message.strip_prefix("missing field ") {
        Some(name) => format!("{name} is missing"),
        None => message.to_owned(),
    }
}

/// The names that serde lists as expected.
fn known_in(message: &str) -> Vec<&str> {
    message.split('`').skip(3).step_by(2).collect()
}

fn unknown_field(name: &str, known: &[&str]) -> String {
    let nearest = known.iter().map(|candidate| (distance(name, candidate), candidate)).min();
    match nearest {
        Some((steps, candidate)) if steps <= 1 + candidate.len() / 3 => {
            format!("unknown field; did you mean `{candidate}`?")
        }
        _ if known.is_empty() => "unknown field; no fields are known here".to_owned(),
        _ => format!("unknown field; known are {}", known.join(", ")),
    }
}

/// Insertions, deletions and replacements between two names.
fn distance(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.chars().collect();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (position, from) in left.chars().enumerate() {
        let mut diagonal = position;
        let mut before = position + 1;
        for (to, slot) in right.iter().zip(row.iter_mut().skip(1)) {
            let replaced = diagonal + usize::from(from != *to);
            diagonal = *slot;
            before = replaced.min(before + 1).min(*slot + 1);
            *slot = before;
        }
        if let Some(first) = row.first_mut() {
            *first = position + 1;
        }
    }
    row.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_is_suggested() {
        assert_eq!(distance("wieght", "weight"), 2);
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(distance("abc", "abc"), 0);
        assert!(unknown_field("wieght", &["name", "weight"]).ends_with("did you mean `weight`?"));
        assert_eq!(unknown_field("zzzzzz", &["name", "kind"]), "unknown field; known are name, kind");
        assert_eq!(known_in("unknown field `x`, expected one of `a`, `b`"), ["a", "b"]);
    }
}
