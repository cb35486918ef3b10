//! Bounds what invented credentials cost: what was just found absent is remembered, and few may be asked for.

use std::collections::HashSet;
use std::hash::Hash;
use std::time::{Duration, Instant};

/// How long one generation of absent credentials gathers. "Does not exist" is believed for at most twice as long.
const GENERATION: Duration = Duration::from_millis(500);
/// The most credentials in one generation; beyond it, absent ones are asked for again.
const GENERATION_SIZE: usize = 10_000;
/// The most misses at once.
const BURST: u32 = 400;
/// The time in which one more miss is allowed: 200 in a second.
const REFILL: Duration = Duration::from_millis(5);

/// What a caller is told when the store is not to be asked.
pub(crate) const TOO_MANY: &str = "too many unknown credentials are being tried; try again in a moment";

/// Absent credentials, and how many more may turn out to be absent.
#[derive(Debug)]
pub(crate) struct Misses<K> {
    young: HashSet<K>,
    old: HashSet<K>,
    turned_at: Instant,
    left: u32,
    filled_at: Instant,
}

impl<K: Eq + Hash> Misses<K> {
    pub(crate) fn new(now: Instant) -> Self {
        Self { young: HashSet::new(), old: HashSet::new(), turned_at: now, left: BURST, filled_at: now }
    }

    /// Whether this was found absent a moment ago.
    pub(crate) fn is_absent(&mut self, credential: &K, now: Instant) -> bool {
        self.turn(now);
        self.young.contains(credential) || self.old.contains(credential)
    }

    pub(crate) fn remember(&mut self, credential: K, now: Instant) {
        self.turn(now);
        if self.young.len() < GENERATION_SIZE {
            self.young.insert(credential);
        }
    }

    /// Whether the store may be asked. Counts as a miss until [`Self::found`] says otherwise.
    pub(crate) fn may_ask(&mut self, now: Instant) -> bool {
        let passed = now.saturating_duration_since(self.filled_at);
        let more = u32::try_from(passed.as_millis() / REFILL.as_millis()).unwrap_or(u32::MAX);
        self.left = self.left.saturating_add(more).min(BURST);
        self.filled_at = if more > BURST { now } else { self.filled_at + REFILL * more };
        let may = self.left > 0;
        self.left = self.left.saturating_sub(1);
        may
    }

    pub(crate) fn found(&mut self) {
        self.left = (self.left + 1).min(BURST);
    }

    /// Forgets a whole generation at once, which costs the same however many there are.
    fn turn(&mut self, now: Instant) {
        let passed = now.saturating_duration_since(self.turned_at);
        if passed < GENERATION {
            return;
        }
        self.old = std::mem::take(&mut self.young);
        if passed >= GENERATION * 2 {
            self.old = HashSet::new();
        }
        self.turned_at = now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn absence_is_believed_for_a_while_only_and_its_memory_is_bounded() {
        let start = Instant::now();
        let mut misses = Misses::new(start);
        misses.remember(0, start);
        assert!(misses.is_absent(&0, start + GENERATION));
        assert!(!misses.is_absent(&1, start));
        assert!(!misses.is_absent(&0, start + GENERATION * 2));
        misses.remember(0, start + GENERATION * 2);
        assert!(!misses.is_absent(&0, start + GENERATION * 9));
        let later = start + GENERATION * 9;
        for credential in 0..3 * GENERATION_SIZE {
            misses.remember(credential, later);
        }
        assert_eq!(misses.young.len() + misses.old.len(), GENERATION_SIZE);
    }

    #[test]
    fn misses_are_limited_and_finds_are_free() {
        let start = Instant::now();
        let mut misses = Misses::<u8>::new(start);
        for _ in 0..BURST * 2 {
            assert!(misses.may_ask(start));
            misses.found();
        }
        let burst = (0..BURST * 2).filter(|_| misses.may_ask(start)).count();
        assert_eq!(burst, BURST as usize);
        let second = (0..BURST * 2).filter(|_| misses.may_ask(start + Duration::from_secs(1))).count();
        assert_eq!(second, 200);
        let idle = (0..BURST * 2).filter(|_| misses.may_ask(start + Duration::from_secs(3600))).count();
        assert_eq!(idle, BURST as usize);
    }
}
