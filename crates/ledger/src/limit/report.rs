//! How limits stand, for those who look.

use tollgate_core::{LimitId, UnixMicros};
use tollgate_state::governance::{LimitMeter, LimitObject, Member};

use super::book::LimitBook;
use super::cell::Permits;
use super::pace::{Pace, as_nanos};

/// How a limit stands for one member, as this process has counted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LimitReport {
    pub member: Member,
    /// This process's part of the limit, at one time for concurrency.
    pub remaining: u64,
    /// When nothing of what was counted matters any more; for concurrency nobody can know.
    pub reset_ms: Option<u64>,
}

impl LimitBook {
    /// The members of a limit that have counted something, by member; a limit without `each` always has its one.
    pub fn reports(&self, limit_id: LimitId, now: UnixMicros) -> Vec<LimitReport> {
        let found = self.kept.lock().lines.get(&limit_id).cloned();
        let Some((line, limit)) = found else { return Vec::new() };
        let (now_ns, processes) = (as_nanos(now), self.processes());
        let since_ns = if limit.meter == LimitMeter::Concurrency { 0 } else { now_ns };
        let mut reports = Vec::new();
        line.visit_ahead(since_ns, |member, word| {
            reports.push(report(&limit, member.clone(), word, now_ns, processes));
        });
        if reports.is_empty() && limit.scope.each.is_none() {
            reports.push(report(&limit, Member::All, 0, now_ns, processes));
        }
        reports.sort_unstable_by(|one, other| one.member.cmp(&other.member));
        reports
    }
}

fn report(limit: &LimitObject, member: Member, word: i64, now_ns: i64, processes: u32) -> LimitReport {
    if limit.meter == LimitMeter::Concurrency {
        let held = u64::try_from(word).unwrap_or(0);
        let share = Permits::new(limit.amount, processes).share;
        return LimitReport { member, remaining: share.saturating_sub(held), reset_ms: None };
    }
    let ahead_ns = word.saturating_sub(now_ns).max(0).unsigned_abs();
    LimitReport {
        member,
        remaining: Pace::new(limit, processes).remaining(word, now_ns),
        reset_ms: Some(ahead_ns.div_ceil(1_000_000)),
    }
}
