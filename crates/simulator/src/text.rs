//! Answers made from prompts: the same prompt and model always give the same text.

use crate::random::Random;

/// What a token is here: about as many bytes as in English.
pub(crate) const BYTES_PER_TOKEN: usize = 4;

const OPENINGS: [&str; 6] = [
    "Here is what matters about {a}.",
    "In short, {a} comes down to a few choices.",
    "Good question: {a} is easier than it looks.",
    "Let us take {a} step by step.",
    "There are two sides to {a}, and both count.",
    "Think of {a} as something that you measure first and change second.",
];

const MIDDLES: [&str; 12] = [
    "Start with {b}, because everything else depends on it.",
    "A small trial with {a} shows within a day whether the direction is right.",
    "Write down what {b} costs today, so that you can compare later.",
    "Most teams underestimate {b} and overestimate how often {a} changes.",
    "Keep {a} and {b} apart: they fail for different reasons.",
    "If {b} grows tenfold, the plan should still hold.",
    "Two people should be able to explain {a} without notes.",
    "Whatever you decide about {b}, make it easy to undo.",
    "The usual mistake is to tune {a} before anybody has looked at the numbers.",
    "It helps to name one person who answers for {b}.",
    "When in doubt, prefer the simpler form of {a}.",
    "After that, {b} mostly takes care of itself.",
];

const CLOSINGS: [&str; 5] = [
    "Shall I turn this into a checklist?",
    "That should be enough to begin with {a}.",
    "Tell me more about {b} if you want numbers.",
    "Everything beyond this depends on your own constraints.",
    "I would revisit {a} in a month.",
];

const COMMON_WORDS: [&str; 36] = [
    "about", "after", "also", "answer", "been", "could", "does", "explain", "from", "give", "have", "hello",
    "help", "into", "just", "like", "make", "more", "need", "please", "should", "some", "tell", "than",
    "that", "them", "then", "there", "this", "what", "when", "where", "which", "with", "would", "your",
];

/// An answer of `sentences` sentences and an opening.
pub(crate) fn answer(prompt: &str, model: &str, sentences: u64) -> String {
    let mut random = Random::from_text(&format!("{model}\n{prompt}"));
    let topics = topics(prompt);
    let first = topics.first().map_or("the question", String::as_str);
    let mut text = fill(random.pick(&OPENINGS), first, first);
    let offset = random.below(MIDDLES.len() as u64);
    for number in 0..sentences {
        let index = usize::try_from(offset + number * 5).unwrap_or(0) % MIDDLES.len();
        let second = random.pick(&topics).map_or("the first step", String::as_str);
        text.push(' ');
        text.push_str(&fill(MIDDLES.get(index), first, second));
    }
    let last = topics.last().map_or("the details", String::as_str);
    text.push(' ');
    text.push_str(&fill(random.pick(&CLOSINGS), first, last));
    text
}

/// The answer once a tool has been called.
pub(crate) fn answer_from_tool(result: &str) -> String {
    let excerpt: String = result.chars().take(200).collect();
    format!("I looked it up. The tool answered: {excerpt} That settles the question.")
}

fn fill(sentence: Option<&&str>, first: &str, second: &str) -> String {
    sentence.map(|sentence| sentence.replace("{a}", first).replace("{b}", second)).unwrap_or_default()
}

/// The words of a prompt that look like subjects, each once, in their order.
pub(crate) fn topics(prompt: &str) -> Vec<String> {
    let mut topics: Vec<String> = Vec::new();
    for word in prompt.split(|character: char| !character.is_alphanumeric()) {
        let word = word.to_lowercase();
        let fits = (4..=20).contains(&word.chars().count());
        if fits && !COMMON_WORDS.contains(&word.as_str()) && !topics.contains(&word) {
            topics.push(word);
        }
        if topics.len() == 6 {
            break;
        }
    }
    topics
}

/// Cuts a text into pieces of about one token each, at character boundaries.
pub(crate) fn tokens(text: &str) -> Vec<String> {
    let mut pieces = Vec::with_capacity(text.len() / BYTES_PER_TOKEN + 1);
    let mut piece = String::new();
    for character in text.chars() {
        piece.push(character);
        if piece.len() >= BYTES_PER_TOKEN {
            pieces.push(std::mem::take(&mut piece));
        }
    }
    if !piece.is_empty() {
        pieces.push(piece);
    }
    pieces
}

/// How many tokens that many bytes are.
pub(crate) fn token_count(bytes: usize) -> u64 {
    bytes.div_ceil(BYTES_PER_TOKEN) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_repeat_and_speak_about_the_prompt() {
        let prompt = "Please explain database indexes for beginners";
        assert_eq!(answer(prompt, "m", 3), answer(prompt, "m", 3));
        assert_ne!(answer(prompt, "m", 3), answer(prompt, "other", 3));
        assert!(answer(prompt, "m", 3).contains("database"));
        assert!(!answer("", "m", 2).contains('{'));
    }

    #[test]
    fn tokens_lose_nothing() {
        let text = "Grüße 🚆 aus Köln";
        assert_eq!(tokens(text).concat(), text);
        assert!(tokens("").is_empty());
        assert_eq!(token_count(9), 3);
    }
}
