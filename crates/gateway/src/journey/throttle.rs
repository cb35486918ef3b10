//! What needs no body: whether the process takes more calls now, and whether the caller's limits do.

use std::marker::PhantomData;
use std::rc::Rc;
use std::sync::atomic::Ordering;

use tollgate_core::RetryAdvice;
use tollgate_state::governance::CallFacts;
use tollgate_wire::ErrorKind;

use super::identify::Identified;
use crate::core::Core;
use crate::problem::{Problem, Refused};
use crate::throttling;

/// A call that may be read.
#[derive(Debug)]
pub struct Throttled {
    pub identified: Identified,
    _made_here: PhantomData<()>,
}

/// Refuses a call beyond what the process can hold or the caller may make.
pub async fn throttle(core: &Rc<Core>, mut identified: Identified) -> Result<Throttled, Box<Refused>> {
    let in_flight = core.gateway.metrics.requests_in_flight.load(Ordering::Relaxed);
    let most = i64::try_from(core.gateway.settings.max_requests_in_flight).unwrap_or(i64::MAX);
    if in_flight > most {
        let problem =
            Problem::gateway(ErrorKind::Unavailable, "too many requests are in flight; try again shortly")
                .with_retry(RetryAdvice::AfterMs(1_000));
        return Err(Refused::known(identified.account, problem));
    }
    let facts = CallFacts {
        principal: &identified.credential.principal,
        groups: &[],
        customer: None,
        model: None,
        upstream: None,
    };
    match throttling::take_early(core, &identified.published.governed, &facts).await {
        Ok(taking) => identified.account.hold(taking),
        Err(problem) => return Err(Refused::known(identified.account, problem)),
    }
    Ok(Throttled { identified, _made_here: PhantomData })
}
