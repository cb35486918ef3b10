use std::sync::Arc;

use tollgate_core::{LimitId, OrganizationId, UnixMicros};
use tollgate_state::governance::{
    Each, Governance, LimitMeter, LimitObject, LimitPeriod, LimitSharing, Member, Place, Scope,
};
use tollgate_state::objects::Owner;

use super::*;

mod bounds;
mod counts;
mod restart;

const START: UnixMicros = UnixMicros(1_760_000_000_000_000);

fn after_ms(ms: i64) -> UnixMicros {
    UnixMicros(START.0 + ms * 1_000)
}

fn limit(meter: LimitMeter, amount: u64, per: LimitPeriod, burst: Option<u64>) -> LimitObject {
    LimitObject {
        id: LimitId::generate(),
        organization_id: OrganizationId::from_bytes([1; 16]),
        name: "test".to_owned(),
        scope: Scope { place: Place::Organization, each: None, model: None },
        meter,
        amount,
        per,
        burst,
        sharing: LimitSharing::Leased,
        enabled: true,
        owner: Owner::Api,
        created_at: START,
        updated_at: START,
    }
}

fn each_customer(mut limit: LimitObject) -> LimitObject {
    limit.scope.each = Some(Each::Customer);
    limit
}

/// Some limits in a book.
struct Bench {
    book: LimitBook,
    limits: Vec<LimitObject>,
    lines: Arc<[Arc<LimitLine>]>,
}

impl Bench {
    fn new(limits: Vec<LimitObject>) -> Self {
        Self::of(LimitBook::default(), limits)
    }

    fn of(book: LimitBook, limits: Vec<LimitObject>) -> Self {
        let lines = book.lines(&Governance::new(&[], &limits));
        Self { book, limits, lines }
    }

    fn want(&self, slot: usize, member: Member, cost: u64) -> Want<'_> {
        Want { line: &self.lines[slot], config: &self.limits[slot], member, cost }
    }

    /// The same cost on all limits.
    fn take(&self, now: UnixMicros, cost: u64) -> Result<Taken, OverLimit> {
        let wants: Vec<Want<'_>> =
            (0..self.limits.len()).map(|slot| self.want(slot, Member::All, cost)).collect();
        self.book.take(now, &wants)
    }
}

fn customer(name: &str) -> Member {
    Member::Customer(name.into())
}
