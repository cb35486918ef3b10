//! What a request asks for whose tokens or price its bytes and its output cap do not tell.

use super::{BadBody, folded};
use crate::objects::SAYS_NOTHING;
use crate::scan::{RawText, Scanner};

/// One such thing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u16)]
pub enum Beyond {
    /// Content that the provider fetches or keeps: by URL, by id, cached.
    Referenced = 1,
    /// Images, documents or video in the body: their tokens go by pixels, pages and seconds.
    Media = 1 << 1,
    /// Audio in the body, which also has prices of its own.
    Audio = 1 << 2,
    /// An answer in audio.
    AudioAnswer = 1 << 3,
    /// The provider itself calls tools, searches, or compacts the conversation: each time another prompt, with
    /// content that nobody here has seen.
    ProviderTools = 1 << 4,
    /// A predicted answer: what of it is rejected is billed beside the answer.
    Prediction = 1 << 5,
    /// The prompt is repeated in the answer.
    Echo = 1 << 6,
    /// An option that multiplies prices by speed.
    Speed = 1 << 7,
    /// An option that multiplies prices by place.
    Residency = 1 << 8,
    /// Other models may answer in the place of the one that is priced.
    OtherModels = 1 << 9,
    /// What the model thinks may be kept out of the answer.
    HiddenReasoning = 1 << 10,
}

/// A set of [`Beyond`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct BeyondText(u16);

/// Options of requests, beside the fields that every request has.
const OPTIONS: [(&str, Beyond); 24] = [
    ("mcp_servers", Beyond::ProviderTools),
    ("plugins", Beyond::ProviderTools),
    ("search_parameters", Beyond::ProviderTools),
    ("web_search_options", Beyond::ProviderTools),
    ("web_search", Beyond::ProviderTools),
    ("enable_search", Beyond::ProviderTools),
    ("data_sources", Beyond::ProviderTools),
    ("compound_custom", Beyond::ProviderTools),
    ("context_management", Beyond::ProviderTools),
    ("extra_body", Beyond::Referenced),
    ("google", Beyond::Referenced),
    ("cached_content", Beyond::Referenced),
    ("audio", Beyond::AudioAnswer),
    ("modalities", Beyond::AudioAnswer),
    ("prediction", Beyond::Prediction),
    ("echo", Beyond::Echo),
    ("speed", Beyond::Speed),
    ("inference_geo", Beyond::Residency),
    ("models", Beyond::OtherModels),
    ("fallbacks", Beyond::OtherModels),
    ("route", Beyond::OtherModels),
    ("reasoning", Beyond::HiddenReasoning),
    ("reasoning_format", Beyond::HiddenReasoning),
    ("include_reasoning", Beyond::HiddenReasoning),
];
/// Values that ask for nothing.
const NOTHING: [&[u8]; 4] = [b"null", b"[]", b"{}", br#""""#];

/// Tools that the caller runs, by their whole `type`.
const CALLERS_TOOLS: [&[u8]; 6] =
    [b"function", b"custom", b"local_shell", b"apply_patch", b"computer", b"computer_use_preview"];
/// Those of Anthropic's whose type ends in a date.
const CALLERS_DATED_TOOLS: [&[u8]; 4] = [b"bash_", b"text_editor_", b"computer_", b"memory_"];

/// Under these, beside [`SAYS_NOTHING`], stands what a model has done.
const DONE: [&str; 2] = ["action", "arguments"];

impl BeyondText {
    pub const fn has(self, what: Beyond) -> bool {
        self.0 & what as u16 != 0
    }

    /// Whether the whole prompt is text in the body.
    pub const fn prompt_is_text(self) -> bool {
        !(self.has(Beyond::Referenced) || self.has(Beyond::Media) || self.has(Beyond::Audio))
    }

    pub(super) const fn add(&mut self, what: Beyond) {
        self.0 |= what as u16;
    }

    /// Takes note of a member of the request that is no field of its dialect's.
    pub(super) fn note_option(&mut self, key: &RawText<'_>, value: &[u8]) {
        if NOTHING.contains(&value) {
            return;
        }
        let name = folded(key);
        let Some((_, what)) = OPTIONS.iter().find(|(option, _)| name.eq_ignore_ascii_case(option)) else {
            return;
        };
        // An escape may spell anything.
        let mentions = |word: &[u8]| {
            memchr::memmem::find(value, word).is_some() || memchr::memchr(b'\\', value).is_some()
        };
        let is_harmless = match &*name {
            "context_management" => !mentions(b"compact"),
            "modalities" => !mentions(b"audio"),
            "speed" => value == br#""standard""#,
            "include_reasoning" => value == b"true",
            "echo" | "enable_search" | "web_search" => value == b"false",
            _ => false,
        };
        if !is_harmless {
            self.add(*what);
        }
    }

    /// Reads one element of `tools`, showing its texts.
    pub(super) fn read_tool<'text>(
        &mut self,
        scanner: &mut Scanner<'text>,
        on_text: &mut impl FnMut(RawText<'text>, RawText<'text>),
    ) -> Result<(), BadBody> {
        let (mut kind, mut has_name) = (None, false);
        if scanner.token() == b'{' {
            scanner.members(|scanner, key| {
                let name = folded(&key);
                has_name |= matches!(&*name, "name" | "function");
                let is_type = name.eq_ignore_ascii_case("type");
                if scanner.token() != b'"' {
                    scanner.skip_under(key, on_text)?;
                    // A type that is no text is none that is known.
                    kind = if is_type { Some(false) } else { kind };
                    return Ok::<_, BadBody>(());
                }
                let text = scanner.string()?;
                on_text(key, text);
                if is_type {
                    kind = Some(kind.unwrap_or(true) && is_callers_tool(text.decode().as_bytes()));
                }
                Ok(())
            })?;
        } else {
            scanner.skip_with(on_text)?;
        }
        if !kind.unwrap_or(has_name) {
            self.add(Beyond::ProviderTools);
        }
        Ok(())
    }
}

fn is_callers_tool(kind: &[u8]) -> bool {
    CALLERS_TOOLS.contains(&kind) || CALLERS_DATED_TOOLS.iter().any(|start| kind.starts_with(start))
}

/// Whether a text under this key may be content that is not text, or point at it; then [`Media`] tells.
#[inline]
pub(super) fn may_be_media(key: &RawText<'_>) -> bool {
    let inner = key.inner();
    let is = |name: &str| inner.eq_ignore_ascii_case(name.as_bytes());
    key.escaped
        || match inner.len() {
            3 => is("url"),
            4 => is("data"),
            7 => is("file_id"),
            8 => is("file_url") || is("file_uri"),
            9 => is("image_url") || is("video_url") || is("audio_url") || is("file_data"),
            10 => is("image_data") || is("image_file"),
            _ => !inner.is_ascii(),
        }
}

/// Finds media and references in one value of content.
#[derive(Debug)]
pub(super) struct Media<'found> {
    pub(super) beyond_text: &'found mut BeyondText,
    pub(super) references: &'found mut u32,
    /// Blocks of Anthropic's dialect: what stands under `input` was made up by a model.
    pub(super) are_blocks: bool,
}

impl Media<'_> {
    /// Walks through one value under `key`. The bytes are known to be JSON, of bounded depth.
    pub(super) fn walk(&mut self, scanner: &mut Scanner<'_>, key: &RawText<'_>) -> Result<(), BadBody> {
        match scanner.token() {
            b'"' => {
                let text = scanner.string()?;
                self.judge(key, &text);
                Ok(())
            }
            b'[' => scanner.elements(|scanner| self.walk(scanner, key)),
            b'{' => scanner.members(|scanner, key| {
                let inner = key.inner();
                let is_made_up = self.are_blocks && inner == b"input"
                    || SAYS_NOTHING.iter().chain(&DONE).any(|name| name.as_bytes() == inner);
                if is_made_up {
                    return Ok(scanner.skip().map(drop)?);
                }
                if folded(&key).eq_ignore_ascii_case("input_audio") {
                    self.beyond_text.add(Beyond::Audio);
                }
                self.walk(scanner, &key)
            }),
            _ => Ok(scanner.skip().map(drop)?),
        }
    }

    fn judge(&mut self, key: &RawText<'_>, text: &RawText<'_>) {
        if !may_be_media(key) {
            return;
        }
        let name = folded(key).to_ascii_lowercase();
        let start = text.excerpt(16).to_ascii_lowercase();
        match &*name {
            "data" | "file_data" | "image_data" => self.beyond_text.add(Beyond::Media),
            "url" | "file_id" | "file_url" | "file_uri" | "image_url" | "video_url" | "audio_url"
            | "image_file" => {
                if !start.starts_with("data:") {
                    *self.references = self.references.saturating_add(1);
                    self.beyond_text.add(Beyond::Referenced);
                } else if start.starts_with("data:audio") {
                    self.beyond_text.add(Beyond::Audio);
                } else {
                    self.beyond_text.add(Beyond::Media);
                }
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests;
