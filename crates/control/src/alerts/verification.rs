//! Every night, whether the ledger adds up.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use tollgate_access::authorize::{BudgetsRead, LedgerVerify};
use tollgate_access::{Actor, Scope};
use tollgate_core::{Clock, UnixMicros};
use tollgate_ledger::record::BalanceKey;
use tollgate_store::{AlertEvent, NewAlert, StoreError, Windows};

use crate::connection::{Connection, OpenError};

/// The installation's own note of the last night that was verified, by whatever process.
const SETTING: &str = "ledger_verified_day";
/// At 03:17 UTC, when few others begin their work.
const TIME_OF_DAY_S: i64 = 3 * 3_600 + 17 * 60;
const DAY_S: i64 = 86_400;
const POLL_INTERVAL: Duration = Duration::from_secs(60);

/// Compares balances with usage records once a day.
pub(crate) struct Verifier {
    pub(crate) connection: Arc<Connection>,
    pub(crate) clock: Arc<dyn Clock>,
    /// Balances that differed at the last look.
    pub(crate) differences: Arc<AtomicU64>,
}

/// The night that is due or was the last: counted in days since 1970.
const fn night(now: UnixMicros) -> i64 {
    (now.as_secs() - TIME_OF_DAY_S).div_euclid(DAY_S)
}

impl Verifier {
    /// Until it is dropped.
    pub(crate) async fn run(&self) {
        let mut done = night(self.clock.now());
        let mut interval = tokio::time::interval(POLL_INTERVAL);
        interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            interval.tick().await;
            let now = night(self.clock.now());
            if now == done {
                continue;
            }
            match self.verify_once(now).await {
                Ok(()) => done = now,
                Err(error) => tracing::warn!(%error, "the ledger could not be verified; it is tried again"),
            }
        }
    }

    async fn verify_once(&self, night: i64) -> Result<(), OpenError> {
        let store = &self.connection.open().await?.store;
        if store.system_setting::<i64>(SETTING).await?.is_some_and(|last| last >= night) {
            return Ok(());
        }
        self.verify().await?;
        store.system_set_setting(SETTING, &night).await?;
        Ok(())
    }

    /// Verifies, and raises an alert for each balance that differs and each lease that is lost.
    pub(crate) async fn verify(&self) -> Result<(), OpenError> {
        let store = &self.connection.open().await?.store;
        let actor = Actor::system("ledger");
        let denied = |_| StoreError::Invalid { field: "permission", reason: "is missing".into() };
        let ledger = actor.authorize::<LedgerVerify>(Scope::Installation).map_err(denied)?;
        let budgets = actor.authorize::<BudgetsRead>(Scope::Installation).map_err(denied)?;
        let found = store.verify_ledger(&ledger, Windows::Open).await?;
        self.differences.store(found.differences.len() as u64, Ordering::Relaxed);
        let differences = found.differences.into_iter().map(|one| {
            let facts = json!({
                "what": one.column,
                "balance_nano_usd": one.stored_nano_usd,
                "records_nano_usd": one.recomputed_nano_usd,
            });
            (AlertEvent::LedgerDifference, one.balance, facts)
        });
        let lost = found.lost_leases.into_iter().map(|one| {
            let facts = json!({
                "instance_id": one.instance_id,
                "epoch": one.epoch,
                "outstanding_nano_usd": one.outstanding_nano_usd,
            });
            (AlertEvent::LeaseLost, one.balance, facts)
        });
        for (event, balance, facts) in differences.chain(lost) {
            let budget = store.get_budget(&budgets, balance.budget_id).await.ok();
            let name = budget.as_ref().map_or("deleted", |budget| budget.name.as_str());
            let body = body(name, &balance, facts);
            let organization_id = budget.as_ref().map(|budget| budget.organization_id);
            store.system_raise_alert(&NewAlert::new(organization_id, event, body).once_for(&balance)).await?;
        }
        tracing::info!(balances = found.balances, "the ledger was verified");
        Ok(())
    }
}

fn body(budget: &str, balance: &BalanceKey, mut facts: Value) -> Value {
    if let Some(fields) = facts.as_object_mut() {
        fields.insert("budget".into(), json!(budget));
        fields.insert("budget_id".into(), json!(balance.budget_id));
        fields.insert("member".into(), json!(balance.member));
        fields.insert("window_start".into(), json!(balance.window_start));
    }
    facts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nights_begin_at_the_same_time() {
        let at = |seconds: i64| night(UnixMicros(seconds * 1_000_000));
        assert_eq!(at(TIME_OF_DAY_S - 1) + 1, at(TIME_OF_DAY_S));
        assert_eq!(at(TIME_OF_DAY_S), at(TIME_OF_DAY_S + DAY_S - 1));
    }
}
