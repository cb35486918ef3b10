//! One limit and the counts of its members.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering};

use papaya::HashMap;
use tollgate_core::LimitId;
use tollgate_state::governance::{LimitMeter, LimitObject, LimitPeriod, Member};

use super::cell::Cell;
use super::pace::Pace;

/// What a limit has counted, by member. Outlives every publish.
#[derive(Debug)]
pub struct LimitLine {
    limit_id: LimitId,
    is_concurrency: bool,
    /// The count of a limit without `each`; never retired.
    all: Arc<Cell>,
    members: HashMap<Member, Arc<Cell>>,
    customers: AtomicUsize,
    most_customers: usize,
    /// There was no room for another customer.
    crowded: Arc<AtomicBool>,
    /// Something that a restart must remember has changed.
    changed: Arc<AtomicBool>,
    /// When this process began without knowing what hour and day limits had counted.
    began_blind_ns: Arc<AtomicI64>,
}

/// What lines of one book have in common.
#[derive(Debug, Clone)]
pub(crate) struct Common {
    pub(crate) most_customers: usize,
    pub(crate) changed: Arc<AtomicBool>,
    pub(crate) crowded: Arc<AtomicBool>,
    pub(crate) began_blind_ns: Arc<AtomicI64>,
}

/// Whether what the limit has counted is kept across a restart: shorter periods are over by then.
pub(crate) const fn outlives_restart(meter: LimitMeter, per: LimitPeriod) -> bool {
    matches!(per, LimitPeriod::Hour | LimitPeriod::Day) && !matches!(meter, LimitMeter::Concurrency)
}

impl LimitLine {
    pub(crate) fn new(limit: &LimitObject, common: &Common) -> Self {
        let this = Self {
            limit_id: limit.id,
            is_concurrency: limit.meter == LimitMeter::Concurrency,
            all: Arc::new(Cell::new(0)),
            members: HashMap::new(),
            customers: AtomicUsize::new(0),
            most_customers: common.most_customers,
            crowded: Arc::clone(&common.crowded),
            changed: Arc::clone(&common.changed),
            began_blind_ns: Arc::clone(&common.began_blind_ns),
        };
        this.all.raise(this.first_word(limit));
        this
    }

    pub fn limit_id(&self) -> LimitId {
        self.limit_id
    }

    /// The word of a count that nobody has seen yet.
    fn first_word(&self, limit: &LimitObject) -> i64 {
        let blind_ns = self.began_blind_ns.load(Ordering::Acquire);
        if blind_ns > 0 && outlives_restart(limit.meter, limit.per) {
            return Pace::new(limit, 1).spent_burst(blind_ns);
        }
        0
    }

    /// The count of a member, made on first use. Customers for whom there is no room share one.
    pub(crate) fn cell(&self, limit: &LimitObject, member: &Member) -> Arc<Cell> {
        if *member == Member::All {
            return Arc::clone(&self.all);
        }
        let members = self.members.pin();
        loop {
            match members.get(member) {
                Some(cell) if cell.word().is_some() => return Arc::clone(cell),
                Some(retired) => self.forget(member, &Arc::clone(retired)),
                None => break,
            }
        }
        let is_customer = matches!(member, Member::Customer(_));
        if is_customer && self.customers.load(Ordering::Acquire) >= self.most_customers {
            set(&self.crowded);
            return self.cell(limit, &Member::OtherCustomers);
        }
        let fresh = Arc::new(Cell::new(self.first_word(limit)));
        match members.try_insert(member.clone(), Arc::clone(&fresh)) {
            Ok(_) => {
                self.customers.fetch_add(usize::from(is_customer), Ordering::AcqRel);
                fresh
            }
            Err(lost) => Arc::clone(lost.current),
        }
    }

    /// Remembers a count from before a restart.
    pub(crate) fn restore(&self, limit: &LimitObject, member: &Member, arrival_ns: i64) {
        self.cell(limit, member).raise(arrival_ns);
    }

    /// Drops counts that are as if they had never been used.
    pub(crate) fn sweep(&self, now_ns: i64) {
        for (member, cell) in &self.members.pin() {
            // A call that still holds it may correct it.
            if Arc::strong_count(cell) == 1 && cell.retire(|word| self.is_unused(word, now_ns)) {
                self.forget(member, cell);
            }
        }
    }

    /// Whether dropping the whole line would forget nothing.
    pub(crate) fn is_idle(&self, now_ns: i64) -> bool {
        let all = Arc::strong_count(&self.all) == 1
            && self.all.word().is_none_or(|word| self.is_unused(word, now_ns));
        all && self.members.is_empty()
    }

    fn is_unused(&self, word: i64, now_ns: i64) -> bool {
        if self.is_concurrency { word == 0 } else { word < now_ns }
    }

    /// Visits each member whose theoretical arrival time lies ahead.
    pub(crate) fn visit_ahead(&self, now_ns: i64, mut visit: impl FnMut(&Member, i64)) {
        let mut ahead = |member: &Member, cell: &Cell| {
            if let Some(word) = cell.word().filter(|word| *word > now_ns) {
                visit(member, word);
            }
        };
        ahead(&Member::All, &self.all);
        for (member, cell) in &self.members.pin() {
            ahead(member, cell);
        }
    }

    pub(crate) fn mark_changed(&self) {
        set(&self.changed);
    }

    fn forget(&self, member: &Member, retired: &Arc<Cell>) {
        let members = self.members.pin();
        let removed = members.remove_if(member, |_, cell| Arc::ptr_eq(cell, retired));
        if matches!(removed, Ok(Some(_))) && matches!(member, Member::Customer(_)) {
            self.customers.fetch_sub(1, Ordering::AcqRel);
        }
    }
}

/// Cores share the flag, so it is written only when it changes.
fn set(flag: &AtomicBool) {
    if !flag.load(Ordering::Relaxed) {
        flag.store(true, Ordering::Release);
    }
}
