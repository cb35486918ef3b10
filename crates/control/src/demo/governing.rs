//! Budgets and limits to look at, one of them nearly spent.

use tollgate_access::authorize::{BudgetsWrite, LimitsWrite};
use tollgate_core::{KeyId, NanoUsd, OrganizationId, TeamId};
use tollgate_state::governance::{
    BudgetMode, Clamp, DEFAULT_THRESHOLDS_PERCENT, Each, LimitMeter, LimitPeriod, LimitSharing, OnExhausted,
    Place, Scope, Unpriced, Window, WindowKind,
};
use tollgate_store::{BudgetDraft, LimitDraft};

use super::{DemoError, proof};
use crate::connection::Installation;

/// Pays for a handful of short answers of the first model.
const NEARLY_SPENT: NanoUsd = NanoUsd::new(250_000);

const fn scope(place: Place, each: Option<Each>) -> Scope {
    Scope { place, each, model: None }
}

fn budget(name: &str, scope: Scope, dollars: i64, kind: WindowKind) -> BudgetDraft {
    BudgetDraft {
        name: name.into(),
        scope,
        amount_nano_usd: NanoUsd::new(dollars * 1_000_000_000),
        window: Window { kind, time_zone: "UTC".into() },
        mode: BudgetMode::Stepped,
        clamp: Clamp::Missing,
        thresholds_percent: DEFAULT_THRESHOLDS_PERCENT.into(),
        on_exhausted: OnExhausted::Refuse,
        unpriced: Unpriced::Refuse,
        server_tools_nano_usd: None,
        enabled: true,
    }
}

fn limit(name: &str, scope: Scope, meter: LimitMeter, amount: u64) -> LimitDraft {
    LimitDraft {
        name: name.into(),
        scope,
        meter,
        amount,
        per: LimitPeriod::Minute,
        burst: None,
        sharing: LimitSharing::Leased,
        enabled: true,
    }
}

/// `team_id` and `key_id` get a budget of their own; that of the key is nearly spent.
pub(super) async fn make(
    installation: &Installation,
    organization_id: OrganizationId,
    team_id: TeamId,
    key_id: KeyId,
) -> Result<(), DemoError> {
    let store = &installation.store;
    let small = BudgetDraft {
        amount_nano_usd: NEARLY_SPENT,
        mode: BudgetMode::Stepped,
        clamp: Clamp::Always,
        ..budget("nearly-spent", scope(Place::Key(key_id), None), 0, WindowKind::Day)
    };
    for draft in [
        budget("acme-monthly", scope(Place::Organization, None), 500, WindowKind::Month),
        budget("platform-each-key", scope(Place::Team(team_id), Some(Each::Key)), 20, WindowKind::Day),
        small,
    ] {
        store.create_budget(&proof::<BudgetsWrite>()?, organization_id, draft).await?;
    }
    for draft in [
        limit("each-key-requests", scope(Place::Organization, Some(Each::Key)), LimitMeter::Requests, 600),
        limit("acme-concurrency", scope(Place::Organization, None), LimitMeter::Concurrency, 200),
    ] {
        store.create_limit(&proof::<LimitsWrite>()?, organization_id, draft).await?;
    }
    Ok(())
}
