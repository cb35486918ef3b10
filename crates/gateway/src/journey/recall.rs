//! The cache: answers without a call. There is none yet, so every look-up misses.

use http::Response;

use super::shortlist::Shortlisted;
use crate::answer::AnswerBody;

/// What the cache says.
pub enum Recalled {
    Hit(Response<AnswerBody>),
    Miss(Missed),
}

/// A call that no stored answer serves.
#[derive(Debug)]
pub struct Missed {
    pub shortlisted: Shortlisted,
    _made_here: (),
}

/// Looks for a stored answer.
pub fn recall(shortlisted: Shortlisted) -> Recalled {
    Recalled::Miss(Missed { shortlisted, _made_here: () })
}
