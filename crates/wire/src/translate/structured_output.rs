//! Structured output for models that have no field for it.

use crate::canonical::Json;

/// What the model is told instead of being constrained.
pub(crate) fn instruction(schema: Option<&Json>) -> String {
    match schema {
        Some(schema) => format!(
            "Answer with one JSON value that conforms to this JSON schema, and with nothing else \
             (no code fence, no explanation): {}",
            schema.as_str()
        ),
        None => {
            "Answer with one JSON object and with nothing else (no code fence, no explanation).".to_owned()
        }
    }
}
