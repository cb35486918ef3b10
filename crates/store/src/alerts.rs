//! What somebody should hear of, each once, whatever process notices it.

mod deliveries;
mod listing;

use serde::{Deserialize, Serialize};
use serde_json::Value as Json;
use tollgate_core::{AlertId, BudgetId, OrganizationId, UnixMicros};
use tollgate_ledger::record::BalanceKey;

use crate::database::{Row, Transaction, values};
use crate::error::StoreError;
use crate::ledger::balance::BalanceRow;
use crate::store::Store;
use crate::write::word_text;

pub use deliveries::{DeliveryOutcome, DueDelivery};
pub use listing::DeliveryState;

/// The kinds of alerts, as webhooks choose them.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum AlertEvent {
    /// Spending of a budget came to one of its thresholds.
    BudgetThreshold,
    /// A budget could not pay for a call.
    BudgetExhausted,
    /// A balance and the usage records that it is the sum of differ.
    LedgerDifference,
    /// A process that holds money of budgets was not seen for long.
    LeaseLost,
}

/// The balance that an alert is about: one alert of a kind for each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct AboutBalance {
    pub(crate) balance: BalanceRow,
    /// Zero where the event has none.
    pub(crate) threshold_percent: u16,
}

/// An alert to be raised.
#[derive(Debug, Clone)]
pub struct NewAlert {
    /// Whose webhooks get it; an alert without organization is only logged and listed.
    pub organization_id: Option<OrganizationId>,
    pub event: AlertEvent,
    /// What the webhook is told, an object without secrets.
    pub body: Json,
    pub(crate) about: Option<AboutBalance>,
}

/// An alert that was raised.
#[derive(Debug, Clone, PartialEq, Serialize, schemars::JsonSchema)]
pub struct Alert {
    pub id: AlertId,
    pub organization_id: Option<OrganizationId>,
    pub at: UnixMicros,
    pub event: AlertEvent,
    pub budget_id: Option<BudgetId>,
    pub body: Json,
}

impl NewAlert {
    /// An alert that comes as often as it is raised.
    pub const fn new(organization_id: Option<OrganizationId>, event: AlertEvent, body: Json) -> Self {
        Self { organization_id, event, body, about: None }
    }

    /// Raised once for this balance, whoever raises it.
    #[must_use]
    pub fn once_for(mut self, balance: &BalanceKey) -> Self {
        self.about = Some(AboutBalance { balance: BalanceRow::of(balance), threshold_percent: 0 });
        self
    }

    /// Inserts it with a delivery for each webhook that wants it; `None` when it was there already.
    pub(crate) async fn insert(
        &self,
        transaction: &mut Transaction,
        now: UnixMicros,
    ) -> Result<Option<AlertId>, StoreError> {
        const INSERT: &str = "INSERT INTO alerts (id, organization_id, at, event, budget_id, member, window_start, \
            threshold_percent, body) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT DO NOTHING";
        let id = AlertId::generate();
        let balance = self.about.as_ref().map(|about| &about.balance);
        let arguments = values![
            id,
            self.organization_id,
            now,
            word_text(&self.event)?,
            balance.map(|balance| balance.budget_id),
            balance.map(|balance| balance.member.as_str()),
            balance.map(|balance| balance.window_start),
            self.about.as_ref().map_or(0, |about| about.threshold_percent),
            self.body.to_string(),
        ];
        if transaction.execute(INSERT, arguments).await? == 0 {
            return Ok(None);
        }
        if let Some(organization_id) = self.organization_id {
            deliveries::schedule(transaction, organization_id, id, self.event, now).await?;
        }
        Ok(Some(id))
    }
}

impl Store {
    /// Raises an alert; `None` when it was raised for the same balance before.
    pub async fn system_raise_alert(&self, alert: &NewAlert) -> Result<Option<AlertId>, StoreError> {
        let mut transaction = self.database.begin().await?;
        let id = alert.insert(&mut transaction, self.now()).await?;
        transaction.commit().await?;
        Ok(id)
    }
}

fn alert(row: &Row) -> Result<Alert, StoreError> {
    Ok(Alert {
        id: row.id("id")?,
        organization_id: row.optional_id("organization_id")?,
        at: row.time("at")?,
        event: row.word("event")?,
        budget_id: row.optional_id("budget_id")?,
        body: row.json("body")?,
    })
}
