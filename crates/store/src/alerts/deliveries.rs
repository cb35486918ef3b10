//! Which webhook still has to hear of which alert. Several processes deliver: one that takes a delivery pushes its time
//! into the future, and one that dies with it leaves it to the others.

use std::time::Duration;

use tollgate_core::{AlertId, OrganizationId, UnixMicros, WebhookId};

use super::{Alert, AlertEvent, alert};
use crate::database::{Query, Transaction, values};
use crate::error::StoreError;
use crate::objects::webhooks::{GET, StoredWebhook, webhook};
use crate::store::Store;

/// A delivery that is this process's to try now.
#[derive(Debug, Clone)]
pub struct DueDelivery {
    pub alert: Alert,
    pub webhook: StoredWebhook,
    /// This one included.
    pub attempts: u32,
}

/// What became of a delivery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DeliveryOutcome {
    Delivered,
    /// It is tried again then.
    Retry {
        at: UnixMicros,
        error: String,
    },
    GivenUp {
        error: String,
    },
}

const MAX_ERROR_CHARACTERS: usize = 500;

/// Notes which webhooks get an alert.
pub(super) async fn schedule(
    transaction: &mut Transaction,
    organization_id: OrganizationId,
    alert_id: AlertId,
    event: AlertEvent,
    now: UnixMicros,
) -> Result<(), StoreError> {
    const WEBHOOKS: &str =
        "SELECT * FROM webhooks WHERE organization_id = $1 AND deleted_at IS NULL ORDER BY id";
    const INSERT: &str =
        "INSERT INTO alert_deliveries (alert_id, webhook_id, attempts, next_at) VALUES ($1, $2, 0, $3)";
    for row in transaction.rows(WEBHOOKS, values![organization_id]).await? {
        let webhook = webhook(&row)?;
        if webhook.wants(event) {
            transaction.execute(INSERT, values![alert_id, webhook.id, now]).await?;
        }
    }
    Ok(())
}

impl Store {
    /// Takes up to `limit` deliveries whose time has come. Unless [`Self::system_finish_delivery`] is called within
    /// `hold`, they become due again.
    pub async fn system_claim_deliveries(
        &self,
        limit: u32,
        hold: Duration,
    ) -> Result<Vec<DueDelivery>, StoreError> {
        const TAKE: &str = "UPDATE alert_deliveries SET attempts = attempts + 1, next_at = $3 \
            WHERE alert_id = $1 AND webhook_id = $2";
        const DROP: &str = "UPDATE alert_deliveries SET next_at = NULL, last_error = 'the webhook is gone' \
            WHERE alert_id = $1 AND webhook_id = $2";
        const ALERT: &str = "SELECT * FROM alerts WHERE id = $1";
        let now = self.now();
        let again = UnixMicros(now.0.saturating_add(i64::try_from(hold.as_micros()).unwrap_or(i64::MAX)));
        let mut transaction = self.database.begin().await?;
        let mut query =
            Query::new("SELECT alert_id, webhook_id, attempts FROM alert_deliveries WHERE next_at <= ");
        query.bind(now).push(" ORDER BY next_at, alert_id, webhook_id LIMIT ").bind(limit);
        query.push(transaction.for_update_skip_locked());
        let due = transaction.rows(query.sql(), query.values()).await?;
        let mut claimed = Vec::with_capacity(due.len());
        for row in due {
            let (alert_id, webhook_id): (AlertId, WebhookId) = (row.id("alert_id")?, row.id("webhook_id")?);
            let attempts: u32 = row.unsigned("attempts")?;
            let found = transaction.row(ALERT, values![alert_id]).await?.as_ref().map(alert).transpose()?;
            let target =
                transaction.row(GET, values![webhook_id]).await?.as_ref().map(webhook).transpose()?;
            let (Some(alert), Some(webhook)) = (found, target.filter(|target| target.enabled)) else {
                transaction.execute(DROP, values![alert_id, webhook_id]).await?;
                continue;
            };
            transaction.execute(TAKE, values![alert_id, webhook_id, again]).await?;
            claimed.push(DueDelivery { alert, webhook, attempts: attempts + 1 });
        }
        transaction.commit().await?;
        Ok(claimed)
    }

    /// Notes what became of a delivery that was taken. One that was delivered stays so.
    pub async fn system_finish_delivery(
        &self,
        alert_id: AlertId,
        webhook_id: WebhookId,
        outcome: &DeliveryOutcome,
    ) -> Result<(), StoreError> {
        const FINISH: &str = "UPDATE alert_deliveries SET next_at = $3, delivered_at = $4, last_error = $5 \
            WHERE alert_id = $1 AND webhook_id = $2 AND delivered_at IS NULL";
        let now = self.now();
        let (next_at, delivered_at, error) = match outcome {
            DeliveryOutcome::Delivered => (None, Some(now), None),
            DeliveryOutcome::Retry { at, error } => (Some(*at), None, Some(error)),
            DeliveryOutcome::GivenUp { error } => (None, None, Some(error)),
        };
        let error = error.map(|error| error.chars().take(MAX_ERROR_CHARACTERS).collect::<String>());
        let mut transaction = self.database.begin().await?;
        transaction.execute(FINISH, values![alert_id, webhook_id, next_at, delivered_at, error]).await?;
        transaction.commit().await
    }

    /// Takes alerts that no process has written to its log yet.
    pub async fn system_claim_alerts_to_log(&self, limit: u32) -> Result<Vec<Alert>, StoreError> {
        const CLAIM: &str = "UPDATE alerts SET logged_at = $1 WHERE logged_at IS NULL AND id IN \
            (SELECT id FROM alerts WHERE logged_at IS NULL ORDER BY id LIMIT $2) RETURNING *";
        let mut transaction = self.database.begin().await?;
        let rows = transaction.rows(CLAIM, values![self.now(), limit]).await?;
        let mut alerts = rows.iter().map(alert).collect::<Result<Vec<_>, _>>()?;
        transaction.commit().await?;
        alerts.sort_unstable_by_key(|alert| alert.id);
        Ok(alerts)
    }
}
