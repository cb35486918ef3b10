//! Under which ceiling a lease was granted, and whether it may be used under the one that holds now.

use crate::budget::balance::Ceiling;

/// While the ceiling only rises, what a lease holds is its holder's: what all have leased is within what the store knew
/// when it was asked, or within what it was asked later. Once it may have fallen, others may have leased under what it
/// was in between, and only the store knows what is left.
#[derive(Debug, Default)]
pub(super) struct Premise {
    /// The highest that the ceiling was since the store was asked for what it answered last.
    asked: Ceiling,
    /// The same for the question under way. A lowered budget stays so until there is an answer.
    asking: Ceiling,
}

impl Premise {
    /// The store is asked.
    pub(super) fn begin(&mut self, ceiling: Ceiling) {
        self.asking = ceiling;
    }

    /// It has answered.
    pub(super) fn finish(&mut self) {
        self.asked = self.asking;
    }

    /// Whether the lease may be used. One revision of a budget may follow another that nobody saw; within one, increases
    /// begin and end.
    pub(super) fn holds_under(&mut self, ceiling: Ceiling) -> bool {
        for under in [&mut self.asked, &mut self.asking] {
            if under.revision == ceiling.revision {
                under.amount = under.amount.max(ceiling.amount);
            }
        }
        ceiling == self.asked
    }

    pub(super) fn is_lowered(&self, ceiling: Ceiling) -> bool {
        ceiling.amount < self.asked.amount
    }
}
