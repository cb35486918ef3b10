//! What webhooks are sent: `docs/alerts.md` documents it for receivers.

use serde_json::{Value, json};
use tollgate_core::{NanoUsd, UnixMicros, UsdAmount};
use tollgate_store::{Alert, AlertEvent};

fn rfc3339(at: UnixMicros) -> String {
    jiff::Timestamp::from_microsecond(at.0).map(|time| time.to_string()).unwrap_or_default()
}

/// The body of the request: what happened, when, and the facts.
pub(super) fn payload(alert: &Alert) -> Value {
    let mut data = alert.body.clone();
    if let Some(fields) = data.as_object_mut() {
        fields.insert("alert_id".into(), json!(alert.id));
        fields.insert("organization_id".into(), json!(alert.organization_id));
        fields.insert("message".into(), json!(message(alert)));
    }
    json!({"type": alert.event, "timestamp": rfc3339(alert.at), "data": data})
}

/// The body of the request that an administrator sends to see whether it arrives.
pub(super) fn test_payload(webhook: &str, now: UnixMicros) -> Value {
    let message = "This is a test: alerts of Tollgate arrive here.";
    json!({"type": "test", "timestamp": rfc3339(now), "data": {"webhook": webhook, "message": message}})
}

/// An alert in one sentence.
pub(crate) fn message(alert: &Alert) -> String {
    let field = |name: &str| alert.body.get(name);
    let text = |name: &str| field(name).and_then(Value::as_str).unwrap_or("?");
    let dollars = |name: &str| {
        let nanos = field(name).and_then(Value::as_i64).unwrap_or(0);
        UsdAmount::of(NanoUsd::new(nanos))
    };
    let whose = match text("member") {
        "all" | "?" => String::new(),
        member => format!(" of {member}"),
    };
    match alert.event {
        AlertEvent::BudgetThreshold => format!(
            "{} % of the budget `{}`{whose} are spent: ${} of ${}",
            field("threshold_percent").and_then(Value::as_u64).unwrap_or(0),
            text("budget"),
            dollars("spent_nano_usd"),
            dollars("amount_nano_usd"),
        ),
        AlertEvent::BudgetExhausted => format!(
            "the budget `{}`{whose} could not pay for a call: at least ${} of ${} are spent",
            text("budget"),
            dollars("spent_nano_usd"),
            dollars("amount_nano_usd"),
        ),
        AlertEvent::LedgerDifference => format!(
            "a balance of the budget `{}`{whose} says ${}, and the usage records ${}; `tollgate ledger verify` shows all",
            text("budget"),
            dollars("balance_nano_usd"),
            dollars("records_nano_usd"),
        ),
        AlertEvent::LeaseLost => format!(
            "the process {} is gone and holds ${} of the budget `{}`{whose} until its journal is shipped, or \
             `tollgate ledger write-off`",
            text("instance_id"),
            dollars("outstanding_nano_usd"),
            text("budget"),
        ),
    }
}

#[cfg(test)]
mod tests {
    use tollgate_core::AlertId;

    use super::*;

    #[test]
    fn an_alert_says_what_happened_in_words_and_in_facts() {
        let alert = Alert {
            id: AlertId::generate(),
            organization_id: None,
            at: UnixMicros(1_800_000_000_000_000),
            event: AlertEvent::BudgetThreshold,
            budget_id: None,
            body: json!({
                "budget": "search",
                "member": "customer:anna",
                "threshold_percent": 80,
                "amount_nano_usd": 50_000_000_000_i64,
                "spent_nano_usd": 40_500_000_000_i64,
            }),
        };
        let sentence = "80 % of the budget `search` of customer:anna are spent: $40.5 of $50";
        assert_eq!(message(&alert), sentence);
        let payload = payload(&alert);
        assert_eq!(payload["type"], "budget_threshold");
        assert_eq!(payload["timestamp"], "2027-01-15T08:00:00Z");
        assert_eq!(payload["data"]["message"], sentence);
        assert_eq!(payload["data"]["spent_nano_usd"], 40_500_000_000_i64);
        assert_eq!(payload["data"]["alert_id"], json!(alert.id));
    }
}
