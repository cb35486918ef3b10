//! What needs no body: whether the process takes more calls now. Limits per caller will be asked here too.

use std::marker::PhantomData;
use std::rc::Rc;
use std::sync::atomic::Ordering;

use tollgate_core::RetryAdvice;
use tollgate_wire::ErrorKind;

use super::identify::Identified;
use crate::core::Core;
use crate::problem::{Problem, Refused};

/// A call that may be read.
#[derive(Debug)]
pub struct Throttled {
    pub identified: Identified,
    _made_here: PhantomData<()>,
}

/// Refuses a call beyond what the process can hold.
pub fn throttle(core: &Rc<Core>, identified: Identified) -> Result<Throttled, Box<Refused>> {
    let in_flight = core.gateway.metrics.requests_in_flight.load(Ordering::Relaxed);
    let most = i64::try_from(core.gateway.settings.max_requests_in_flight).unwrap_or(i64::MAX);
    if in_flight > most {
        let problem =
            Problem::gateway(ErrorKind::Unavailable, "too many requests are in flight; try again shortly")
                .with_retry(RetryAdvice::AfterMs(1_000));
        return Err(Refused::known(identified.account, problem));
    }
    Ok(Throttled { identified, _made_here: PhantomData })
}
