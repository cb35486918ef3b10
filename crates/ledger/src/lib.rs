//! What was consumed and what it cost: the records, and the journal that carries them through a crash.

pub mod journal;
pub mod record;
