//! Ids in answers, read only where the provider writes them: never in what a model has made up.

use super::{ItemFacts, short_text};
use crate::scan::{Scanner, Syntax};

/// More items than this in one answer cannot be referred to later.
const MAX_HANDED_OUT: usize = 256;

/// What kind of thing an id names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HandedOutKind {
    /// An item of a Responses output: a message, a call, reasoning.
    Item,
    /// Where the provider runs code.
    Container,
}

/// An id that an answer hands out beside its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HandedOut {
    pub kind: HandedOutKind,
    pub id: Box<str>,
    /// It can be referred to even if the answer itself is not stored.
    pub outlives_answer: bool,
}

/// The ids of the items in `output`, and of the containers that they ran in.
pub(crate) fn of_output(output: &[u8]) -> Result<Vec<HandedOut>, Syntax> {
    let mut found = Vec::new();
    let mut scanner = Scanner::new(output);
    if scanner.token() != b'[' {
        return Ok(found);
    }
    scanner.elements(|scanner| {
        if scanner.token() != b'{' {
            return scanner.skip().map(drop);
        }
        let (mut item, mut id, mut container) = (ItemFacts::default(), None, None);
        scanner.members(|scanner, key| {
            match key.inner() {
                b"id" => id = short_text(scanner)?,
                b"container_id" => container = short_text(scanner)?,
                other if item.read(scanner, other)? => {}
                _ => drop(scanner.skip()?),
            }
            Ok::<_, Syntax>(())
        })?;
        let outlives_answer = !item.is_complete();
        found.extend(id.map(|id| HandedOut { kind: HandedOutKind::Item, id, outlives_answer }));
        found.extend(container.map(HandedOut::container));
        Ok(())
    })?;
    found.truncate(MAX_HANDED_OUT);
    Ok(found)
}

/// `{"id": …}`: what Anthropic's answers say of the container that their code ran in.
pub(crate) fn container(scanner: &mut Scanner<'_>) -> Result<Option<HandedOut>, Syntax> {
    let mut id = None;
    if scanner.token() != b'{' {
        return scanner.skip().map(|_| None);
    }
    scanner.members(|scanner, key| {
        match key.inner() {
            b"id" => id = short_text(scanner)?,
            _ => drop(scanner.skip()?),
        }
        Ok::<_, Syntax>(())
    })?;
    Ok(id.map(HandedOut::container))
}

impl HandedOut {
    const fn container(id: Box<str>) -> Self {
        Self { kind: HandedOutKind::Container, id, outlives_answer: true }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_read_where_the_provider_writes_them() {
        let output = br#"[{"type":"reasoning","id":"rs_1","summary":[]},
            {"type":"message","id":"msg_1","role":"assistant","content":[{"type":"output_text","id":"no",
             "text":"{\"id\":\"no\"}","annotations":[{"container_id":"no","file_id":"no"}]}]},
            {"type":"code_interpreter_call","id":"ci_1","container_id":"cntr_1","code":"x"}, 7, {"id":5}]"#;
        let found = of_output(output).unwrap();
        let ids: Vec<_> = found.iter().map(|one| (&*one.id, one.kind, one.outlives_answer)).collect();
        assert_eq!(
            ids,
            [
                ("rs_1", HandedOutKind::Item, true),
                ("msg_1", HandedOutKind::Item, false),
                ("ci_1", HandedOutKind::Item, true),
                ("cntr_1", HandedOutKind::Container, true),
            ]
        );
        let many = format!("[{}]", vec![r#"{"id":"a"}"#; 1_000].join(","));
        assert_eq!(of_output(many.as_bytes()).unwrap().len(), MAX_HANDED_OUT);
        assert!(of_output(b"null").unwrap().is_empty());
    }
}
