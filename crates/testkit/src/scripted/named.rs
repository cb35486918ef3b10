//! Scripts that a request chooses by name, for clients in other languages.
//!
//! `script:NAME` as the model or in the header `x-script`. `NAME` is one behaviour or several joined by `-then-`: the
//! n-th request with that name gets the n-th behaviour, the last one repeats. A suffix `@RUN` separates the counts of
//! tests that run at the same time: `script:429-then-ok@python-3`.

use std::time::Duration;

use bytes::Bytes;
use tollgate_core::Dialect;

use super::{
    defaults,
    recorded::RecordedRequest,
    reply::{Reply, Step},
};
use crate::{canned, malformed};

const PREFIX: &str = "script:";
const SLOW_PAUSE: Duration = Duration::from_millis(50);
const LATE: Duration = Duration::from_secs(6);

/// The script that a request asks for, with its run, without the prefix.
pub(super) fn script_name(request: &RecordedRequest) -> Option<String> {
    let from_header = request.header("x-script").map(str::to_owned);
    let name = from_header.or_else(|| request.model())?;
    name.strip_prefix(PREFIX).map(str::to_owned)
}

pub(super) fn reply(name: &str, used_before: usize, request: &RecordedRequest) -> Reply {
    let script = name.split('@').next().unwrap_or_default();
    let behaviours: Vec<&str> = script.split("-then-").collect();
    let behaviour = behaviours.get(used_before).or(behaviours.last()).copied().unwrap_or_default();
    let dialect = defaults::dialect_of(request.path()).unwrap_or(Dialect::OpenaiChat);
    behave(behaviour, dialect, request).unwrap_or_else(|| {
        Reply::json(400, format!(r#"{{"error":{{"message":"no script is called '{behaviour}'"}}}}"#))
    })
}

fn behave(behaviour: &str, dialect: Dialect, request: &RecordedRequest) -> Option<Reply> {
    let good = defaults::reply(request);
    let reply = match behaviour {
        "ok" => good,
        "slow" => slowly(&good, usize::MAX),
        "byte-by-byte" => slowly(&good, 1),
        "late" => {
            let steps = good.steps().to_vec();
            good.with_steps([vec![Step::Wait(LATE)], steps].concat())
        }
        "stall" => Reply::raw().stall(),
        "stall-after-head" => good.first_steps(0).stall(),
        "stall-mid-stream" => good.first_half().stall(),
        "cut" => Reply::raw().cut(),
        "cut-after-head" => good.first_steps(0).cut(),
        "cut-mid-stream" => good.first_half().cut(),
        "reset" => Reply::raw().reset(),
        "reset-mid-stream" => good.first_half().reset(),
        "error-mid-stream" => good.first_half().send(canned::error_event(dialect)),
        other => {
            if let Some(name) = other.strip_prefix("malformed.") {
                return malformed::named(name).map(|malformed| malformed.reply);
            }
            let status = other.parse().ok().filter(|status| (400..600).contains(status))?;
            let reply = canned::error(dialect, status).reply();
            if status == 429 { reply.header("retry-after", "1") } else { reply }
        }
    };
    Some(reply)
}

/// The same answer with pauses; each write at most `chunk_bytes`.
fn slowly(good: &Reply, chunk_bytes: usize) -> Reply {
    let every = if chunk_bytes == 1 { Duration::from_millis(1) } else { SLOW_PAUSE };
    let steps = good
        .steps()
        .iter()
        .map(|step| match step {
            Step::Send(bytes) => Step::SendSlowly { bytes: Bytes::clone(bytes), chunk_bytes, every },
            other => other.clone(),
        })
        .collect();
    good.clone().with_steps(steps)
}
