mod holding;
mod leasing;
mod simulated;
mod windows;

use std::sync::Arc;

use tollgate_core::{BudgetId, NanoUsd, OrganizationId, UnixMicros};
use tollgate_state::governance::{
    BudgetMode, BudgetObject, Clamp, Governance, Member, OnExhausted, Place, Scope, Unpriced, Window,
    WindowKind,
};
use tollgate_state::objects::Owner;

use super::*;
use crate::record::BalanceKey;

pub(super) fn usd(nanos: i64) -> NanoUsd {
    NanoUsd::new(nanos)
}

pub(super) fn at(text: &str) -> UnixMicros {
    UnixMicros(text.parse::<jiff::Timestamp>().unwrap().as_microsecond())
}

pub(super) fn budget(amount: i64, kind: WindowKind, mode: BudgetMode) -> BudgetObject {
    BudgetObject {
        id: BudgetId::generate(),
        organization_id: OrganizationId::generate(),
        name: "test".to_owned(),
        scope: Scope { place: Place::Organization, each: None, model: None },
        amount_nano_usd: usd(amount),
        window: Window { kind, time_zone: "UTC".into() },
        mode,
        clamp: Clamp::default(),
        thresholds_percent: Vec::new(),
        on_exhausted: OnExhausted::default(),
        unpriced: Unpriced::default(),
        server_tools_nano_usd: None,
        increases: Vec::new(),
        enabled: true,
        owner: Owner::Api,
        created_at: UnixMicros(0),
        updated_at: UnixMicros(0),
    }
}

pub(super) fn publish(book: &BudgetBook, budgets: &[BudgetObject]) -> Arc<[Arc<BudgetLine>]> {
    book.lines(&Governance::new(budgets, &[]))
}

pub(super) fn claim(line: &Arc<BudgetLine>, amount: i64) -> Claim<'_> {
    Claim { line, member: Member::All, amount: usd(amount) }
}
