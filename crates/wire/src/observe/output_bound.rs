//! How many tokens a stream can have carried so far, from its bytes.
//!
//! No byte-level tokenizer makes more tokens than there are bytes. Counted are the texts of deltas as they are written,
//! so an escape counts for more than it says; frames, ids and keys around them are not.

use std::sync::LazyLock;

use memchr::memmem::Finder;
use tollgate_core::Dialect;

use crate::scan::Scanner;

/// What a model may write around an answer, and around each block of it, without showing it.
const FRAME_TOKENS: u64 = 64;
/// The start of a block brings its name at most; longer ones bring what is no output, such as search results.
const MAX_BLOCK_START_BYTES: usize = 256;

static DELTA: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(b"\"delta\":"));
static TEXT: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(b"\"text\":"));

/// A running upper bound of output tokens.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct OutputBound(u64);

impl OutputBound {
    pub(super) const fn tokens(self) -> u64 {
        self.0.saturating_add(FRAME_TOKENS)
    }

    /// An event with content.
    #[inline]
    pub(super) fn add_content(&mut self, dialect: Dialect, block: &[u8]) {
        let bytes = text_bytes(dialect, block).unwrap_or(block.len());
        self.0 = self.0.saturating_add(bytes as u64);
    }

    /// An event that begins a block or an item.
    pub(super) fn add_block_start(&mut self, block: &[u8]) {
        let bytes = block.len().min(MAX_BLOCK_START_BYTES) as u64;
        self.0 = self.0.saturating_add(bytes + FRAME_TOKENS);
    }
}

/// The bytes of all texts in the deltas of an event; `None` where none is written as usual.
fn text_bytes(dialect: Dialect, block: &[u8]) -> Option<usize> {
    let finder = if dialect == Dialect::OpenaiCompletions { &TEXT } else { &DELTA };
    let mut bytes = None;
    // Within a text the closing quote would be escaped, so this finds keys only.
    for at in finder.find_iter(block) {
        let value = block.get(at + finder.needle().len()..).unwrap_or_default();
        let mut sum = 0;
        let count = Scanner::new(value).skip_with(&mut |key, text| {
            if !matches!(key.inner(), b"type" | b"role" | b"signature") {
                sum += text.inner().len();
            }
        });
        count.ok()?;
        bytes = Some(bytes.unwrap_or(0) + sum);
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_of_deltas_count_and_nothing_around_them() {
        use Dialect::{AnthropicMessages, OpenaiChat, OpenaiCompletions, OpenaiResponses};
        let cases: [(Dialect, &str, Option<usize>); 8] = [
            (
                OpenaiChat,
                r#"data: {"id":"chatcmpl-1","choices":[{"index":0,"delta":{"role":"assistant","content":"Grüße"}}]}"#,
                Some(7),
            ),
            (
                OpenaiChat,
                r#"data: {"choices":[{"delta":{"content":"ab"}},{"delta":{"reasoning":"c","tool_calls":[{"function":{"arguments":"{\"x\":"}}]}}]}"#,
                Some(10),
            ),
            (OpenaiChat, r#"data: {"choices":[{"delta":{"content":"say \"delta\": x"}}]}"#, Some(16)),
            (OpenaiChat, r#"data: {"choices":[{"delta" : {"content":"ab"}}]}"#, None),
            (OpenaiCompletions, r#"data: {"choices":[{"text":" four","logprobs":null}]}"#, Some(5)),
            (
                AnthropicMessages,
                "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"delta\":{\"type\":\"thinking_delta\",\"thinking\":\"hmm\"}}",
                Some(3),
            ),
            (
                AnthropicMessages,
                "event: content_block_delta\ndata: {\"delta\":{\"type\":\"signature_delta\",\"signature\":\"AAAA\"}}",
                Some(0),
            ),
            (
                OpenaiResponses,
                "event: response.output_text.delta\ndata: {\"item_id\":\"msg_1\",\"delta\":\" word\",\"obfuscation\":\"abcdef\"}",
                Some(5),
            ),
        ];
        for (dialect, block, expected) in cases {
            assert_eq!(text_bytes(dialect, block.as_bytes()), expected, "{block}");
        }
    }
}
