//! How budgets stand now: what this process has counted, and where several share budgets what all of them did.

use std::collections::BTreeMap;

use tollgate_access::authorize::BudgetsRead;
use tollgate_access::{Actor, Scope};
use tollgate_core::{NanoUsd, UnixMicros};
use tollgate_ledger::budget::{BudgetBook, window_at};
use tollgate_state::governance::{BudgetObject, Member, WindowKind};
use tollgate_store::{BalanceFilter, MAX_PAGE};

use crate::connection::Installation;
use crate::problem::Problem;

/// How a budget stands for one member in the window that is open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Standing {
    pub(crate) member: Member,
    pub(crate) limit: NanoUsd,
    pub(crate) spent: NanoUsd,
    /// By this process, for calls under way.
    pub(crate) reserved: NanoUsd,
    /// By all processes and not spent yet; what this one has reserved is part of it.
    pub(crate) leased: NanoUsd,
    pub(crate) window_start: UnixMicros,
    pub(crate) resets_at: Option<UnixMicros>,
}

impl Standing {
    pub(crate) fn left(&self) -> NanoUsd {
        let taken = self.spent.get().saturating_add(self.leased.max(self.reserved).get());
        NanoUsd::new(self.limit.get().saturating_sub(taken))
    }
}

/// By member. A budget that counts all together always has its one row.
pub(crate) async fn standings(
    installation: &Installation,
    book: &BudgetBook,
    budget: &BudgetObject,
    now: UnixMicros,
) -> Result<Vec<Standing>, Problem> {
    let (window_start, resets_at) = window_at(&budget.window, now);
    let mut standings: Vec<_> = book
        .balances(budget.id, now)
        .into_iter()
        .map(|report| Standing {
            member: report.balance.member.clone(),
            limit: report.amount_nano_usd,
            spent: report.spent_nano_usd,
            reserved: report.reserved_nano_usd,
            leased: NanoUsd::ZERO,
            window_start: report.balance.window_start,
            resets_at: report.window_end,
        })
        .collect();
    if installation.store.kind() == "postgres" {
        add_other_processes(installation, budget, window_start, now, &mut standings).await?;
    }
    if standings.is_empty() && budget.scope.each.is_none() {
        standings.push(Standing {
            member: Member::All,
            limit: budget.amount_at(now),
            spent: NanoUsd::ZERO,
            reserved: NanoUsd::ZERO,
            leased: NanoUsd::ZERO,
            window_start,
            resets_at,
        });
    }
    Ok(standings)
}

/// Where processes share a budget, the store knows what all of them shipped and hold. Of a rolling window, all buckets
/// that still count.
async fn add_other_processes(
    installation: &Installation,
    budget: &BudgetObject,
    window_start: UnixMicros,
    now: UnixMicros,
    standings: &mut Vec<Standing>,
) -> Result<(), Problem> {
    let from = match budget.window.kind {
        WindowKind::RollingS(seconds) => UnixMicros(window_start.0 - i64::from(seconds) * 1_000_000),
        _ => window_start,
    };
    let proof = Actor::system("budgets").authorize::<BudgetsRead>(Scope::Installation)?;
    let filter = BalanceFilter { member: None, from: Some(from), limit: MAX_PAGE };
    let stored = installation.store.list_balances(&proof, budget.id, &filter).await?;
    let mut sums: BTreeMap<Member, (NanoUsd, NanoUsd)> = BTreeMap::new();
    for one in stored {
        let (spent, leased) = sums.entry(one.balance.member).or_default();
        *spent += one.spent_nano_usd;
        *leased += one.leased_nano_usd;
    }
    for (member, (spent, leased)) in sums {
        match standings.iter_mut().find(|standing| standing.member == member) {
            Some(own) => (own.spent, own.leased) = (spent, leased),
            None => standings.push(Standing {
                member,
                limit: budget.amount_at(now),
                spent,
                reserved: NanoUsd::ZERO,
                leased,
                window_start,
                resets_at: window_at(&budget.window, now).1,
            }),
        }
    }
    standings.sort_unstable_by(|one, other| one.member.cmp(&other.member));
    Ok(())
}
