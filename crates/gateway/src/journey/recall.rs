//! The cache: answers without a call. There is none yet, so every look-up misses.

use http::Response;
use std::marker::PhantomData;

use super::shortlist::Shortlisted;
use crate::answer::AnswerBody;

/// What the cache says.
#[expect(clippy::large_enum_variant, reason = "made once per call and taken apart at once")]
pub enum Recalled {
    Hit(Response<AnswerBody>),
    Miss(Missed),
}

/// A call that no stored answer serves.
#[derive(Debug)]
pub struct Missed {
    pub shortlisted: Shortlisted,
    _made_here: PhantomData<()>,
}

/// Looks for a stored answer.
pub fn recall(shortlisted: Shortlisted) -> Recalled {
    Recalled::Miss(Missed { shortlisted, _made_here: PhantomData })
}
