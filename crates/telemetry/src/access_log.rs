//! The access log: one line per call of a known caller, off unless switched on.
//!
//! Its lines go where the process's own log goes, under the target [`TARGET`].

use std::future::Future;
use std::pin::pin;

use tollgate_core::Fault;

use crate::call::{CallReceiver, FinishedCall};
use crate::names::log;
use crate::trace_context::trace_id;

/// For filters: `info,tollgate_access=off`.
pub const TARGET: &str = "tollgate_access";

/// Writes a line for each call, until `stop` is ready or all senders are gone, and then what is left.
pub async fn run(mut calls: CallReceiver, stop: impl Future<Output = ()>) {
    let mut stop = pin!(stop);
    loop {
        tokio::select! {
            call = calls.recv() => match call {
                Some(call) => write(&call),
                None => return,
            },
            () = &mut stop => break,
        }
    }
    calls.close();
    while let Some(call) = calls.recv().await {
        write(&call);
    }
}

fn write(call: &FinishedCall) {
    let deployment_id = call.attempts.last().map(|attempt| attempt.deployment_id);
    let trace = call.caller.map(|caller| trace_id(call.request_id, Some(&caller)));
    let trace = trace.map(|id| format!("{:032x}", u128::from_be_bytes(id)));
    tracing::info!(
        target: TARGET,
        {
            { log::REQUEST_ID } = display(call.request_id),
            { log::ORGANIZATION_ID } = display(call.organization_id),
            { log::TEAM_ID } = call.team_id.map(display),
            { log::PROJECT_ID } = call.project_id.map(display),
            { log::KEY_ID } = call.key_id.map(display),
            { log::OPERATION } = call.operation.as_str(),
            { log::MODEL } = &*call.model,
            { log::STREAM } = call.stream,
            { log::STATUS } = call.status,
            { log::OUTCOME } = call.outcome,
            { log::FAULT } = call.fault.map(Fault::as_str),
            { log::ERROR_KIND } = call.error_kind.as_deref(),
            { log::DEPLOYMENT_ID } = deployment_id.map(display),
            { log::ATTEMPTS } = call.attempts.len(),
            { log::INPUT_TOKENS } = call.usage.total_input(),
            { log::OUTPUT_TOKENS } = call.usage.total_output(),
            { log::COST_NANOS_USD } = call.cost.map(tollgate_core::NanoUsd::get),
            { log::LATENCY_US } = call.latency_us,
            { log::TIME_TO_FIRST_TOKEN_US } = call.time_to_first_token_us,
            { log::OVERHEAD_US } = call.overhead_us,
            { log::TRACE_ID } = trace
        },
        "call"
    );
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::call::CallSink;
    use crate::call::tests::finished_call;
    use crate::logs::LogFormat;
    use crate::logs::tests::logged;

    #[test]
    fn a_line_says_who_called_what_and_how_it_ended() {
        let call = finished_call();
        let text = logged(LogFormat::Json, false, "info", || write(&call));
        let line: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(line["target"], TARGET);
        assert_eq!(line[log::REQUEST_ID], call.request_id.to_string());
        assert_eq!(line[log::TEAM_ID], call.team_id.unwrap().to_string());
        assert_eq!(line[log::DEPLOYMENT_ID], call.attempts[1].deployment_id.to_string());
        assert_eq!((&line[log::STATUS], &line[log::INPUT_TOKENS]), (&200.into(), &150.into()));
        assert_eq!(line[log::COST_NANOS_USD], 1_250_000);
        assert!(line.get(log::PROJECT_ID).is_none() && line.get(log::TRACE_ID).is_none(), "{text}");
    }

    #[test]
    fn lines_that_wait_are_written_before_the_end() {
        let text = logged(LogFormat::Text, false, "info", || {
            let (sink, calls) = CallSink::default().with_access_log(8);
            sink.send(finished_call(), false);
            sink.send(finished_call(), false);
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            runtime.block_on(run(calls, std::future::ready(())));
        });
        assert_eq!(text.lines().count(), 2, "{text}");
    }

    #[test]
    fn a_model_name_cannot_forge_a_line() {
        let call = FinishedCall { model: "a\nb status=200".into(), ..finished_call() };
        let text = logged(LogFormat::Text, false, "info", || write(&call));
        assert_eq!(text.lines().count(), 1, "{text}");
        assert!(text.contains(r#" model="a\nb status=200" "#), "{text}");
    }
}
