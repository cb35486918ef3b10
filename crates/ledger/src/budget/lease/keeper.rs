//! Asks for leases, prolongs them, and gives back what is not needed: one task per process.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};
use tollgate_core::Clock;

use super::{LeaseGrant, LeaseRequest, LeaseReturn, LeaseSource};
use crate::budget::balance::Balance;
use crate::record::BalanceKey;

/// How often leases are looked at.
const TICK: Duration = Duration::from_millis(250);
/// A source that takes longer counts as unreachable.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(2);

/// How the parts of a book that lease reach the keeper.
pub(in crate::budget) struct Leases {
    source: Arc<dyn LeaseSource>,
    clock: Arc<dyn Clock>,
    /// Each balance at most once at a time, so that it is bounded by their number.
    wishes: UnboundedSender<Arc<Balance>>,
    received: tokio::sync::Mutex<UnboundedReceiver<Arc<Balance>>>,
    sequence: AtomicU64,
}

impl std::fmt::Debug for Leases {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Leases").finish_non_exhaustive()
    }
}

impl Leases {
    pub(in crate::budget) fn new(source: Arc<dyn LeaseSource>, clock: Arc<dyn Clock>) -> Self {
        let (wishes, received) = unbounded_channel();
        let received = tokio::sync::Mutex::new(received);
        Self { source, clock, wishes, received, sequence: AtomicU64::new(1) }
    }

    /// Tells the keeper that a balance has a wish.
    pub(in crate::budget) fn tell(&self, balance: &Arc<Balance>) {
        // Without a keeper nobody answers, and whoever waits is told that leases are unavailable.
        let _ = self.wishes.send(Arc::clone(balance));
    }

    /// Runs until it is dropped.
    pub(in crate::budget) async fn keep(self: Arc<Self>) {
        let mut received = self.received.lock().await;
        let mut leased: Vec<Arc<Balance>> = Vec::new();
        let mut under_way = JoinSet::new();
        let mut ticks = interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                biased;
                Some(balance) = received.recv() => {
                    if !balance.kept.swap(true, Relaxed) {
                        leased.push(Arc::clone(&balance));
                    }
                    under_way.spawn(Arc::clone(&self).ask(balance));
                }
                Some(_) = under_way.join_next() => {}
                _ = ticks.tick() => {
                    leased.retain(|balance| self.look_after(balance, &mut under_way));
                    self.renew(&leased, &mut under_way);
                }
            }
        }
    }

    fn next_sequence(&self) -> u64 {
        self.sequence.fetch_add(1, Relaxed)
    }

    async fn ask(self: Arc<Self>, balance: Arc<Balance>) {
        let now = self.clock.now();
        let asked_at = Instant::now();
        // One that refuses nothing any more asks for nothing, and whoever waits sees it.
        let ceiling = balance.terms.ceiling(now).unwrap_or_default();
        let wished = balance.lock().begin_asking(now, &balance.terms.calendar, ceiling, asked_at);
        for (window, asking) in wished {
            let request = LeaseRequest {
                balance: Arc::clone(&window.key),
                sequence: self.next_sequence(),
                counts_from: window.counts_from,
                counts_to: window.counts_to,
                window_end: window.end,
                ceiling: ceiling.amount,
                keeps: asking.keeps,
                at_least: asking.at_least,
                at_most: asking.at_most,
            };
            let grant = self.answer(request).await;
            balance.lock().finish_asking(window.key.window_start, grant, asked_at, Instant::now());
            balance.changed.notify_waiters();
        }
    }

    async fn answer(&self, request: LeaseRequest) -> Option<LeaseGrant> {
        match timeout(ANSWER_TIMEOUT, self.source.lease(request)).await {
            Ok(Ok(grant)) => Some(grant),
            Ok(Err(error)) => {
                tracing::warn!(%error, "no lease of a budget was granted");
                None
            }
            Err(_) => {
                tracing::warn!("the store of the budgets did not answer in time");
                None
            }
        }
    }

    /// Gives back what is idle. Whether the balance is to be looked at again.
    fn look_after(self: &Arc<Self>, balance: &Arc<Balance>, under_way: &mut JoinSet<()>) -> bool {
        let mut state = balance.lock();
        for (key, granted) in state.begin_giving_back(self.clock.now(), Instant::now()) {
            let returned = LeaseReturn { balance: key, sequence: self.next_sequence(), granted };
            under_way.spawn(Arc::clone(self).give_back(Arc::clone(balance), returned));
        }
        let keep = !state.leases_at_rest();
        balance.kept.store(keep, Relaxed);
        keep
    }

    async fn give_back(self: Arc<Self>, balance: Arc<Balance>, returned: LeaseReturn) {
        let start = returned.balance.window_start;
        let answer = timeout(ANSWER_TIMEOUT, self.source.give_back(returned)).await;
        balance.lock().finish_giving_back(start, matches!(answer, Ok(Ok(()))));
        balance.changed.notify_waiters();
    }

    fn renew(self: &Arc<Self>, leased: &[Arc<Balance>], under_way: &mut JoinSet<()>) {
        let now = Instant::now();
        let mut due: Vec<(Arc<Balance>, Arc<BalanceKey>)> = Vec::new();
        for balance in leased {
            let keys = balance.lock().begin_renewing(now);
            due.extend(keys.into_iter().map(|key| (Arc::clone(balance), key)));
        }
        if !due.is_empty() {
            under_way.spawn(Arc::clone(self).renew_all(due, now));
        }
    }

    async fn renew_all(self: Arc<Self>, due: Vec<(Arc<Balance>, Arc<BalanceKey>)>, asked_at: Instant) {
        let keys = due.iter().map(|(_, key)| Arc::clone(key)).collect();
        let Ok(Ok(renewed)) = timeout(ANSWER_TIMEOUT, self.source.renew(keys)).await else { return };
        for (balance, key) in due {
            if renewed.balances.contains(&key) {
                balance.lock().finish_renewing(key.window_start, asked_at, renewed.expires_in);
            }
        }
    }
}
