//! More money for a while.

use schemars::JsonSchema;
use serde::Deserialize;
use tollgate_access::authorize::{ActorKind, BudgetsWrite};
use tollgate_core::{BudgetId, IncreaseId, NanoUsd, UnixMicros, UsdAmount};
use tollgate_store::NewIncrease;

use super::view::IncreaseView;
use super::{BudgetPath, of_body};
use crate::call::{Call, Nothing};
use crate::problem::Problem;

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct IncreasePath {
    budget_id: BudgetId,
    increase_id: IncreaseId,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct IncreaseInput {
    /// What may be spent beyond the budget's amount.
    amount_usd: UsdAmount,
    /// Microseconds since 1970.
    expires_at: UnixMicros,
    /// For those who ask later.
    #[serde(default)]
    reason: String,
}

fn author(kind: &ActorKind) -> String {
    match kind {
        ActorKind::Administrator(id) => id.to_string(),
        ActorKind::ConfigurationFiles => "configuration files".into(),
        ActorKind::System(part) => part.clone(),
    }
}

pub(crate) async fn raise(
    call: Call<BudgetsWrite, BudgetPath, Nothing, IncreaseInput>,
) -> Result<IncreaseView, Problem> {
    let body = call.body;
    if body.amount_usd.nano_usd() == NanoUsd::ZERO {
        return Err(Problem::invalid("amount_usd", "must be more than zero"));
    }
    let new = NewIncrease {
        amount_nano_usd: body.amount_usd.nano_usd(),
        expires_at: body.expires_at,
        author: author(call.proof.actor().kind()),
        reason: body.reason,
    };
    let store = &call.plane.installation()?.store;
    let raised = store.add_budget_increase(&call.proof, call.path.budget_id, new).await.map_err(of_body)?;
    call.plane.publish().await;
    let newest = raised.increases.into_iter().next_back();
    newest.map(Into::into).ok_or_else(|| Problem::internal(&"the increase was not kept"))
}

pub(crate) async fn withdraw(call: Call<BudgetsWrite, IncreasePath>) -> Result<Nothing, Problem> {
    let store = &call.plane.installation()?.store;
    store.remove_budget_increase(&call.proof, call.path.budget_id, call.path.increase_id).await?;
    call.plane.publish().await;
    Ok(Nothing {})
}
