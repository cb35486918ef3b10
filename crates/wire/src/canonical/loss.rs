//! What a translation could not carry over unchanged.

/// Keeps a report small whatever a client sends.
const MAXIMUM_LOSSES: usize = 64;

/// What became of a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// The target dialect has no place for it.
    Dropped,
    /// It is expressed by other means that come close.
    Emulated,
    /// It was sent with another value.
    Changed,
}

impl Effect {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Dropped => "dropped",
            Self::Emulated => "emulated",
            Self::Changed => "changed",
        }
    }
}

/// One thing that the target dialect cannot say the same way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loss {
    /// Where it stood, with `[*]` for any array position: `messages[*].name`.
    pub field: String,
    pub effect: Effect,
    pub note: String,
}

/// One line for headers and records: `tools[*].strict: dropped`.
impl std::fmt::Display for Loss {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{}: {}", self.field, self.effect.as_str())
    }
}

/// The losses of one translation: each field and effect once, at most 64.
#[derive(Debug, Default)]
pub struct Losses(Vec<Loss>);

impl Losses {
    pub fn dropped(&mut self, field: &str, note: &str) {
        self.push(field, Effect::Dropped, note);
    }

    pub fn emulated(&mut self, field: &str, note: &str) {
        self.push(field, Effect::Emulated, note);
    }

    pub fn changed(&mut self, field: &str, note: &str) {
        self.push(field, Effect::Changed, note);
    }

    pub fn into_vec(self) -> Vec<Loss> {
        self.0
    }

    fn push(&mut self, field: &str, effect: Effect, note: &str) {
        let field = without_positions(field);
        let known = self.0.iter().any(|loss| loss.field == field && loss.effect == effect);
        if !known && self.0.len() < MAXIMUM_LOSSES {
            self.0.push(Loss { field, effect, note: note.to_owned() });
        }
    }
}

/// `messages[3].content[0]` becomes `messages[*].content[*]`; a client's own key names are cut to a sane length.
fn without_positions(field: &str) -> String {
    let mut result = String::with_capacity(field.len());
    let mut in_brackets = false;
    for character in field.chars().take(200) {
        match character {
            '[' => {
                in_brackets = true;
                result.push_str("[*");
            }
            ']' => {
                in_brackets = false;
                result.push(']');
            }
            _ if in_brackets => {}
            _ => result.push(character),
        }
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_are_folded_and_the_list_is_bounded() {
        let mut losses = Losses::default();
        losses.dropped("tools[0].defer_loading", "no such field");
        losses.dropped("tools[17].defer_loading", "no such field");
        for number in 0..200 {
            losses.dropped(&format!("field_{number}"), "no such field");
        }
        let losses = losses.into_vec();
        assert_eq!(losses[0].field, "tools[*].defer_loading");
        assert_eq!(losses[1].field, "field_0");
        assert_eq!(losses.len(), MAXIMUM_LOSSES);
    }
}
