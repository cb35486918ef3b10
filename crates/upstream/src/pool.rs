//! Idle connections of one thread.

use std::cell::{Cell, RefCell};
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use rustls::ClientConfig;
use tokio::time::{Instant, sleep};

use crate::connection::Connection;
use crate::counters::PoolCounters;
use crate::error::SendError;
use crate::resolve::ResolveCache;

/// What a [`Client`](crate::Client) is made with.
#[derive(Clone)]
pub struct ClientSettings {
    /// Idle connections kept for each origin.
    pub max_idle_per_origin: usize,
    /// After this time an idle connection is closed; keep it below what providers use (usually 60 s and more).
    pub idle_timeout_ms: u64,
    /// Connections that may be open to one origin from this thread, idle ones included.
    pub max_connections_per_origin: usize,
    pub tls: Arc<ClientConfig>,
    /// Counts what happens here. Give each client its own, and add them up when reading.
    pub counters: Arc<PoolCounters>,
}

impl ClientSettings {
    /// Settings for a busy gateway.
    #[must_use]
    pub fn new(tls: Arc<ClientConfig>) -> Self {
        Self {
            max_idle_per_origin: 256,
            idle_timeout_ms: 50_000,
            max_connections_per_origin: 4_096,
            tls,
            counters: Arc::default(),
        }
    }
}

pub(crate) struct Pool {
    pub(crate) settings: ClientSettings,
    origins: RefCell<Vec<OriginPool>>,
    reaping: Cell<bool>,
}

#[derive(Default)]
struct OriginPool {
    /// The longest idle first; taken from the end.
    idle: Vec<Connection>,
    in_use: usize,
    addresses: Rc<ResolveCache>,
}

impl Pool {
    pub(crate) fn new(settings: ClientSettings) -> Rc<Self> {
        Rc::new(Self { settings, origins: RefCell::default(), reaping: Cell::new(false) })
    }

    fn with_origin<R>(&self, index: usize, act: impl FnOnce(&mut OriginPool) -> R) -> R {
        let mut origins = self.origins.borrow_mut();
        if origins.len() <= index {
            origins.resize_with(index + 1, OriginPool::default);
        }
        #[expect(clippy::indexing_slicing, reason = "the length was just made sufficient")]
        act(&mut origins[index])
    }

    pub(crate) fn addresses(&self, index: usize) -> Rc<ResolveCache> {
        self.with_origin(index, |origin| origin.addresses.clone())
    }

    /// The idle connection that was used last, if one is still good.
    pub(crate) fn take_idle(self: &Rc<Self>, index: usize) -> Option<Lease> {
        let expired = self.expired();
        let (found, discarded) = self.with_origin(index, |origin| {
            let mut discarded = 0;
            while let Some(mut connection) = origin.idle.pop() {
                if connection.is_ready() && !expired(&connection) {
                    origin.in_use += 1;
                    return (Some(connection), discarded);
                }
                discarded += 1;
            }
            (None, discarded)
        });
        let counters = &self.settings.counters;
        counters.idle.fetch_sub(discarded + u64::from(found.is_some()), Relaxed);
        found.map(|connection| {
            counters.in_use.fetch_add(1, Relaxed);
            counters.reused.fetch_add(1, Relaxed);
            Lease { connection, slot: Slot { pool: self.clone(), index } }
        })
    }

    /// A place for a new connection.
    pub(crate) fn reserve(self: &Rc<Self>, index: usize) -> Result<Slot, SendError> {
        let limit = self.settings.max_connections_per_origin;
        let counters = &self.settings.counters;
        let granted = self.with_origin(index, |origin| {
            let free = origin.in_use + origin.idle.len() < limit;
            origin.in_use += usize::from(free);
            free
        });
        if !granted {
            counters.refused.fetch_add(1, Relaxed);
            return Err(SendError::TooManyConnections);
        }
        counters.in_use.fetch_add(1, Relaxed);
        Ok(Slot { pool: self.clone(), index })
    }

    pub(crate) fn count_replay(&self) {
        self.settings.counters.replayed.fetch_add(1, Relaxed);
    }

    fn keep(self: &Rc<Self>, index: usize, mut connection: Connection) {
        connection.idle_since = Instant::now();
        connection.alarm.forget_waiter();
        let limit = self.settings.max_idle_per_origin;
        let surplus = self.with_origin(index, |origin| {
            if origin.idle.len() < limit {
                origin.idle.push(connection);
                None
            } else {
                Some(connection)
            }
        });
        if surplus.is_none() {
            self.settings.counters.idle.fetch_add(1, Relaxed);
            self.start_reaping();
        }
    }

    fn expired(&self) -> impl Fn(&Connection) -> bool + use<> {
        let now = Instant::now();
        let limit = Duration::from_millis(self.settings.idle_timeout_ms);
        move |connection| now.saturating_duration_since(connection.idle_since) >= limit
    }

    /// Closes connections that were idle for too long, for as long as there are any.
    fn start_reaping(self: &Rc<Self>) {
        if self.reaping.replace(true) {
            return;
        }
        let pool = Rc::downgrade(self);
        let pause = Duration::from_millis((self.settings.idle_timeout_ms / 4).clamp(10, 10_000));
        tokio::task::spawn_local(async move {
            loop {
                sleep(pause).await;
                let Some(pool) = Weak::upgrade(&pool) else { return };
                if !pool.reap() {
                    pool.reaping.set(false);
                    return;
                }
            }
        });
    }

    /// Whether idle connections remain.
    fn reap(&self) -> bool {
        let expired = self.expired();
        let mut closed = 0;
        let mut remaining = 0;
        for origin in self.origins.borrow_mut().iter_mut() {
            let before = origin.idle.len();
            origin.idle.retain_mut(|connection| connection.is_ready() && !expired(connection));
            closed += before - origin.idle.len();
            remaining += origin.idle.len();
        }
        self.settings.counters.idle.fetch_sub(closed as u64, Relaxed);
        remaining > 0
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        let idle: usize = self.origins.get_mut().iter().map(|origin| origin.idle.len()).sum();
        self.settings.counters.idle.fetch_sub(idle as u64, Relaxed);
    }
}

/// The right to have one connection in use.
pub(crate) struct Slot {
    pool: Rc<Pool>,
    index: usize,
}

impl Slot {
    pub(crate) fn fill(self, connection: Connection) -> Lease {
        self.pool.settings.counters.opened.fetch_add(1, Relaxed);
        Lease { connection, slot: self }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.pool.with_origin(self.index, |origin| origin.in_use -= 1);
        self.pool.settings.counters.in_use.fetch_sub(1, Relaxed);
    }
}

/// A connection in use. Dropping it closes the connection.
pub(crate) struct Lease {
    pub(crate) connection: Connection,
    slot: Slot,
}

impl Lease {
    /// Gives the connection back after a complete exchange. One that cannot be used again is closed.
    ///
    /// Asking whether it is ready lets the connection take note of the end of the body, so one that is not ready now
    /// never will be, or is still busy writing a request that the provider did not want to read.
    pub(crate) fn finish(self) {
        let Self { mut connection, slot } = self;
        if connection.is_ready() {
            slot.pool.keep(slot.index, connection);
        }
    }
}
