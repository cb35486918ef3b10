//! What to answer and how fast, decided before the first byte.

use std::time::Duration;

use http::StatusCode;
use serde_json::{Map, Value, json};

use super::{
    ask::{Ask, Surface, Tool},
    unix_seconds,
};
use crate::{
    random::Random,
    text::{self, token_count},
};

/// Providers cache prefixes in steps of this many tokens, from [`MIN_CACHED_TOKENS`] on.
const CACHE_STEP_TOKENS: u64 = 128;
const MIN_CACHED_TOKENS: u64 = 256;

#[derive(Debug)]
pub(super) struct Plan {
    /// Makes ids unique.
    pub(super) number: u64,
    pub(super) created: u64,
    pub(super) model: &'static str,
    pub(super) content: Content,
    pub(super) finish: Finish,
    pub(super) usage: Usage,
    pub(super) first_token: Duration,
    pub(super) per_token: Duration,
    pub(super) fault: Option<Fault>,
}

#[derive(Debug)]
pub(super) enum Content {
    /// One piece per token.
    Text(Vec<String>),
    Call {
        name: String,
        /// Compact JSON.
        arguments: String,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Finish {
    Stop,
    Length,
    Call,
}

/// As OpenAI counts: cached tokens are part of the prompt, reasoning tokens of the output.
#[derive(Debug, Clone, Copy)]
pub(super) struct Usage {
    pub(super) prompt: u64,
    pub(super) cached: u64,
    pub(super) output: u64,
    pub(super) reasoning: u64,
}

#[derive(Debug, Clone, Copy)]
pub(super) enum Fault {
    Status(StatusCode),
    /// The connection breaks after that many events.
    CutAfter(usize),
}

impl Plan {
    pub(super) fn make(ask: &Ask, random: &mut Random) -> Self {
        let model = ask.model;
        let prompt = token_count(ask.prompt_bytes).max(1);
        let mut content = content(ask);
        let mut finish = if matches!(content, Content::Call { .. }) { Finish::Call } else { Finish::Stop };
        let reasoning = if model.reasons { 60 + random.below(240) } else { 0 };
        let limit = ask.max_output_tokens.unwrap_or(u64::MAX).saturating_sub(reasoning);
        if let Content::Text(pieces) = &mut content
            && pieces.len() as u64 > limit
        {
            pieces.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
            finish = Finish::Length;
        }
        let visible = match &content {
            Content::Text(pieces) => pieces.len() as u64,
            Content::Call { name, arguments } => token_count(name.len() + arguments.len()),
        };
        let cached = if prompt >= MIN_CACHED_TOKENS && random.happens(400) {
            prompt * 3 / 4 / CACHE_STEP_TOKENS * CACHE_STEP_TOKENS
        } else {
            0
        };
        let reading = Duration::from_micros(20) * u32::try_from(prompt - cached).unwrap_or(u32::MAX);
        let per_token = Duration::from_secs(1) / u32::try_from(model.tokens_per_second.max(1)).unwrap_or(1);
        Self {
            number: random.next(),
            created: unix_seconds(),
            model: model.name,
            content,
            finish,
            usage: Usage { prompt, cached, output: visible + reasoning, reasoning },
            first_token: random.jitter(Duration::from_millis(model.first_token_ms)) + reading,
            per_token: random.jitter(per_token),
            fault: fault(ask, random),
        }
    }

    /// How long the whole answer takes.
    pub(super) fn total_time(&self) -> Duration {
        let visible = self.usage.output - self.usage.reasoning;
        self.first_token + self.per_token * u32::try_from(visible).unwrap_or(u32::MAX)
    }

    /// The text, or nothing if the answer is a call.
    pub(super) fn text(&self) -> String {
        match &self.content {
            Content::Text(pieces) => pieces.concat(),
            Content::Call { .. } => String::new(),
        }
    }
}

fn fault(ask: &Ask, random: &mut Random) -> Option<Fault> {
    let model = ask.model;
    if random.happens(model.refused_per_mille) {
        return Some(Fault::Status(StatusCode::TOO_MANY_REQUESTS));
    }
    if random.happens(model.failed_per_mille) {
        // Anthropic says that it is overloaded with a status of its own.
        let overloaded = ask.surface.is_anthropic() && random.happens(500);
        let status =
            if overloaded { StatusCode::from_u16(529) } else { Ok(StatusCode::INTERNAL_SERVER_ERROR) };
        return status.ok().map(Fault::Status);
    }
    let cut = ask.stream && random.happens(model.cut_per_mille);
    cut.then(|| Fault::CutAfter(usize::try_from(5 + random.below(15)).unwrap_or(5)))
}

fn content(ask: &Ask) -> Content {
    if matches!(ask.surface, Surface::Embeddings | Surface::CountTokens) {
        return Content::Text(Vec::new());
    }
    if let Some(result) = &ask.tool_result {
        return Content::Text(text::tokens(&text::answer_from_tool(result)));
    }
    if let Some(tool) = tool_to_call(ask) {
        let arguments = arguments(&tool.schema, &ask.last_user_text).to_string();
        return Content::Call { name: tool.name.clone(), arguments };
    }
    let answer = text::answer(&ask.last_user_text, ask.model.name, ask.model.sentences);
    Content::Text(text::tokens(&answer))
}

/// The tool that shares words with what the user said; if one is demanded, any.
fn tool_to_call(ask: &Ask) -> Option<&Tool> {
    let said = ask.last_user_text.to_lowercase();
    let wants_any = ["tool", "function", "look up", "look it up"].iter().any(|words| said.contains(words));
    let fits = |tool: &&Tool| {
        let words = text::topics(&format!("{} {}", tool.name.replace('_', " "), tool.description));
        words.iter().any(|word| said.contains(word.as_str()))
    };
    let any = || (wants_any || ask.tool_required).then(|| ask.tools.first()).flatten();
    ask.tools.iter().find(fits).or_else(any)
}

/// Arguments that satisfy the usual schema: required properties, or all if none is.
fn arguments(schema: &Value, said: &str) -> Value {
    let Some(properties) = schema.get("properties").and_then(Value::as_object) else { return json!({}) };
    let required = schema.get("required").and_then(Value::as_array);
    let wanted = |name: &str| required.is_none_or(|required| required.iter().any(|have| have == name));
    // Names stand in capitals: the last one is usually what is asked about.
    let subject = said
        .split(|character: char| !character.is_alphanumeric())
        .rfind(|word| word.chars().next().is_some_and(char::is_uppercase) && word.len() > 2)
        .unwrap_or("Paris");
    let filled: Map<String, Value> = properties
        .iter()
        .filter(|(name, _)| wanted(name))
        .map(|(name, property)| (name.clone(), example(property, subject)))
        .collect();
    Value::Object(filled)
}

fn example(property: &Value, subject: &str) -> Value {
    if let Some(first) = property.get("enum").and_then(Value::as_array).and_then(|values| values.first()) {
        return first.clone();
    }
    match property.get("type").and_then(Value::as_str).unwrap_or("string") {
        "integer" | "number" => json!(3),
        "boolean" => json!(true),
        "array" => json!([]),
        "object" => arguments(property, subject),
        "null" => Value::Null,
        _ => json!(subject),
    }
}
