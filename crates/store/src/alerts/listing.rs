//! Alerts as they are shown, and forgetting old ones.

use serde::Serialize;
use tollgate_access::Proof;
use tollgate_access::authorize::{AlertsRead, WebhooksRead};
use tollgate_core::{AlertId, BudgetId, OrganizationId, UnixMicros, WebhookId};

use super::{Alert, alert};
use crate::database::{Query, values};
use crate::error::{ObjectKind, StoreError};
use crate::page::{Cursor, Page, PageRequest};
use crate::store::{Store, check_scope};

/// How the delivery of an alert to a webhook stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct DeliveryState {
    pub alert_id: AlertId,
    pub attempts: u32,
    /// When it is tried next; absent when it was delivered or given up.
    pub next_at: Option<UnixMicros>,
    pub delivered_at: Option<UnixMicros>,
    pub last_error: Option<String>,
}

impl Store {
    /// Newest first, of one budget where it is named.
    pub async fn list_alerts(
        &self,
        proof: &Proof<AlertsRead>,
        organization_id: OrganizationId,
        budget_id: Option<BudgetId>,
        request: PageRequest,
    ) -> Result<Page<Alert>, StoreError> {
        check_scope(proof, organization_id)?;
        let mut query = Query::new("SELECT * FROM alerts WHERE organization_id = ");
        query.bind(organization_id).filter("budget_id =", budget_id);
        query.filter("id <", request.after.map(|cursor| cursor.id));
        query.push(" ORDER BY id DESC LIMIT ").bind(request.rows_to_fetch());
        let rows = self.database.rows(query.sql(), query.values()).await?;
        let items = rows.iter().map(alert).collect::<Result<Vec<_>, _>>()?;
        Ok(request.page(items, |item| Cursor::of_id(item.id.as_uuid())))
    }

    /// Deliveries to one webhook, newest first.
    pub async fn list_deliveries(
        &self,
        proof: &Proof<WebhooksRead>,
        webhook_id: WebhookId,
        request: PageRequest,
    ) -> Result<Page<DeliveryState>, StoreError> {
        const OWNER: &str = "SELECT organization_id FROM webhooks WHERE id = $1 AND deleted_at IS NULL";
        let owner = self.database.row(OWNER, values![webhook_id]).await?;
        let owner = owner.map(|row| row.id("organization_id")).transpose()?;
        owner
            .filter(|owner| proof.covers(*owner))
            .ok_or_else(|| StoreError::not_found(ObjectKind::Webhook, webhook_id))?;
        let mut query = Query::new("SELECT * FROM alert_deliveries WHERE webhook_id = ");
        query.bind(webhook_id).filter("alert_id <", request.after.map(|cursor| cursor.id));
        query.push(" ORDER BY alert_id DESC LIMIT ").bind(request.rows_to_fetch());
        let rows = self.database.rows(query.sql(), query.values()).await?;
        let states = rows.iter().map(|row| {
            Ok(DeliveryState {
                alert_id: row.id("alert_id")?,
                attempts: row.unsigned("attempts")?,
                next_at: row.optional_time("next_at")?,
                delivered_at: row.optional_time("delivered_at")?,
                last_error: row.get("last_error")?,
            })
        });
        let items = states.collect::<Result<Vec<_>, StoreError>>()?;
        Ok(request.page(items, |item| Cursor::of_id(item.alert_id.as_uuid())))
    }

    /// Forgets up to `limit` alerts from before `time`, with their deliveries, and says how many. An alert of a window
    /// that is still open could come again: keep them longer than the longest window.
    pub async fn system_delete_alerts_before(&self, time: UnixMicros, limit: u32) -> Result<u64, StoreError> {
        const DELIVERIES: &str = "DELETE FROM alert_deliveries WHERE alert_id IN \
            (SELECT id FROM alerts WHERE at < $1 ORDER BY at, id LIMIT $2)";
        const ALERTS: &str =
            "DELETE FROM alerts WHERE id IN (SELECT id FROM alerts WHERE at < $1 ORDER BY at, id LIMIT $2)";
        let mut transaction = self.database.begin().await?;
        transaction.execute(DELIVERIES, values![time, limit]).await?;
        let deleted = transaction.execute(ALERTS, values![time, limit]).await?;
        transaction.commit().await?;
        Ok(deleted)
    }
}
