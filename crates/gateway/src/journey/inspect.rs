//! Guardrails: may refuse a call or rewrite its body. None is configured yet, so every call passes unchanged.

use super::permit::Permitted;
use crate::problem::Refused;
use std::marker::PhantomData;

/// A call whose content may be sent.
#[derive(Debug)]
pub struct Inspected {
    pub permitted: Permitted,
    _made_here: PhantomData<()>,
}

/// Lets a permitted call through.
pub fn inspect(permitted: Permitted) -> Result<Inspected, Box<Refused>> {
    Ok(Inspected { permitted, _made_here: PhantomData })
}
