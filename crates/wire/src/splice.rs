//! Named edits on a request body that leave every other byte where it was.

use bytes::Bytes;
use tollgate_core::Dialect;

use crate::peek::{Field, Peeked, Span};

/// A model name as a JSON string, ready to be put into bodies. Made once per deployment; cloning is cheap.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelText(Bytes);

impl ModelText {
    pub fn new(name: &str) -> Self {
        Self(serde_json::to_vec(name).unwrap_or_default().into())
    }

    /// Quotes included.
    pub const fn quoted(&self) -> &Bytes {
        &self.0
    }
}

/// A clamp on the output of one choice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OutputCap {
    pub tokens: u64,
    /// The field to add when the client gave no cap.
    pub add_as: Field,
}

impl OutputCap {
    /// A clamp that is added under the dialect's own name; `None` where a dialect has no cap.
    pub const fn for_dialect(dialect: Dialect, tokens: u64) -> Option<Self> {
        let add_as = match dialect {
            Dialect::OpenaiChat => Field::MaxCompletionTokens,
            Dialect::OpenaiCompletions | Dialect::AnthropicMessages => Field::MaxTokens,
            Dialect::OpenaiResponses => Field::MaxOutputTokens,
            Dialect::OpenaiEmbeddings => return None,
        };
        Some(Self { tokens, add_as })
    }
}

/// Smallest thinking budget that Anthropic takes; the output cap must be larger than the budget.
pub(crate) const MINIMUM_THINKING_TOKENS: u64 = 1_024;
/// Smallest cap that OpenAI takes for a response.
const MINIMUM_RESPONSE_TOKENS: u64 = 16;

/// The lowest output cap with which a request is still valid. Below it a clamp is impossible.
pub fn lowest_output_cap(peeked: &Peeked) -> u64 {
    match peeked.dialect() {
        Dialect::OpenaiResponses => MINIMUM_RESPONSE_TOKENS,
        _ if peeked.count(Field::ThinkingBudget).is_some() => MINIMUM_THINKING_TOKENS + 1,
        _ => 1,
    }
}

/// What to change in a body.
#[derive(Debug, Clone, Default)]
pub struct Edits<'edits> {
    /// Replaces the model (adds it when absent).
    pub model: Option<&'edits ModelText>,
    /// Sets `stream_options.include_usage` to true and keeps the other stream options. Chat and completions only.
    pub include_usage: bool,
    /// Lowers every larger cap, and a thinking budget with it; adds one when there is none. Not below
    /// [`lowest_output_cap`].
    pub output_cap: Option<OutputCap>,
}

/// Each edit cuts the body once and adds one piece; two caps can be lowered at once.
const MAX_EDITS: usize = 5;
const MAX_PARTS: usize = 2 * MAX_EDITS + 1;

/// A body in pieces; the pieces between the edits share the original's memory.
#[derive(Debug, Clone)]
pub struct Spliced {
    parts: [Bytes; MAX_PARTS],
    count: usize,
    len: usize,
}

impl Spliced {
    fn push(&mut self, part: Bytes) {
        if part.is_empty() {
            return;
        }
        if let Some(slot) = self.parts.get_mut(self.count) {
            self.len += part.len();
            self.count += 1;
            *slot = part;
        }
    }

    /// The pieces in order, none of them empty.
    pub fn parts(&self) -> &[Bytes] {
        self.parts.get(..self.count).unwrap_or_default()
    }

    /// The sum of all pieces: the new content length.
    pub const fn len(&self) -> usize {
        self.len
    }

    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// One contiguous copy; free when nothing was edited.
    pub fn to_bytes(&self) -> Bytes {
        match self.parts() {
            [] => Bytes::new(),
            [whole] => whole.clone(),
            parts => parts.concat().into(),
        }
    }
}

impl IntoIterator for Spliced {
    type Item = Bytes;
    type IntoIter = std::iter::Take<std::array::IntoIter<Bytes, MAX_PARTS>>;

    fn into_iter(self) -> Self::IntoIter {
        self.parts.into_iter().take(self.count)
    }
}

/// The edits found so far, in the order of their places.
struct Plan<'peeked> {
    peeked: &'peeked Peeked,
    edits: [(Span, Bytes); MAX_EDITS],
    count: usize,
    /// Members to add at the start of the root object.
    additions: usize,
}

impl Plan<'_> {
    fn replace(&mut self, span: Span, text: Bytes) {
        if let Some(slot) = self.edits.get_mut(self.count) {
            *slot = (span, text);
            self.count += 1;
        }
    }

    /// Replaces the field's value (`null` included) or adds the member.
    fn set(&mut self, field: Field, value: Bytes) {
        if let Some(span) = self.peeked.span(field) {
            return self.replace(span, value);
        }
        let at = self.peeked.root_start();
        let comma = if self.peeked.root_is_empty() && self.additions == 0 { "" } else { "," };
        self.additions += 1;
        let mut member = Vec::with_capacity(field.key().len() + value.len() + 4);
        member.push(b'"');
        member.extend_from_slice(field.key().as_bytes());
        member.extend_from_slice(b"\":");
        member.extend_from_slice(&value);
        member.extend_from_slice(comma.as_bytes());
        self.replace(Span { start: at, end: at }, member.into());
    }

    fn set_include_usage(&mut self) {
        const MEMBER: &[u8] = b"\"include_usage\":true";
        const MEMBER_FIRST: &[u8] = b"\"include_usage\":true,";
        const OBJECT: &[u8] = b"{\"include_usage\":true}";
        let peeked = self.peeked;
        if peeked.wants_usage() {
            return;
        }
        if let Some(span) = peeked.span(Field::IncludeUsage) {
            return self.replace(span, Bytes::from_static(b"true"));
        }
        match peeked.present(Field::StreamOptions) {
            None => self.set(Field::StreamOptions, Bytes::from_static(OBJECT)),
            Some(span) => {
                let at = span.start + 1;
                let text = if peeked.stream_options_is_empty() { MEMBER } else { MEMBER_FIRST };
                self.replace(Span { start: at, end: at }, Bytes::from_static(text));
            }
        }
    }

    fn clamp(&mut self, cap: OutputCap) {
        let peeked = self.peeked;
        // Servers of OpenAI's dialects differ on whether 0 means nothing or anything.
        let zero_is_a_cap = peeked.dialect() == Dialect::AnthropicMessages;
        let mut given = false;
        for field in Field::CAPS {
            if let Some(count) = peeked.count(field) {
                // The newer name says nothing to a server that is told the older one.
                given |= field == cap.add_as || field != Field::MaxCompletionTokens;
                if count > cap.tokens || count == 0 && !zero_is_a_cap {
                    self.set(field, digits(cap.tokens));
                }
            }
        }
        if !given {
            self.set(cap.add_as, digits(cap.tokens));
        }
        let is_lowered = peeked.output_cap().is_none_or(|asked| asked > cap.tokens);
        if is_lowered && peeked.count(Field::ThinkingBudget).is_some_and(|budget| budget >= cap.tokens) {
            let budget = cap.tokens.saturating_sub(1).max(MINIMUM_THINKING_TOKENS);
            self.set(Field::ThinkingBudget, digits(budget));
        }
    }
}

fn digits(number: u64) -> Bytes {
    Bytes::copy_from_slice(itoa::Buffer::new().format(number).as_bytes())
}

/// Applies `edits` to the body. Bytes outside the edited values are shared, not copied.
pub fn splice(peeked: &Peeked, edits: &Edits<'_>) -> Spliced {
    let mut plan = Plan { peeked, edits: Default::default(), count: 0, additions: 0 };
    if let Some(model) = edits.model {
        plan.set(Field::Model, model.quoted().clone());
    }
    // Other dialects report usage unasked, and have no such option.
    if edits.include_usage && matches!(peeked.dialect(), Dialect::OpenaiChat | Dialect::OpenaiCompletions) {
        plan.set_include_usage();
    }
    if let Some(cap) = edits.output_cap {
        plan.clamp(cap);
    }
    let Plan { edits: mut planned, count, .. } = plan;
    let planned = planned.get_mut(..count).unwrap_or_default();
    // All additions share one place. In an empty root only the first made has no comma, so it must come last.
    planned.reverse();
    planned.sort_by_key(|(span, _)| span.start);
    let mut spliced = Spliced { parts: Default::default(), count: 0, len: 0 };
    let body = peeked.body();
    let mut done = 0;
    for (span, text) in planned {
        spliced.push(body.slice(done..span.start as usize));
        spliced.push(std::mem::take(text));
        done = span.end as usize;
    }
    spliced.push(body.slice(done..));
    spliced
}
