//! What was consumed and what it cost: the records, the journal that carries them through a crash, and the
//! shipper that brings them into the store.

pub mod budget;
pub mod journal;
pub mod limit;
pub mod record;
pub mod shipper;
