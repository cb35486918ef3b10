//! Limits.

use tollgate_state::governance::LimitMeter;
use tollgate_store::LimitDraft;

use super::scope::scope_errors;
use crate::problem::FieldError;

/// Beyond this, counting in integers over a day could overflow.
const LARGEST_AMOUNT: u64 = 1_000_000_000_000;

/// Everything that is wrong with a limit, by the names that its fields have outside.
pub(crate) fn limit_errors(limit: &LimitDraft, has_model: &dyn Fn(&str) -> bool) -> Vec<FieldError> {
    let mut errors = scope_errors(&limit.scope, has_model);
    let mut wrong = |field: &str, message: String| {
        errors.push(FieldError { field: field.to_owned(), message });
    };
    if limit.amount == 0 {
        let message = "must be at least 1; to let nothing through, revoke keys or take away their grants";
        wrong("amount", message.into());
    } else if limit.amount > LARGEST_AMOUNT {
        wrong("amount", format!("must be at most {LARGEST_AMOUNT}"));
    }
    match limit.burst {
        Some(_) if limit.meter == LimitMeter::Concurrency => {
            wrong("burst", "means nothing for `concurrency`; leave it out".into());
        }
        Some(burst) if burst == 0 || burst > limit.amount => {
            wrong("burst", format!("must be 1 to {}, the amount of the limit", limit.amount));
        }
        _ => {}
    }
    errors
}
