//! Ids of what providers keep: named by requests, handed out in answers.
//!
//! A request is only walked through when it has one of the keys below; [`crate::peek()`] sees that on its way.

use crate::scan::{Scanner, Syntax};

mod handed_out;
mod named;

pub use handed_out::{HandedOut, HandedOutKind};
pub(crate) use handed_out::{container, of_output};
pub(crate) use named::{NamedObjects, Place, SAYS_NOTHING, may_name};

/// Something that a request names and a provider keeps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedObject {
    /// Where in the body, such as `input[2].content[0].file_id`.
    pub path: Box<str>,
    pub id: Box<str>,
}

/// What tells whether an item of the Responses dialect brings its content along.
#[derive(Debug, Default)]
struct ItemFacts {
    kind: Option<Box<str>>,
    has_role: bool,
    /// Encrypted reasoning, or the bytes of an image.
    has_payload: bool,
}

impl ItemFacts {
    /// Whether the item says all by itself, so that its id is only a label. A kind that is not known here may stand for
    /// content that the provider looks up.
    fn is_complete(&self) -> bool {
        match self.kind.as_deref() {
            None => self.has_role,
            Some("reasoning" | "compaction" | "image_generation_call") => self.has_payload,
            Some(kind) => matches!(
                kind,
                "message"
                    | "function_call"
                    | "function_call_output"
                    | "custom_tool_call"
                    | "custom_tool_call_output"
                    | "computer_call_output"
                    | "local_shell_call"
                    | "local_shell_call_output"
                    | "shell_call"
                    | "shell_call_output"
                    | "apply_patch_call"
                    | "apply_patch_call_output"
                    | "mcp_list_tools"
                    | "mcp_approval_request"
                    | "mcp_approval_response"
                    | "mcp_call"
            ),
        }
    }

    /// Reads the member if it is one of those that tell.
    fn read(&mut self, scanner: &mut Scanner<'_>, key: &[u8]) -> Result<bool, Syntax> {
        match key {
            b"type" => self.kind = short_text(scanner)?,
            b"role" => self.has_role = short_text(scanner)?.is_some(),
            b"encrypted_content" | b"result" => self.has_payload |= short_text(scanner)?.is_some(),
            _ => return Ok(false),
        }
        Ok(true)
    }
}

/// A text that is not empty, shortened to what any id or name has; other types say nothing.
fn short_text(scanner: &mut Scanner<'_>) -> Result<Option<Box<str>>, Syntax> {
    const MAX_CHARS: usize = 256;
    if scanner.token() != b'"' {
        return scanner.skip().map(|_| None);
    }
    let text = scanner.string()?;
    Ok((!text.inner().is_empty()).then(|| text.excerpt(MAX_CHARS)))
}
