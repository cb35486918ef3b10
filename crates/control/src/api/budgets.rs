//! Budgets: made, changed, raised for a while, and what they have counted.

mod increases;
mod state;
mod view;

use schemars::JsonSchema;
use serde::Deserialize;
use tollgate_access::authorize::{BudgetsRead, BudgetsWrite};
use tollgate_core::{BudgetId, OrganizationId, UsdAmount};
use tollgate_state::governance::{
    BudgetMode, BudgetObject, Clamp, DEFAULT_THRESHOLDS_PERCENT, OnExhausted, Scope, Window,
};
use tollgate_store::{BudgetDraft, ObjectKind, Page, StoreError};

use super::models::yes;
use super::paging::{ListQuery, map_page, organization, organization_to_fill, page};
use super::patch::given;
use crate::call::{Call, Nothing};
use crate::connection::Installation;
use crate::governance::{UnpricedInput, budget_errors, whole_organization};
use crate::problem::{FieldError, Problem};

pub(crate) use increases::{raise, withdraw};
pub(crate) use state::{StateQuery, state};
pub(crate) use view::{BudgetView, MemberView};

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct BudgetPath {
    budget_id: BudgetId,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewBudget {
    /// May be left out while there is only one organization.
    organization_id: Option<OrganizationId>,
    /// Refusals name it.
    name: String,
    /// Which calls it counts; those of the whole organization unless said otherwise. Cannot change later.
    #[serde(default = "whole_organization")]
    scope: Scope,
    /// What may be spent in one window, by the place or by each member.
    amount_usd: UsdAmount,
    /// Cannot change later.
    window: Window,
    #[serde(default)]
    mode: BudgetMode,
    #[serde(default)]
    clamp: Clamp,
    /// Ascending; 50, 80 and 100 unless given.
    thresholds_percent: Option<Vec<u16>>,
    #[serde(default)]
    on_exhausted: OnExhausted,
    #[serde(default)]
    unpriced: UnpricedInput,
    /// What tools that the provider runs (web search, code) may add to one call at most. Without it a hard or stepped
    /// budget refuses calls that ask for them.
    server_tools_usd: Option<UsdAmount>,
    #[serde(default = "yes")]
    enabled: bool,
}

/// What shall change. Absent keeps; `null` removes.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct BudgetChange {
    name: Option<String>,
    amount_usd: Option<UsdAmount>,
    mode: Option<BudgetMode>,
    clamp: Option<Clamp>,
    thresholds_percent: Option<Vec<u16>>,
    on_exhausted: Option<OnExhausted>,
    unpriced: Option<UnpricedInput>,
    #[serde(default, deserialize_with = "given")]
    #[schemars(with = "Option<UsdAmount>")]
    server_tools_usd: Option<Option<UsdAmount>>,
    enabled: Option<bool>,
}

pub(crate) async fn list(call: Call<BudgetsRead, Nothing, ListQuery>) -> Result<Page<BudgetView>, Problem> {
    let store = &call.plane.installation()?.store;
    let request = page(call.query.cursor.as_deref(), call.query.limit)?;
    let organization_id = organization(store, &call.proof, call.query.organization_id).await?;
    let found = store.list_budgets(&call.proof, organization_id, request).await?;
    Ok(map_page(found, BudgetView::from))
}

pub(crate) async fn get(call: Call<BudgetsRead, BudgetPath>) -> Result<BudgetView, Problem> {
    Ok(call.plane.installation()?.store.get_budget(&call.proof, call.path.budget_id).await?.into())
}

pub(crate) async fn create(
    call: Call<BudgetsWrite, Nothing, Nothing, NewBudget>,
) -> Result<BudgetView, Problem> {
    let _writing = call.plane.writing.lock().await;
    let (installation, body) = (call.plane.installation()?, call.body);
    let organization_id =
        organization_to_fill(&installation.store, &call.proof, body.organization_id).await?;
    let draft = BudgetDraft {
        name: body.name,
        scope: body.scope,
        amount_nano_usd: body.amount_usd.nano_usd(),
        window: body.window,
        mode: body.mode,
        clamp: body.clamp,
        thresholds_percent: body.thresholds_percent.unwrap_or(DEFAULT_THRESHOLDS_PERCENT.into()),
        on_exhausted: body.on_exhausted,
        unpriced: body.unpriced.into(),
        server_tools_nano_usd: body.server_tools_usd.map(UsdAmount::nano_usd),
        enabled: body.enabled,
    };
    check(installation, organization_id, &draft).await?;
    let created = installation.store.create_budget(&call.proof, organization_id, draft).await;
    let created = created.map_err(of_body)?;
    call.plane.publish().await;
    Ok(created.into())
}

pub(crate) async fn update(
    call: Call<BudgetsWrite, BudgetPath, Nothing, BudgetChange>,
) -> Result<BudgetView, Problem> {
    let _writing = call.plane.writing.lock().await;
    let (installation, body, id) = (call.plane.installation()?, call.body, call.path.budget_id);
    let read = call.proof.actor().authorize::<BudgetsRead>(call.proof.scope())?;
    let before = installation.store.get_budget(&read, id).await?;
    let organization_id = before.organization_id;
    let draft = changed(before, body);
    check(installation, organization_id, &draft).await?;
    let updated = installation.store.update_budget(&call.proof, id, draft).await.map_err(of_body)?;
    call.plane.publish().await;
    Ok(updated.into())
}

fn changed(before: BudgetObject, body: BudgetChange) -> BudgetDraft {
    BudgetDraft {
        name: body.name.unwrap_or(before.name),
        scope: before.scope,
        amount_nano_usd: body.amount_usd.map_or(before.amount_nano_usd, UsdAmount::nano_usd),
        window: before.window,
        mode: body.mode.unwrap_or(before.mode),
        clamp: body.clamp.unwrap_or(before.clamp),
        thresholds_percent: body.thresholds_percent.unwrap_or(before.thresholds_percent),
        on_exhausted: body.on_exhausted.unwrap_or(before.on_exhausted),
        unpriced: body.unpriced.map_or(before.unpriced, Into::into),
        server_tools_nano_usd: match body.server_tools_usd {
            Some(given) => given.map(UsdAmount::nano_usd),
            None => before.server_tools_nano_usd,
        },
        enabled: body.enabled.unwrap_or(before.enabled),
    }
}

pub(crate) async fn delete(call: Call<BudgetsWrite, BudgetPath>) -> Result<Nothing, Problem> {
    call.plane.installation()?.store.delete_budget(&call.proof, call.path.budget_id).await?;
    call.plane.publish().await;
    Ok(Nothing {})
}

async fn check(
    installation: &Installation,
    organization_id: OrganizationId,
    draft: &BudgetDraft,
) -> Result<(), Problem> {
    let models = super::models::names(installation, organization_id).await?;
    let errors = budget_errors(draft, &|name| models.iter().any(|model| model.matches(name)));
    if errors.is_empty() { Ok(()) } else { Err(Problem::invalid_fields(errors)) }
}

/// Scopes name objects: where they do not exist, it is the body's mistake.
pub(crate) fn of_body(error: StoreError) -> Problem {
    let referred = [
        (ObjectKind::Organization, "organization_id"),
        (ObjectKind::Team, "scope.place.team"),
        (ObjectKind::Project, "scope.place.project"),
        (ObjectKind::Key, "scope.place.key"),
        (ObjectKind::Provider, "scope.place.provider"),
        (ObjectKind::Deployment, "scope.place.deployment"),
    ];
    if let StoreError::Invalid { field, reason } = &error
        && let Some(named) = outside(field)
    {
        return Problem::invalid_fields(vec![FieldError { field: named, message: reason.clone() }]);
    }
    Problem::of_reference(error, &referred)
}

/// The name that a stored amount has outside.
fn outside(field: &str) -> Option<String> {
    field.strip_suffix("_nano_usd").map(|name| format!("{name}_usd"))
}
