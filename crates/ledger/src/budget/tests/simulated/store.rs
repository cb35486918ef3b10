//! The store's side: what was shipped, and the leases. Its rules are those of [`LeaseSource`].

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::sleep;

use super::*;

#[derive(Debug, Default)]
pub(in crate::budget::tests) struct Store {
    pub(in crate::budget::tests) spent: BTreeMap<BalanceKey, i64>,
    leases: BTreeMap<(u64, BalanceKey), Held>,
    pub(in crate::budget::tests) unreachable: bool,
    /// Epochs that may lease no more.
    closed: BTreeSet<u64>,
}

#[derive(Debug, Default)]
struct Held {
    granted: i64,
    consumed: i64,
    sequence: u64,
}

impl Held {
    fn outstanding(&self) -> i64 {
        (self.granted - self.consumed).max(0)
    }
}

impl Store {
    pub(in crate::budget::tests) fn ship(&mut self, epoch: u64, key: &BalanceKey, amount: i64) {
        *self.spent.entry(key.clone()).or_default() += amount;
        if self.closed.contains(&epoch) {
            return;
        }
        self.leases.entry((epoch, key.clone())).or_default().consumed += amount;
    }

    /// The epoch's journal was read to its end.
    pub(in crate::budget::tests) fn release(&mut self, epoch: u64) {
        self.leases.retain(|(of, _), _| *of != epoch);
        self.closed.insert(epoch);
    }

    /// Counts what a lost epoch still had as spent, and returns it.
    pub(in crate::budget::tests) fn write_off(&mut self, epoch: u64) -> Vec<(BalanceKey, i64)> {
        let lost = self.leases.iter().filter(|((of, _), _)| *of == epoch);
        let lost: Vec<_> = lost.map(|((_, key), held)| (key.clone(), held.outstanding())).collect();
        for (key, amount) in &lost {
            *self.spent.entry(key.clone()).or_default() += amount;
        }
        self.release(epoch);
        lost
    }

    fn lease(&mut self, epoch: u64, request: &LeaseRequest) -> LeaseGrant {
        let own = self.leases.entry((epoch, (*request.balance).clone())).or_default();
        let fresh = request.sequence > own.sequence;
        if fresh {
            own.sequence = request.sequence;
            own.granted = request.keeps.get();
        }
        let counts = |key: &BalanceKey| {
            (key.budget_id, &key.member) == (request.balance.budget_id, &request.balance.member)
                && (request.counts_from..=request.counts_to).contains(&key.window_start)
        };
        let spent: i64 = self.spent.iter().filter(|(key, _)| counts(key)).map(|(_, spent)| spent).sum();
        let leases = self.leases.iter().filter(|((_, key), _)| counts(key));
        let available =
            request.ceiling.get() - spent - leases.map(|(_, held)| held.outstanding()).sum::<i64>();
        let (least, most) = (request.at_least.get(), request.at_most.get());
        let fair = (available / 6).min(most).max(least);
        let added = if fresh && available >= least && available > 0 { fair.min(available) } else { 0 };
        let own = self.leases.entry((epoch, (*request.balance).clone())).or_default();
        own.granted += added;
        LeaseGrant {
            granted: usd(own.granted),
            expires_in: Duration::from_secs(6),
            left: usd(available - added),
        }
    }

    fn give_back(&mut self, epoch: u64, returned: &LeaseReturn) {
        if self.closed.contains(&epoch) {
            return;
        }
        let own = self.leases.entry((epoch, (*returned.balance).clone())).or_default();
        if returned.sequence > own.sequence {
            own.sequence = returned.sequence;
            own.granted = returned.granted.get();
        }
    }
}

/// One process's way to the store: slow at times, and answers get lost.
pub(in crate::budget::tests) struct Link {
    pub(in crate::budget::tests) store: Arc<Mutex<Store>>,
    pub(in crate::budget::tests) epoch: u64,
    /// What goes wrong is drawn from here; nothing does where absent.
    pub(in crate::budget::tests) faults: Option<Mutex<Random>>,
}

impl Link {
    async fn travel(&self) -> Result<(), LeaseError> {
        let fault = |random: &mut Random| {
            let wait_ms = if random.one_in(20) { 5_000 } else { random.below(40) };
            (wait_ms, random.one_in(15))
        };
        let (wait_ms, lost) = self.faults.as_ref().map_or((1, false), |faults| fault(&mut faults.lock()));
        sleep(Duration::from_millis(wait_ms)).await;
        if lost || self.store.lock().unreachable {
            return Err(LeaseError::Unavailable("no answer".into()));
        }
        Ok(())
    }
}

impl LeaseSource for Link {
    fn lease(&self, request: LeaseRequest) -> LeaseFuture<'_, LeaseGrant> {
        Box::pin(async move {
            self.travel().await?;
            let grant = {
                let mut store = self.store.lock();
                if store.closed.contains(&self.epoch) {
                    return Err(LeaseError::Fenced);
                }
                store.lease(self.epoch, &request)
            };
            self.travel().await?;
            Ok(grant)
        })
    }

    /// May be executed after the caller has given up.
    fn give_back(&self, returned: LeaseReturn) -> LeaseFuture<'_, ()> {
        let (store, epoch) = (Arc::clone(&self.store), self.epoch);
        let late_ms = self.faults.as_ref().map_or(0, |faults| faults.lock().below(4_000));
        Box::pin(async move {
            self.travel().await?;
            let executed = tokio::spawn(async move {
                sleep(Duration::from_millis(late_ms)).await;
                store.lock().give_back(epoch, &returned);
            });
            let _ = executed.await;
            self.travel().await
        })
    }

    fn renew(&self, balances: Vec<Arc<BalanceKey>>) -> LeaseFuture<'_, RenewedLeases> {
        Box::pin(async move {
            self.travel().await?;
            Ok(RenewedLeases { balances, expires_in: Duration::from_secs(6) })
        })
    }
}
