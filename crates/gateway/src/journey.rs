//! One call's journey, in order. Each stage takes what only the stage before it can make.
//!
//! ```text
//! accept → identify → throttle → understand → permit → inspect → shortlist → recall → admit → attempt → relay
//!           who       requests,   what, once   may?    guard-    eligible     cache   money   call,     stream and
//!                     concurrency  parsed              rails     deployments                  retry     settle
//! ```
//!
//! From `identify` on, an [`Account`](crate::account::Account) travels along. It closes itself in the journal
//! whatever happens: an answer, a refusal, an error, or the future being dropped because the client left.

use std::cell::Cell;
use std::rc::Rc;

use http::Response;
use tollgate_core::FaultPoint;
use tollgate_ledger::record::Outcome;

use crate::answer::AnswerBody;
use crate::core::Core;
use crate::problem::Refused;

pub mod accept;
pub mod admit;
pub mod attempt;
pub mod identify;
pub mod inspect;
pub mod keep_alive;
pub mod permit;
pub mod recall;
pub mod relay;
pub mod shortlist;
mod survive;
pub mod throttle;
pub mod understand;

use accept::Accepted;
use admit::Admission;
use recall::Recalled;

/// Takes an accepted inference call to its answer.
pub async fn travel(core: &Rc<Core>, accepted: Accepted) -> Response<AnswerBody> {
    let (dialect, request_id) = (accepted.route.dialect, accepted.request_id);
    match stages(core, accepted).await {
        Ok(answer) => answer,
        Err(refused) => {
            if refused.outcome == Outcome::Refused {
                core.gateway.metrics.refused(refused.problem.name());
            }
            refused.into_response(dialect, request_id).await
        }
    }
}

async fn stages(core: &Rc<Core>, accepted: Accepted) -> Result<Response<AnswerBody>, Box<Refused>> {
    let identified = identify::identify(core, accepted).await?;
    FaultPoint::Identified.reach();
    let throttled = throttle::throttle(core, identified).await?;
    FaultPoint::Throttled.reach();
    let mut understood = understand::understand(core, throttled).await?;
    FaultPoint::Understood.reach();
    let admitted = loop {
        let permitted = permit::permit(core, understood).await?;
        FaultPoint::Permitted.reach();
        let inspected = inspect::inspect(permitted)?;
        let shortlisted = shortlist::shortlist(core, inspected)?;
        let missed = match recall::recall(shortlisted) {
            Recalled::Hit(answer) => return Ok(answer),
            Recalled::Miss(missed) => missed,
        };
        match admit::admit(core, missed).await? {
            Admission::Admitted(admitted) => break *admitted,
            // Happens once: a substitute has no substitute.
            Admission::Substitute(again) => understood = *again,
        }
    };
    FaultPoint::Admitted.reach();
    let gone = Rc::new(Cell::new(false));
    if admitted.is_stream() {
        // When the client leaves, this future is dropped, and with it the call to the provider.
        let early = keep_alive::EarlyStream::new(&admitted);
        return early.keep_alive(core, serve(Rc::clone(core), admitted, gone)).await;
    }
    // A non-streamed call is billed whether or not somebody waits for it, so it is read to its end.
    survive::survive(core, Rc::clone(&gone), serve(Rc::clone(core), admitted, gone)).await
}

async fn serve(
    core: Rc<Core>,
    admitted: admit::Admitted,
    gone: Rc<Cell<bool>>,
) -> Result<Response<AnswerBody>, Box<Refused>> {
    let attempted = attempt::attempt(&core, admitted, gone).await?;
    relay::relay(&core, attempted).await
}
