//! What was spent of budgets, who may spend how much of the rest, and the proof that it adds up.

pub(crate) mod balance;
pub(crate) mod balances;
pub(crate) mod charges_text;
pub(crate) mod instances;
pub(crate) mod leases;
pub(crate) mod verify;
pub(crate) mod write_off;
