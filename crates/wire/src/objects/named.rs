//! Ids in a request's body, with the path to each.

use std::fmt::Write as _;

use super::{ItemFacts, NamedObject};
use crate::peek::BadBody;
use crate::scan::{RawText, Scanner};

/// Each is looked up; nobody refers to more in one request.
const MAX_NAMED: usize = 256;

/// Keys whose texts are ids.
const REFERENCES: [&str; 5] = ["file_id", "file_ids", "vector_store_ids", "container_id", "container"];
/// The key that says what an object is.
const TYPE: &str = "type";
/// The key of an item's or a stored prompt's own id.
const ID: &str = "id";
/// Keys that are read of an item or a stored prompt only.
const OF_ITEMS: [&str; 4] = [ID, "role", "encrypted_content", "result"];
/// Under these is what a caller or a model has made up, or what an answer said of its sources: nothing in there is
/// looked up by a provider.
pub(crate) const SAYS_NOTHING: [&str; 10] = [
    "annotations",
    "citations",
    "logprobs",
    "results",
    "parameters",
    "input_schema",
    "output_schema",
    "input_examples",
    "headers",
    "env",
];
/// Parts of earlier answers that tell which file was made.
const TELLS_OF_FILES: [&str; 2] = ["code_execution_output", "bash_code_execution_output"];

/// Whether a body with this key must be walked through. Spellings that some reader takes for the key count.
#[inline]
pub(crate) fn may_name(key: &RawText<'_>, ids_count: bool) -> bool {
    let inner = key.inner();
    let is = |name: &str| inner.eq_ignore_ascii_case(name.as_bytes());
    key.escaped
        || match inner.len() {
            2 => ids_count && is(ID),
            7 => is("file_id"),
            8 => is("file_ids"),
            9 => is("container") || !inner.is_ascii(),
            12 => is("container_id"),
            16 => is("vector_store_ids"),
            // With the long s, which takes two bytes.
            17 | 18 => !inner.is_ascii(),
            _ => false,
        }
}

/// Where in a body a value stands, as far as it matters for what its ids mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// The `input` of a Responses request: the id of an item may stand for its content.
    Items,
    /// A stored prompt: its id always does.
    StoredPrompt,
    /// Blocks of Anthropic's dialect: what stands under `input` is made up.
    Blocks,
    /// Anything else.
    Plain,
}

/// Collects the ids of one request.
#[derive(Debug)]
pub(crate) struct NamedObjects<'found> {
    found: &'found mut Vec<NamedObject>,
    path: String,
}

impl<'found> NamedObjects<'found> {
    pub(crate) fn new(found: &'found mut Vec<NamedObject>, field: &'static str) -> Self {
        Self { found, path: field.to_owned() }
    }

    /// Walks through one value. The bytes are known to be JSON.
    pub(crate) fn walk(&mut self, scanner: &mut Scanner<'_>, place: Place) -> Result<(), BadBody> {
        self.value(scanner, place, false)
    }

    fn value(&mut self, scanner: &mut Scanner<'_>, place: Place, is_id: bool) -> Result<(), BadBody> {
        match scanner.token() {
            b'"' if is_id => {
                let id = scanner.string()?.decode().into();
                self.push(id)
            }
            b'[' => {
                let (length, mut index) = (self.path.len(), 0_usize);
                scanner.elements(|scanner| {
                    // Writing to a text cannot fail.
                    let _ = write!(self.path, "[{index}]");
                    self.value(scanner, place, is_id)?;
                    self.path.truncate(length);
                    index += 1;
                    Ok(())
                })
            }
            b'{' => self.object(scanner, place),
            _ => Ok(scanner.skip().map(drop)?),
        }
    }

    fn object(&mut self, scanner: &mut Scanner<'_>, place: Place) -> Result<(), BadBody> {
        let (length, before) = (self.path.len(), self.found.len());
        let (mut item, mut own_id, mut seen) = (ItemFacts::default(), None, 0_u16);
        let inner = if place == Place::Blocks { Place::Blocks } else { Place::Plain };
        scanner.members(|scanner, key| {
            let Some(name) = self.known(&key, place, &mut seen)? else {
                let made_up = place == Place::Blocks && key.inner() == b"input";
                if made_up || SAYS_NOTHING.iter().any(|name| name.as_bytes() == key.inner()) {
                    return Ok(scanner.skip().map(drop)?);
                }
                self.enter(&key.excerpt(64));
                self.value(scanner, inner, false)?;
                self.path.truncate(length);
                return Ok(());
            };
            if name == ID && scanner.token() == b'"' {
                own_id = Some(scanner.string()?.decode().into());
            } else if !REFERENCES.contains(&name) {
                if !item.read(scanner, name.as_bytes())? {
                    scanner.skip()?;
                }
            } else {
                self.enter(name);
                self.value(scanner, inner, true)?;
                self.path.truncate(length);
            }
            Ok::<_, BadBody>(())
        })?;
        if item.kind.as_deref().is_some_and(|kind| TELLS_OF_FILES.contains(&kind)) {
            self.found.truncate(before);
        }
        let stands_for_content = match place {
            Place::StoredPrompt => true,
            Place::Items => !item.is_complete(),
            _ => false,
        };
        match own_id {
            Some(id) if stands_for_content => {
                self.enter(ID);
                self.push(id)?;
                self.path.truncate(length);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// The key that decides something, if this is one. Each may stand once in its object, and as documented only.
    fn known(
        &self,
        key: &RawText<'_>,
        place: Place,
        seen: &mut u16,
    ) -> Result<Option<&'static str>, BadBody> {
        let folded = crate::peek::folded(key);
        let of_items: &[&str] =
            if matches!(place, Place::Items | Place::StoredPrompt) { &OF_ITEMS } else { &[] };
        let mut names = REFERENCES.iter().chain([&TYPE]).chain(of_items).copied().enumerate();
        let Some((place, name)) = names.find(|(_, name)| folded.eq_ignore_ascii_case(name)) else {
            return Ok(None);
        };
        let path = &self.path;
        if name.as_bytes() != key.inner() {
            let written = String::from_utf8_lossy(key.inner());
            let told = format!("`{path}.{name}` is spelled `{written}`; write the key exactly as documented");
            return Err(BadBody { field: None, message: told });
        }
        let bit = 1 << place;
        if *seen & bit != 0 {
            let told = format!("`{path}.{name}` is given twice; write it once");
            return Err(BadBody { field: None, message: told });
        }
        *seen |= bit;
        Ok(Some(name))
    }

    fn enter(&mut self, key: &str) {
        self.path.push('.');
        self.path.push_str(key);
    }

    fn push(&mut self, id: Box<str>) -> Result<(), BadBody> {
        if self.found.iter().any(|named| named.id == id) {
            return Ok(());
        }
        if self.found.len() >= MAX_NAMED {
            let message = format!("the request names more than {MAX_NAMED} stored objects; name fewer");
            return Err(BadBody { field: None, message });
        }
        self.found.push(NamedObject { path: self.path.as_str().into(), id });
        Ok(())
    }
}

#[cfg(test)]
mod tests;
