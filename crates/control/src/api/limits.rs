//! Limits: made, changed, and what is left of them.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tollgate_access::authorize::{LimitsRead, LimitsWrite};
use tollgate_core::{LimitId, OrganizationId};
use tollgate_ledger::limit::LimitReport;
use tollgate_state::governance::{LimitMeter, LimitObject, LimitPeriod, LimitSharing, Scope};
use tollgate_store::{LimitDraft, Page};

use super::budgets::{MemberView, StateQuery, of_body};
use super::models::yes;
use super::paging::{ListQuery, organization, organization_to_fill, page};
use super::patch::given;
use crate::call::{Call, Nothing};
use crate::connection::Installation;
use crate::governance::{limit_errors, whole_organization};
use crate::problem::Problem;

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct LimitPath {
    limit_id: LimitId,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewLimit {
    /// May be left out while there is only one organization.
    organization_id: Option<OrganizationId>,
    /// Refusals name it.
    name: String,
    /// Which calls it counts; those of the whole organization unless said otherwise. Cannot change later.
    #[serde(default = "whole_organization")]
    scope: Scope,
    /// Cannot change later.
    meter: LimitMeter,
    /// So many per period; at one time for `concurrency`.
    amount: u64,
    /// Ignored for `concurrency`. Cannot change later.
    #[serde(default)]
    per: LimitPeriod,
    /// How many requests may come at once; a tenth of `amount` unless given.
    burst: Option<u64>,
    #[serde(default)]
    sharing: LimitSharing,
    #[serde(default = "yes")]
    enabled: bool,
}

/// What shall change. Absent keeps; `null` removes.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct LimitChange {
    name: Option<String>,
    amount: Option<u64>,
    #[serde(default, deserialize_with = "given")]
    #[schemars(with = "Option<u64>")]
    burst: Option<Option<u64>>,
    sharing: Option<LimitSharing>,
    enabled: Option<bool>,
}

/// How a limit stands for one member, as the process that answers has counted.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct LimitState {
    member: MemberView,
    /// So many per period, or at one time, all processes together.
    limit: u64,
    /// What may still come at once in this process.
    remaining: u64,
    /// Milliseconds until nothing is counted any more; absent for concurrency.
    reset_ms: Option<u64>,
}

/// The members of a limit that have counted something.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct LimitStates {
    items: Vec<LimitState>,
    /// The cursor of the next page; absent on the last one.
    next: Option<String>,
}

pub(crate) async fn state(call: Call<LimitsRead, LimitPath, StateQuery>) -> Result<LimitStates, Problem> {
    let (after, wanted) = call.query.read()?;
    let limit = call.plane.installation()?.store.get_limit(&call.proof, call.path.limit_id).await?;
    let parts = &call.plane.parts;
    let mut reports = parts.limits.reports(limit.id, parts.clock.now());
    if let Some(after) = after {
        reports.retain(|report| report.member > after);
    }
    let more = reports.len() > wanted;
    reports.truncate(wanted);
    let next = reports.last().filter(|_| more).map(|last: &LimitReport| last.member.to_string());
    let view = |report: LimitReport| LimitState {
        member: MemberView::new(&report.member, limit.scope.each),
        limit: limit.amount,
        remaining: report.remaining,
        reset_ms: report.reset_ms,
    };
    Ok(LimitStates { items: reports.into_iter().map(view).collect(), next })
}

pub(crate) async fn list(call: Call<LimitsRead, Nothing, ListQuery>) -> Result<Page<LimitObject>, Problem> {
    let store = &call.plane.installation()?.store;
    let request = page(call.query.cursor.as_deref(), call.query.limit)?;
    let organization_id = organization(store, &call.proof, call.query.organization_id).await?;
    Ok(store.list_limits(&call.proof, organization_id, request).await?)
}

pub(crate) async fn get(call: Call<LimitsRead, LimitPath>) -> Result<LimitObject, Problem> {
    Ok(call.plane.installation()?.store.get_limit(&call.proof, call.path.limit_id).await?)
}

pub(crate) async fn create(
    call: Call<LimitsWrite, Nothing, Nothing, NewLimit>,
) -> Result<LimitObject, Problem> {
    let _writing = call.plane.writing.lock().await;
    let (installation, body) = (call.plane.installation()?, call.body);
    let organization_id =
        organization_to_fill(&installation.store, &call.proof, body.organization_id).await?;
    let draft = LimitDraft {
        name: body.name,
        scope: body.scope,
        meter: body.meter,
        amount: body.amount,
        per: body.per,
        burst: body.burst,
        sharing: body.sharing,
        enabled: body.enabled,
    };
    check(installation, organization_id, &draft).await?;
    let created =
        installation.store.create_limit(&call.proof, organization_id, draft).await.map_err(of_body)?;
    call.plane.publish().await;
    Ok(created)
}

pub(crate) async fn update(
    call: Call<LimitsWrite, LimitPath, Nothing, LimitChange>,
) -> Result<LimitObject, Problem> {
    let _writing = call.plane.writing.lock().await;
    let (installation, body, id) = (call.plane.installation()?, call.body, call.path.limit_id);
    let read = call.proof.actor().authorize::<LimitsRead>(call.proof.scope())?;
    let before = installation.store.get_limit(&read, id).await?;
    let draft = LimitDraft {
        name: body.name.unwrap_or(before.name),
        scope: before.scope,
        meter: before.meter,
        amount: body.amount.unwrap_or(before.amount),
        per: before.per,
        burst: body.burst.unwrap_or(before.burst),
        sharing: body.sharing.unwrap_or(before.sharing),
        enabled: body.enabled.unwrap_or(before.enabled),
    };
    check(installation, before.organization_id, &draft).await?;
    let updated = installation.store.update_limit(&call.proof, id, draft).await.map_err(of_body)?;
    call.plane.publish().await;
    Ok(updated)
}

pub(crate) async fn delete(call: Call<LimitsWrite, LimitPath>) -> Result<Nothing, Problem> {
    call.plane.installation()?.store.delete_limit(&call.proof, call.path.limit_id).await?;
    call.plane.publish().await;
    Ok(Nothing {})
}

async fn check(
    installation: &Installation,
    organization_id: OrganizationId,
    draft: &LimitDraft,
) -> Result<(), Problem> {
    let models = super::models::names(installation, organization_id).await?;
    let errors = limit_errors(draft, &|name| models.iter().any(|model| model.matches(name)));
    if errors.is_empty() { Ok(()) } else { Err(Problem::invalid_fields(errors)) }
}
