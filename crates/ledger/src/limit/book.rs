//! All limits of a process.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU32, Ordering};

use parking_lot::Mutex;
use tollgate_core::{LimitId, UnixMicros};
use tollgate_state::governance::{Governance, LimitObject, Member};

use super::line::{Common, LimitLine};
use super::pace::as_nanos;
use super::shared::{SharedLimiter, Unreachable, is_exact};
use super::taken::{OverLimit, Taken};

/// How many customers of one limit are counted apart; those beyond share [`Member::OtherCustomers`].
pub const DEFAULT_MOST_CUSTOMERS: usize = 100_000;

/// What all limits of this process have counted. One per process, shared by its cores.
#[derive(Debug)]
pub struct LimitBook {
    pub(super) kept: Mutex<KeptLines>,
    pub(super) common: Common,
    processes: AtomicU32,
    limiter: Option<Arc<dyn SharedLimiter>>,
}

/// Everything that is looked up at a publish, and by nobody else.
#[derive(Debug, Default)]
pub(super) struct KeptLines {
    pub(super) lines: HashMap<LimitId, (Arc<LimitLine>, Arc<LimitObject>)>,
    /// Counts from before a restart, until their limit is published.
    pub(super) restored: HashMap<LimitId, Vec<(Member, i64)>>,
}

/// One count that a call wants to be part of.
#[derive(Debug, Clone)]
pub struct Want<'a> {
    pub line: &'a Arc<LimitLine>,
    pub config: &'a LimitObject,
    pub member: Member,
    /// 1 for requests and concurrency, the estimated tokens for token meters.
    pub cost: u64,
}

impl Default for LimitBook {
    fn default() -> Self {
        Self::new(DEFAULT_MOST_CUSTOMERS)
    }
}

impl LimitBook {
    /// `most_customers` bounds the customers that one limit counts apart.
    pub fn new(most_customers: usize) -> Self {
        let common = Common {
            most_customers,
            changed: Arc::new(AtomicBool::new(false)),
            crowded: Arc::new(AtomicBool::new(false)),
            began_blind_ns: Arc::new(AtomicI64::new(0)),
        };
        Self { kept: Mutex::default(), common, processes: AtomicU32::new(1), limiter: None }
    }

    /// Has limits with exact sharing decided by what all processes share.
    #[must_use]
    pub fn with_shared(self, limiter: Arc<dyn SharedLimiter>) -> Self {
        Self { limiter: Some(limiter), ..self }
    }

    /// At a publish: the lines of these limits, by slot. What a line has counted survives; a line whose limit is gone
    /// is dropped when it has become idle, so a limit that is switched off and on again has forgotten nothing.
    pub fn lines(&self, governance: &Governance) -> Arc<[Arc<LimitLine>]> {
        let mut kept = self.kept.lock();
        let KeptLines { lines, restored } = &mut *kept;
        let line = |limit: &Arc<LimitObject>| {
            let entry = lines.entry(limit.id).or_insert_with(|| {
                let line = Arc::new(LimitLine::new(limit, &self.common));
                for (member, arrival_ns) in restored.remove(&limit.id).unwrap_or_default() {
                    line.restore(limit, &member, arrival_ns);
                }
                (line, Arc::clone(limit))
            });
            entry.1 = Arc::clone(limit);
            Arc::clone(&entry.0)
        };
        governance.limits().iter().map(line).collect()
    }

    /// Takes on all counts or on none. In a refusal each wait is the truth: the same call is admitted then, and not a
    /// millisecond earlier, if nothing else comes.
    pub fn take(&self, now: UnixMicros, wants: &[Want<'_>]) -> Result<Taken, OverLimit> {
        let now_ns = as_nanos(now);
        let mut taken = Taken::nothing(now_ns, self.processes(), wants);
        taken.take_here(now_ns, wants, |_| true)?;
        Ok(taken)
    }

    /// As [`Self::take`], but limits with exact sharing are asked of the authority that all processes share, if there is
    /// one and it answers; where it does not, this process's part is enforced. Suspends for no other limits.
    ///
    /// The wait of a refusal is true for the limits that were asked: those of this process first, which are cheaper.
    pub async fn admit(&self, now: UnixMicros, wants: &[Want<'_>]) -> Result<Taken, OverLimit> {
        let asks = |limiter: &&Arc<dyn SharedLimiter>| {
            wants.iter().any(|want| is_exact(want.config)) && limiter.is_reachable()
        };
        let Some(limiter) = self.limiter.as_ref().filter(asks) else { return self.take(now, wants) };
        let now_ns = as_nanos(now);
        let mut taken = Taken::nothing(now_ns, self.processes(), wants);
        taken.take_here(now_ns, wants, |limit| !is_exact(limit))?;
        match taken.take_elsewhere(now_ns, wants, limiter).await {
            Ok(decided) => decided?,
            Err(Unreachable) => taken.take_here(now_ns, wants, is_exact)?,
        }
        Ok(taken)
    }

    /// Among how many live processes each limit is shared from now on. Each keeps its part of the rate exactly, and of
    /// the burst and the concurrency rounded down, but at least one: `n` processes together admit up to `n` calls at
    /// once where the burst or the concurrency is smaller than `n`.
    pub fn set_share(&self, live_processes: u32) {
        self.processes.store(live_processes.max(1), Ordering::Release);
    }

    pub(super) fn processes(&self) -> u32 {
        self.processes.load(Ordering::Acquire)
    }

    /// Whether a customer found no room since this was last asked, so that a sweep may help.
    pub(super) fn take_crowded(&self) -> bool {
        self.common.crowded.swap(false, Ordering::AcqRel)
    }

    /// Forgets counts that are as if they had never been used. Not on a thread that serves calls: it looks at all.
    pub fn sweep(&self, now: UnixMicros) {
        let lines: Vec<Arc<LimitLine>> =
            self.kept.lock().lines.values().map(|(line, _)| Arc::clone(line)).collect();
        for line in &lines {
            line.sweep(as_nanos(now));
        }
        drop(lines);
        self.kept
            .lock()
            .lines
            .retain(|_, (line, _)| Arc::strong_count(line) > 1 || !line.is_idle(as_nanos(now)));
    }
}
