//! Providers' usage objects as disjoint meters.

use tollgate_core::TokenUsage;

use crate::scan::{RawText, Scanner, Syntax, parse_digits};

/// More tokens than any call can have: a fault of the provider, not a fact.
const MAX_TOKENS: u64 = 1 << 40;

/// Why reported usage is not believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum UsageProblem {
    #[error("usage field `{0}` is negative")]
    Negative(&'static str),
    #[error("usage field `{0}` is not a whole number")]
    Fractional(&'static str),
    #[error("usage field `{0}` is beyond 2^40 tokens")]
    Absurd(&'static str),
    #[error("usage field `{0}` is not a number")]
    NotANumber(&'static str),
    #[error("usage field `{0}` is larger than the count that includes it")]
    Inconsistent(&'static str),
}

/// Which counts include which.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Inclusion {
    /// Cached and written tokens are part of the prompt (OpenAI and compatible).
    PartOfPrompt,
    /// Cached and written tokens are beside the input (Anthropic).
    BesideInput,
}

/// The counts as reported, under whichever name.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct ReportedUsage {
    counts: [Option<u64>; Count::LEN],
    problem: Option<UsageProblem>,
    /// There was a usage object.
    pub(crate) seen: bool,
}

#[derive(Debug, Clone, Copy)]
enum Count {
    Prompt,
    Output,
    Total,
    Cached,
    Written,
    WrittenShort,
    WrittenLong,
    Reasoning,
}

impl Count {
    const LEN: usize = 8;

    fn named(key: &[u8]) -> Option<(Self, &'static str)> {
        Some(match key {
            b"prompt_tokens" => (Self::Prompt, "prompt_tokens"),
            b"input_tokens" => (Self::Prompt, "input_tokens"),
            b"completion_tokens" => (Self::Output, "completion_tokens"),
            b"output_tokens" => (Self::Output, "output_tokens"),
            b"total_tokens" => (Self::Total, "total_tokens"),
            b"prompt_cache_hit_tokens" => (Self::Cached, "prompt_cache_hit_tokens"),
            b"cache_read_input_tokens" => (Self::Cached, "cache_read_input_tokens"),
            b"cache_creation_input_tokens" => (Self::Written, "cache_creation_input_tokens"),
            b"reasoning_tokens" => (Self::Reasoning, "reasoning_tokens"),
            _ => return None,
        })
    }

    fn detail(key: &[u8]) -> Option<(Self, &'static str)> {
        Some(match key {
            b"cached_tokens" => (Self::Cached, "cached_tokens"),
            b"cache_write_tokens" => (Self::Written, "cache_write_tokens"),
            b"reasoning_tokens" => (Self::Reasoning, "reasoning_tokens"),
            b"thinking_tokens" => (Self::Reasoning, "thinking_tokens"),
            b"ephemeral_5m_input_tokens" => (Self::WrittenShort, "ephemeral_5m_input_tokens"),
            b"ephemeral_1h_input_tokens" => (Self::WrittenLong, "ephemeral_1h_input_tokens"),
            _ => return None,
        })
    }
}

impl ReportedUsage {
    /// Reads a usage object at the scanner's position; `null` and other types say nothing.
    pub(crate) fn read(&mut self, scanner: &mut Scanner<'_>) -> Result<(), Syntax> {
        if scanner.token() != b'{' {
            return scanner.skip().map(drop);
        }
        self.seen = true;
        scanner.members(|scanner, key: RawText<'_>| {
            let is_details = matches!(
                key.inner(),
                b"prompt_tokens_details"
                    | b"input_tokens_details"
                    | b"completion_tokens_details"
                    | b"output_tokens_details"
                    | b"cache_creation"
            );
            if let Some((count, name)) = Count::named(key.inner()) {
                self.read_count(scanner, count, name)
            } else if is_details && scanner.token() == b'{' {
                scanner.members(|scanner, key: RawText<'_>| match Count::detail(key.inner()) {
                    Some((count, name)) => self.read_count(scanner, count, name),
                    None => scanner.skip().map(drop),
                })
            } else {
                scanner.skip().map(drop)
            }
        })
    }

    /// Reads a count of input tokens that stands alone, as in answers of token-counting endpoints.
    pub(crate) fn read_input(&mut self, scanner: &mut Scanner<'_>) -> Result<(), Syntax> {
        self.seen = true;
        self.read_count(scanner, Count::Prompt, "input_tokens")
    }

    fn read_count(
        &mut self,
        scanner: &mut Scanner<'_>,
        count: Count,
        name: &'static str,
    ) -> Result<(), Syntax> {
        let token = scanner.token();
        let text = scanner.skip()?;
        let value = match token {
            b'n' => return Ok(()),
            b'-' | b'0'..=b'9' => parse_count(text, name),
            _ => Err(UsageProblem::NotANumber(name)),
        };
        match (value, self.counts.get_mut(count as usize)) {
            (Ok(value), Some(slot)) => *slot = Some(value),
            (Err(problem), _) => self.problem = self.problem.or(Some(problem)),
            _ => {}
        }
        Ok(())
    }

    /// Takes over what a later report of the same stream says, count by count. A zero never erases a count: some are
    /// reported at the start only.
    pub(crate) fn override_with(&mut self, later: &Self) {
        self.seen |= later.seen;
        self.problem = self.problem.or(later.problem);
        for (slot, value) in self.counts.iter_mut().zip(later.counts) {
            if value.is_some_and(|value| value > 0) || slot.is_none() {
                *slot = value;
            }
        }
    }

    fn get(&self, count: Count) -> u64 {
        self.counts.get(count as usize).copied().flatten().unwrap_or(0)
    }

    /// The reported counts as disjoint meters; `None` when there was no usage object, or none with a known count.
    pub(crate) fn meters(&self, inclusion: Inclusion) -> Result<Option<TokenUsage>, UsageProblem> {
        if let Some(problem) = self.problem {
            return Err(problem);
        }
        if self.counts.iter().all(Option::is_none) {
            return Ok(None);
        }
        let (prompt, cached) = (self.get(Count::Prompt), self.get(Count::Cached));
        let long = self.get(Count::WrittenLong);
        let written = self.get(Count::Written).max(self.get(Count::WrittenShort) + long);
        let (output, reasoning) = self.outputs(prompt)?;
        let input = match inclusion {
            Inclusion::BesideInput => prompt,
            Inclusion::PartOfPrompt => {
                let parts = cached + written;
                prompt.checked_sub(parts).ok_or(UsageProblem::Inconsistent("cached_tokens"))?
            }
        };
        Ok(Some(TokenUsage {
            input,
            cache_read: cached,
            cache_write: written - long,
            cache_write_long: long,
            output,
            reasoning,
        }))
    }

    /// Reasoning is part of the output everywhere but at some models of xAI; there the total tells.
    fn outputs(&self, prompt: u64) -> Result<(u64, u64), UsageProblem> {
        let (output, reasoning) = (self.get(Count::Output), self.get(Count::Reasoning));
        let beside = self.get(Count::Total) == prompt + output + reasoning;
        match output.checked_sub(reasoning) {
            _ if beside => Ok((output, reasoning)),
            Some(visible) => Ok((visible, reasoning)),
            None => Err(UsageProblem::Inconsistent("reasoning_tokens")),
        }
    }
}

fn parse_count(number: &[u8], name: &'static str) -> Result<u64, UsageProblem> {
    match parse_digits(number) {
        Some(value) if value <= MAX_TOKENS => Ok(value),
        _ if number.starts_with(b"-") => Err(UsageProblem::Negative(name)),
        _ if number.iter().any(|byte| !byte.is_ascii_digit()) => Err(UsageProblem::Fractional(name)),
        _ => Err(UsageProblem::Absurd(name)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn meters(inclusion: Inclusion, text: &str) -> Result<Option<TokenUsage>, UsageProblem> {
        let mut usage = ReportedUsage::default();
        usage.read(&mut Scanner::new(text.as_bytes())).unwrap();
        usage.meters(inclusion)
    }

    #[test]
    fn openai_counts_include_cached_written_and_reasoning_tokens() {
        let text = r#"{"prompt_tokens":100,"completion_tokens":50,"total_tokens":150,
            "prompt_tokens_details":{"cached_tokens":30,"cache_write_tokens":20,"audio_tokens":0},
            "completion_tokens_details":{"reasoning_tokens":40},"cost":0.5}"#;
        let expected = TokenUsage {
            input: 50,
            cache_read: 30,
            cache_write: 20,
            output: 10,
            reasoning: 40,
            ..Default::default()
        };
        assert_eq!(meters(Inclusion::PartOfPrompt, text), Ok(Some(expected)));
    }

    #[test]
    fn anthropic_counts_stand_beside_each_other() {
        let text = r#"{"input_tokens":10,"cache_read_input_tokens":20,"cache_creation_input_tokens":30,
            "cache_creation":{"ephemeral_5m_input_tokens":25,"ephemeral_1h_input_tokens":5},"output_tokens":7,
            "output_tokens_details":{"thinking_tokens":3},"server_tool_use":{"web_search_requests":1}}"#;
        let expected = TokenUsage {
            input: 10,
            cache_read: 20,
            cache_write: 25,
            cache_write_long: 5,
            output: 4,
            reasoning: 3,
        };
        assert_eq!(meters(Inclusion::BesideInput, text), Ok(Some(expected)));
    }

    #[test]
    fn other_spellings_and_disjoint_reasoning() {
        let deepseek = r#"{"prompt_tokens":10,"prompt_cache_hit_tokens":4,"prompt_cache_miss_tokens":6}"#;
        let usage = meters(Inclusion::PartOfPrompt, deepseek).unwrap().unwrap();
        assert_eq!((usage.input, usage.cache_read), (6, 4));
        let xai = r#"{"prompt_tokens":10,"completion_tokens":5,"total_tokens":35,
            "completion_tokens_details":{"reasoning_tokens":20}}"#;
        let usage = meters(Inclusion::PartOfPrompt, xai).unwrap().unwrap();
        assert_eq!((usage.output, usage.reasoning), (5, 20));
    }

    #[test]
    fn counts_that_cannot_be_true_are_problems() {
        for (text, problem) in [
            (r#"{"prompt_tokens":-5}"#, UsageProblem::Negative("prompt_tokens")),
            (r#"{"prompt_tokens":1.5}"#, UsageProblem::Fractional("prompt_tokens")),
            (r#"{"prompt_tokens":1e3}"#, UsageProblem::Fractional("prompt_tokens")),
            (r#"{"completion_tokens":1000000000000000}"#, UsageProblem::Absurd("completion_tokens")),
            (r#"{"completion_tokens":99999999999999999999999}"#, UsageProblem::Absurd("completion_tokens")),
            (r#"{"completion_tokens":"5"}"#, UsageProblem::NotANumber("completion_tokens")),
            (
                r#"{"prompt_tokens":1,"prompt_tokens_details":{"cached_tokens":2}}"#,
                UsageProblem::Inconsistent("cached_tokens"),
            ),
        ] {
            assert_eq!(meters(Inclusion::PartOfPrompt, text), Err(problem), "{text}");
        }
        assert_eq!(meters(Inclusion::PartOfPrompt, "null"), Ok(None));
        assert_eq!(meters(Inclusion::PartOfPrompt, "{}"), Ok(None));
    }
}
