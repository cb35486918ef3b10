//! Which deployments may serve, in the order in which they will be tried.
//!
//! A weighted draw without replacement among the healthy ones; weight 0 comes last. When none is healthy, health is
//! ignored: a provider that may fail is better than a certain refusal.

use std::marker::PhantomData;
use std::rc::Rc;
use std::sync::Arc;

use tollgate_core::Dialect;
use tollgate_ledger::record::{Candidate, Verdict};
use tollgate_wire::ErrorKind;

use super::inspect::Inspected;
use super::permit::Permitted;
use crate::core::Core;
use crate::health::Availability;
use crate::problem::{Problem, Refused};
use crate::targets::Target;

/// A deployment that can take the call.
#[derive(Debug, Clone)]
pub struct Eligible {
    pub target: Arc<Target>,
    /// In which dialect it takes the call.
    pub dialect: Dialect,
    pub availability: Availability,
}

/// A call with at least one deployment that can serve it.
#[derive(Debug)]
pub struct Shortlisted {
    pub permitted: Permitted,
    /// Best first; never empty.
    pub eligible: Vec<Eligible>,
    _made_here: PhantomData<()>,
}

/// Chooses and orders the deployments.
pub fn shortlist(core: &Rc<Core>, inspected: Inspected) -> Result<Shortlisted, Box<Refused>> {
    let mut permitted = inspected.permitted;
    let mut eligible = capable(core, &mut permitted);
    if eligible.is_empty() {
        let problem = nothing_eligible(&permitted);
        return Err(Refused::known(permitted.understood.account, problem));
    }
    let healthy = eligible.iter().filter(|one| one.availability == Availability::Available).count();
    if healthy > 0 && healthy < eligible.len() {
        let account = &mut permitted.understood.account;
        eligible.retain(|one| {
            let verdict = match one.availability {
                Availability::Available => return true,
                Availability::RateLimited => Verdict::RateLimited,
                Availability::Unhealthy => Verdict::Unhealthy,
            };
            account.considered(Candidate { deployment_id: one.target.deployment.id, verdict });
            false
        });
    }
    if eligible.len() > 1 {
        order_by_weight(core, &mut eligible);
    }
    Ok(Shortlisted { permitted, eligible, _made_here: PhantomData })
}

/// The deployments that speak a dialect which the call can be put into.
fn capable(core: &Core, permitted: &mut Permitted) -> Vec<Eligible> {
    let understood = &mut permitted.understood;
    let now = understood.started_at;
    let mut eligible = Vec::with_capacity(permitted.model.deployments.len());
    for deployment in &permitted.model.deployments {
        if permitted.pinned.is_some_and(|pinned| pinned != deployment.id) {
            continue;
        }
        let Some(target) = understood.published.targets.get(deployment.slot) else { continue };
        match target.route(understood.operation, understood.route.dialect) {
            Some((dialect, _)) => {
                let availability = target.health.availability(now.max(core.gateway.clock.now()));
                eligible.push(Eligible { target: Arc::clone(target), dialect, availability });
            }
            None => understood
                .account
                .considered(Candidate { deployment_id: deployment.id, verdict: Verdict::Incapable }),
        }
    }
    eligible
}

fn nothing_eligible(permitted: &Permitted) -> Problem {
    let name = &permitted.name;
    if permitted.pinned.is_some() {
        let message = format!("the object that the request refers to is not held by model `{name}`");
        return Problem::client(ErrorKind::InvalidRequest, message);
    }
    if permitted.model.deployments.is_empty() {
        let message = format!("model `{name}` has no enabled deployment; an administrator must add one");
        return Problem::gateway(ErrorKind::Unavailable, message).with_code("no_deployment");
    }
    let operation = permitted.understood.operation.as_str();
    let message =
        format!("no deployment of model `{name}` can do `{operation}` in a dialect that this route speaks");
    Problem::client(ErrorKind::NotSupported, message).with_code("operation_not_supported")
}

/// Draws one after the other, each with the probability of its weight among those that are left.
fn order_by_weight(core: &Core, eligible: &mut [Eligible]) {
    for position in 0..eligible.len() {
        let rest = eligible.get(position..).unwrap_or_default();
        let total: u64 = rest.iter().map(|one| u64::from(one.target.deployment.weight)).sum();
        let mut drawn = core.random_below(total);
        let chosen = rest.iter().position(|one| {
            let weight = u64::from(one.target.deployment.weight);
            let hit = drawn < weight;
            drawn = drawn.saturating_sub(weight);
            hit
        });
        eligible.swap(position, position + chosen.unwrap_or(0));
    }
}
