//! Alerts that were raised.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tollgate_access::authorize::AlertsRead;
use tollgate_core::{AlertId, BudgetId, OrganizationId, UnixMicros};
use tollgate_store::{Alert, AlertEvent, Page};

use super::paging::{map_page, organization, page};
use crate::alerts::message;
use crate::call::{Call, Nothing};
use crate::problem::Problem;

/// Which alerts are wanted.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct AlertsQuery {
    /// May be left out while there is only one organization.
    organization_id: Option<OrganizationId>,
    budget_id: Option<BudgetId>,
    /// `next` of the page before.
    cursor: Option<String>,
    /// Items per page, 1 to 500.
    limit: Option<u32>,
}

/// An alert.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct AlertView {
    id: AlertId,
    organization_id: Option<OrganizationId>,
    at: UnixMicros,
    event: AlertEvent,
    budget_id: Option<BudgetId>,
    /// In words.
    message: String,
    /// `data` of the event that webhooks get.
    data: serde_json::Value,
}

impl From<Alert> for AlertView {
    fn from(alert: Alert) -> Self {
        Self {
            message: message(&alert),
            id: alert.id,
            organization_id: alert.organization_id,
            at: alert.at,
            event: alert.event,
            budget_id: alert.budget_id,
            data: alert.body,
        }
    }
}

pub(crate) async fn list(call: Call<AlertsRead, Nothing, AlertsQuery>) -> Result<Page<AlertView>, Problem> {
    let (store, query) = (&call.plane.installation()?.store, &call.query);
    let request = page(query.cursor.as_deref(), query.limit)?;
    let organization_id = organization(store, &call.proof, query.organization_id).await?;
    let found = store.list_alerts(&call.proof, organization_id, query.budget_id, request).await?;
    Ok(map_page(found, AlertView::from))
}
