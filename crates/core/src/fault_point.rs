//! Named places on the way of a call and of its record, at which a test can stop the process to kill it.
//!
//! In builds with debug assertions, `TOLLGATE_STOP_AT=<name>` stops the thread that comes there first: it says so on
//! standard error and never goes on. Other builds have nothing of it.

macro_rules! fault_points {
    ($($(#[$doc:meta])* $name:ident = $text:literal;)*) => {
        /// A named place.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum FaultPoint {
            $($(#[$doc])* $name,)*
        }

        impl FaultPoint {
            /// All of them, in the order of a call.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)*
                }
            }
        }
    };
}

fault_points! {
    Identified = "identified";
    Throttled = "throttled";
    Understood = "understood";
    Permitted = "permitted";
    LimitsTaken = "limits-taken";
    BeforeReserve = "before-reserve";
    Reserved = "reserved";
    Admitted = "admitted";
    BeforeIntent = "before-intent";
    /// Handed to the journal, not known to be written.
    IntentQueued = "intent-queued";
    IntentWritten = "intent-written";
    BeforeSend = "before-send";
    AnswerHead = "answer-head";
    AnswerRead = "answer-read";
    AnswerMeasured = "answer-measured";
    AttemptEnded = "attempt-ended";
    AttemptFailed = "attempt-failed";
    BeforeHoldsChange = "before-holds-change";
    HoldsChanged = "holds-changed";
    ReservedAgain = "reserved-again";
    FirstContent = "first-content";
    StreamChunk = "stream-chunk";
    StepWanted = "step-wanted";
    StepReserved = "step-reserved";
    StepWritten = "step-written";
    StreamComplete = "stream-complete";
    ClientGone = "client-gone";
    BeforeSettlement = "before-settlement";
    SettlementQueued = "settlement-queued";
    SettlementWritten = "settlement-written";
    AnswerLeaves = "answer-leaves";
    BatchRead = "batch-read";
    BeforeCommit = "before-commit";
    BatchShipped = "batch-shipped";
}

impl FaultPoint {
    /// Stops here for ever, if a test asked for it.
    #[cfg(debug_assertions)]
    pub fn reach(self) {
        use std::sync::LazyLock;
        static STOP_AT: LazyLock<Option<String>> = LazyLock::new(|| std::env::var("TOLLGATE_STOP_AT").ok());
        if STOP_AT.as_deref() == Some(self.name()) {
            stop(self);
        }
    }

    /// Does nothing in this build.
    #[cfg(not(debug_assertions))]
    #[inline(always)]
    pub const fn reach(self) {}
}

#[cfg(debug_assertions)]
fn stop(point: FaultPoint) {
    use std::io::Write as _;
    // Whoever asked for it reads this line; if nobody does, there is nobody to tell.
    let _ = writeln!(std::io::stderr(), "stopped at {}", point.name());
    loop {
        std::thread::park();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_there_are_enough_places() {
        let mut names: Vec<_> = FaultPoint::ALL.iter().map(|point| point.name()).collect();
        assert!(names.len() >= 30);
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), FaultPoint::ALL.len());
    }
}
