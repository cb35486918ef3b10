//! Which of the shortlisted deployments the budgets can pay for.

use tollgate_core::Operation;
use tollgate_ledger::record::Candidate;

use super::{Admission, Terms, facts};
use crate::core::Core;
use crate::journey::permit::Permitted;
use crate::journey::shortlist::{Eligible, Shortlisted};
use crate::problem::Refused;
use crate::reservation::{CallView, Denied, Reservation, engage};

/// Reserves for the first deployment that can be paid for, and drops those before it.
pub(super) async fn first_affordable(
    core: &Core,
    shortlisted: &mut Shortlisted,
    terms: &Terms,
) -> Result<Reservation, Denied> {
    let mut worst: Option<Denied> = None;
    let mut dropped = Vec::new();
    let mut found = None;
    for (position, eligible) in shortlisted.eligible.iter().enumerate() {
        match engage_permitted(core, &shortlisted.permitted, eligible, terms).await {
            Ok(reservation) => {
                found = Some((position, reservation));
                break;
            }
            Err(denied) => {
                let verdict = denied.verdict();
                dropped.push(Candidate { deployment_id: eligible.target.deployment.id, verdict });
                worst = Some(match worst {
                    Some(known) => known.or(denied),
                    None => denied,
                });
            }
        }
    }
    let account = &mut shortlisted.permitted.understood.account;
    for candidate in dropped {
        account.considered(candidate);
    }
    match (found, worst) {
        (Some((position, reservation)), _) => {
            shortlisted.eligible.drain(..position);
            Ok(reservation)
        }
        (None, Some(denied)) => Err(denied),
        (None, None) => Err(Denied::nothing_to_try()),
    }
}

async fn engage_permitted(
    core: &Core,
    permitted: &Permitted,
    eligible: &Eligible,
    terms: &Terms,
) -> Result<Reservation, Denied> {
    let understood = &permitted.understood;
    if understood.operation == Operation::CountTokens {
        return Ok(Reservation::nothing(eligible.target.deployment.id));
    }
    let view = CallView {
        governed: &understood.published.governed,
        facts: facts(permitted),
        operation: understood.operation,
        stream: understood.is_stream(),
        headers: &understood.headers,
        peeked: &understood.peeked,
        terms,
        started_at: understood.started_at,
        model: (&permitted.model.name, &permitted.name),
    };
    engage(core, &view, eligible).await
}

/// The end of a call that nothing can pay for, unless the budget's owner named another model and the key may use it.
pub(super) fn substitute_or_refuse(
    mut permitted: Permitted,
    denied: Denied,
) -> Result<Admission, Box<Refused>> {
    let understood = &permitted.understood;
    let usable = |model: &str| {
        let organization_id = understood.credential.principal.payer.organization_id;
        let view = understood.published.snapshot.organization(organization_id);
        understood.substitute.is_none()
            && *model != *permitted.name
            && understood.credential.key.grants.check(model).is_ok()
            && view.is_some_and(|view| view.resolve(model).is_some())
    };
    if let Some(model) = denied.substitute.as_deref().filter(|model| usable(model)) {
        let model: Box<str> = model.into();
        // The substitute takes its own, for other models may have other limits.
        permitted.understood.account.give_back_understood_limits();
        permitted.understood.account.substituted(&permitted.name);
        permitted.understood.substitute = Some(model);
        return Ok(Admission::Substitute(Box::new(permitted.understood)));
    }
    let mut account = permitted.understood.account;
    account.give_back_limits();
    account.refused_by(denied.balance);
    Err(Refused::known(account, *denied.problem))
}
