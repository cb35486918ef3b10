//! What a budget has counted in the window that is open.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tollgate_access::authorize::BudgetsRead;
use tollgate_core::{NanoUsd, UnixMicros, UsdAmount};
use tollgate_state::governance::{BudgetObject, Member, WindowKind};

use super::{BudgetPath, MemberView};
use crate::api::paging::page;
use crate::balances::{Standing, standings};
use crate::call::Call;
use crate::problem::Problem;

const ONE_HOUR_US: i128 = 3_600_000_000;

/// Which members are wanted.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct StateQuery {
    /// `next` of the page before.
    cursor: Option<String>,
    /// Items per page, 1 to 500.
    limit: Option<u32>,
}

impl StateQuery {
    /// The last member of the page before, and how many are wanted.
    pub(crate) fn read(&self) -> Result<(Option<Member>, usize), Problem> {
        let limit = page(None, self.limit)?.limit;
        let after = self.cursor.as_deref().map(str::parse).transpose();
        let after = after.map_err(|_| Problem::invalid("cursor", "is not one that this list gave out"))?;
        Ok((after, usize::try_from(limit).unwrap_or(usize::MAX)))
    }
}

/// What one member, or all together, did with a budget.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct BudgetState {
    member: MemberView,
    /// What may be spent in this window, increases included.
    limit_usd: UsdAmount,
    spent_usd: UsdAmount,
    /// The most that the calls under way in this process can add.
    reserved_usd: UsdAmount,
    /// What processes may still spend without asking, calls under way included; zero where one process is alone.
    leased_usd: UsdAmount,
    /// Neither spent nor leased, or reserved where one process is alone. Negative where more was spent than may be.
    left_usd: UsdAmount,
    window_start: UnixMicros,
    /// Absent in a budget that never begins again. Of a rolling window, when all that is counted now is forgotten; absent
    /// where nothing was spent.
    resets_at: Option<UnixMicros>,
    /// When nothing is left if spending goes on as in this window so far; absent when that is after the reset, nothing was
    /// spent, or too little of the window is over to tell.
    runs_out_at: Option<UnixMicros>,
}

/// The members of a budget that have been seen.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct BudgetStates {
    items: Vec<BudgetState>,
    /// The cursor of the next page; absent on the last one.
    next: Option<String>,
}

pub(crate) async fn state(call: Call<BudgetsRead, BudgetPath, StateQuery>) -> Result<BudgetStates, Problem> {
    let (after, wanted) = call.query.read()?;
    let installation = call.plane.installation()?;
    let budget = installation.store.get_budget(&call.proof, call.path.budget_id).await?;
    let now = call.plane.parts.clock.now();
    let mut standings = standings(installation, &call.plane.parts.budgets, &budget, now).await?;
    if let Some(after) = after {
        standings.retain(|standing| standing.member > after);
    }
    let more = standings.len() > wanted;
    standings.truncate(wanted);
    let next = standings.last().filter(|_| more).map(|last| last.member.to_string());
    let items = standings.into_iter().map(|standing| view(&budget, &standing, now)).collect();
    Ok(BudgetStates { items, next })
}

fn view(budget: &BudgetObject, standing: &Standing, now: UnixMicros) -> BudgetState {
    let usd = |nanos: i64| UsdAmount::of(NanoUsd::new(nanos));
    BudgetState {
        member: MemberView::new(&standing.member, budget.scope.each),
        limit_usd: UsdAmount::of(standing.limit),
        spent_usd: UsdAmount::of(standing.spent),
        reserved_usd: UsdAmount::of(standing.reserved),
        leased_usd: UsdAmount::of(standing.leased),
        left_usd: usd(standing.left().get()),
        window_start: standing.window_start,
        resets_at: resets_at(budget, standing),
        runs_out_at: runs_out_at(budget, standing, now),
    }
}

/// Of a rolling window, a standing knows the end of its newest part.
fn resets_at(budget: &BudgetObject, standing: &Standing) -> Option<UnixMicros> {
    match budget.window.kind {
        WindowKind::RollingS(_) if standing.spent.get() == 0 => None,
        WindowKind::RollingS(seconds) => {
            standing.resets_at.map(|end| end.plus(Duration::from_secs(u64::from(seconds))))
        }
        _ => standing.resets_at,
    }
}

/// Before this much of a window is over, its rate tells nothing.
fn telling_us(standing: &Standing) -> i128 {
    let twentieth = |end: UnixMicros| i128::from(end.0.saturating_sub(standing.window_start.0)) / 20;
    standing.resets_at.map_or(ONE_HOUR_US, |end| twentieth(end).min(ONE_HOUR_US))
}

fn runs_out_at(budget: &BudgetObject, standing: &Standing, now: UnixMicros) -> Option<UnixMicros> {
    if matches!(budget.window.kind, WindowKind::RollingS(_)) {
        return None;
    }
    let began = standing.window_start.max(budget.created_at);
    let elapsed_us = i128::try_from(now.since(began).as_micros()).ok()?;
    let (spent, left) = (i128::from(standing.spent.get()), i128::from(standing.left().get()));
    if left <= 0 {
        return Some(now);
    }
    if elapsed_us < telling_us(standing) {
        return None;
    }
    let remaining_us = (left * elapsed_us).checked_div(spent).filter(|_| spent > 0)?;
    let at = UnixMicros(now.0.checked_add(i64::try_from(remaining_us).ok()?)?);
    standing.resets_at.is_none_or(|reset| at < reset).then_some(at)
}

#[cfg(test)]
mod tests {
    use tollgate_core::{BudgetId, OrganizationId};
    use tollgate_state::governance::{BudgetMode, Clamp, OnExhausted, Unpriced, Window};
    use tollgate_state::objects::Owner;

    use super::*;
    use crate::governance::whole_organization;

    fn budget(kind: WindowKind) -> BudgetObject {
        BudgetObject {
            id: BudgetId::generate(),
            organization_id: OrganizationId::generate(),
            name: "b".into(),
            scope: whole_organization(),
            amount_nano_usd: NanoUsd::new(100),
            window: Window { kind, time_zone: "UTC".into() },
            mode: BudgetMode::Hard,
            clamp: Clamp::Missing,
            thresholds_percent: Vec::new(),
            on_exhausted: OnExhausted::Refuse,
            unpriced: Unpriced::Refuse,
            server_tools_nano_usd: None,
            increases: Vec::new(),
            enabled: true,
            owner: Owner::Api,
            created_at: UnixMicros(0),
            updated_at: UnixMicros(0),
        }
    }

    fn standing(spent: i64, resets_at: Option<i64>) -> Standing {
        Standing {
            member: Member::All,
            limit: NanoUsd::new(100),
            spent: NanoUsd::new(spent),
            reserved: NanoUsd::ZERO,
            leased: NanoUsd::ZERO,
            window_start: UnixMicros(1_000),
            resets_at: resets_at.map(UnixMicros),
        }
    }

    #[test]
    fn the_forecast_goes_on_at_the_windows_rate() {
        let at = |spent, resets_at| {
            runs_out_at(&budget(WindowKind::Month), &standing(spent, resets_at), UnixMicros(2_000))
        };
        // Half is spent after 1,000 µs: the other half lasts as long.
        assert_eq!(at(50, Some(10_000)), Some(UnixMicros(3_000)));
        // Less than a twentieth of the window, and than an hour of an endless one, tells nothing.
        assert_eq!(at(50, Some(100_000)), None);
        assert_eq!(at(50, None), None);
        assert_eq!(at(50, Some(3_000)), None);
        assert_eq!(at(0, Some(10_000)), None);
        assert_eq!(at(100, Some(10_000)), Some(UnixMicros(2_000)));
        let rolling = budget(WindowKind::RollingS(60));
        assert_eq!(runs_out_at(&rolling, &standing(50, None), UnixMicros(2_000)), None);
    }
}
