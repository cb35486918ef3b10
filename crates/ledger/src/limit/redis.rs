//! The authority that processes share, in Redis or Valkey: one script per decision, in the server's time.
//!
//! Never the truth about money. While the server does not answer, each process keeps its part of the limits; it is
//! tried again about every second. What was admitted meanwhile is not told to the server, so coming back may admit one
//! burst more.

use std::any::Any;
use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use ::redis::aio::MultiplexedConnection;
use ::redis::{AsyncConnectionConfig, Client, RedisError, RedisResult, Script};
use parking_lot::Mutex;
use tokio::runtime::Handle;
use tokio::sync::Notify;
use tokio::time::{sleep, timeout};
use uuid::Uuid;

use super::shared::{
    SharedAnswer, SharedCorrection, SharedCost, SharedDecision, SharedLimiter, SharedRefusal, SharedStanding,
    SharedWant, Unreachable,
};

/// How long the server may take to answer, where nobody says otherwise.
pub const DEFAULT_RESPONSE_TIMEOUT: Duration = Duration::from_millis(50);
/// How long the runtime that speaks to it may take besides.
const HAND_OVER_TIMEOUT: Duration = Duration::from_millis(20);
const CONNECT_TIMEOUT: Duration = Duration::from_millis(500);
const PROBE_EVERY_MS: u64 = 1_000;
const PROBE_JITTER_MS: u64 = 250;
const LEASE: Duration = Duration::from_secs(30);
const RENEW_EVERY: Duration = Duration::from_secs(10);

/// A [`SharedLimiter`] over one connection, which lives on the runtime that it was started on.
pub struct RedisLimiter {
    runtime: Handle,
    inner: Arc<Inner>,
}

/// The address of the server cannot be understood.
#[derive(Debug, thiserror::Error)]
#[error("the Redis URL is wrong: {0}; expected redis://[user:password@]host[:port][/database] or rediss://…")]
pub struct BadRedisUrl(#[source] RedisError);

struct Inner {
    client: Client,
    response_timeout: Duration,
    connection: Mutex<Option<MultiplexedConnection>>,
    reachable: AtomicBool,
    failed: Notify,
    /// Counts by lease. What is not here is not renewed, and ends by itself.
    leases: Mutex<HashMap<Uuid, Vec<String>>>,
    decide: Script,
    correct: Script,
    renew: Script,
}

/// Gives back what is held at the same time.
struct Lease {
    id: Uuid,
    runtime: Handle,
    inner: Arc<Inner>,
}

impl fmt::Debug for RedisLimiter {
    /// Not the address: it may hold a password.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("RedisLimiter")
            .field("reachable", &self.is_reachable())
            .finish_non_exhaustive()
    }
}

impl RedisLimiter {
    /// Connects in the background, on `runtime`, for as long as this exists. The server need not be there yet. One that
    /// takes longer than `response_timeout` to answer counts as gone.
    pub fn start(url: &str, runtime: Handle, response_timeout: Duration) -> Result<Self, BadRedisUrl> {
        let inner = Arc::new(Inner {
            client: Client::open(url).map_err(BadRedisUrl)?,
            response_timeout,
            connection: Mutex::default(),
            reachable: AtomicBool::new(false),
            failed: Notify::new(),
            leases: Mutex::default(),
            decide: Script::new(include_str!("redis/decide.lua")),
            correct: Script::new(include_str!("redis/correct.lua")),
            renew: Script::new(include_str!("redis/renew.lua")),
        });
        runtime.spawn(supervise(Arc::downgrade(&inner)));
        Ok(Self { runtime, inner })
    }
}

impl Drop for RedisLimiter {
    fn drop(&mut self) {
        self.inner.failed.notify_one();
    }
}

impl SharedLimiter for RedisLimiter {
    fn is_reachable(&self) -> bool {
        self.inner.reachable.load(Ordering::Acquire)
    }

    fn decide(&self, wants: Vec<SharedWant>) -> SharedAnswer {
        let (inner, runtime) = (Arc::clone(&self.inner), self.runtime.clone());
        let patience = inner.response_timeout + HAND_OVER_TIMEOUT;
        // Finished even if the caller leaves: the decision, dropped then, gives back its lease.
        let decision = self.runtime.spawn(async move { inner.decide(&wants, runtime).await });
        Box::pin(async move {
            match timeout(patience, decision).await {
                Ok(Ok(decision)) => decision,
                _ => Err(Unreachable),
            }
        })
    }

    fn correct(&self, correction: SharedCorrection) {
        let inner = Arc::clone(&self.inner);
        self.runtime.spawn(async move {
            let mut call = inner.correct.key(&correction.key);
            call.arg(correction.difference_us).arg(correction.tolerance_us).arg(correction.furthest_us);
            if let Some(mut connection) = inner.connection() {
                inner.heard(call.invoke_async::<i64>(&mut connection).await);
            }
        });
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let Some(keys) = self.inner.leases.lock().remove(&self.id) else { return };
        let (inner, id) = (Arc::clone(&self.inner), self.id);
        // Where this is lost, the lease ends because nobody renews it.
        self.runtime.spawn(async move {
            let Some(mut connection) = inner.connection() else { return };
            for key in keys {
                let mut remove = ::redis::cmd("ZREM");
                remove.arg(key).arg(id.simple().to_string());
                inner.heard(remove.query_async::<i64>(&mut connection).await);
            }
        });
    }
}

impl Inner {
    fn connection(&self) -> Option<MultiplexedConnection> {
        self.connection.lock().clone()
    }

    /// After any failure the server counts as gone until it was probed.
    fn heard<T>(&self, answer: RedisResult<T>) -> Option<T> {
        answer
            .inspect_err(|error| {
                if self.reachable.swap(false, Ordering::AcqRel) {
                    tracing::warn!(%error, "Redis does not decide limits; each process keeps its part");
                }
                self.failed.notify_one();
            })
            .ok()
    }

    async fn decide(
        self: Arc<Self>,
        wants: &[SharedWant],
        runtime: Handle,
    ) -> Result<SharedDecision, Unreachable> {
        let mut connection = self.connection().ok_or(Unreachable)?;
        let id = Uuid::now_v7();
        let permits = wants.iter().filter(|want| matches!(want.cost, SharedCost::Permit { .. }));
        let keys: Vec<String> = permits.map(|want| want.key.clone()).collect();
        // From before it is asked for: an answer that is lost may have been a yes.
        let held: Option<Box<dyn Any + Send + Sync>> = Some(if keys.is_empty() {
            Box::new(())
        } else {
            self.leases.lock().insert(id, keys);
            Box::new(Lease { id, runtime, inner: Arc::clone(&self) })
        });
        let call = self.invocation(id, wants);
        let answer = self.heard(call.invoke_async::<Vec<i64>>(&mut connection).await).ok_or(Unreachable)?;
        let [admitted, pairs @ ..] = answer.as_slice() else { return Err(Unreachable) };
        let (pairs, _) = pairs.as_chunks::<2>();
        if pairs.len() != wants.len() {
            return Err(Unreachable);
        }
        let standing = |[ahead_us, wait_us]: &[i64; 2]| SharedStanding {
            ahead_us: *ahead_us,
            refusal: match *wait_us {
                0 => None,
                -1 => Some(SharedRefusal::Busy),
                wait_us => Some(SharedRefusal::WaitUs(wait_us)),
            },
        };
        let standings = pairs.iter().map(standing).collect();
        Ok(SharedDecision { standings, held: held.filter(|_| *admitted == 1) })
    }

    fn invocation(&self, lease: Uuid, wants: &[SharedWant]) -> ::redis::ScriptInvocation<'_> {
        let mut call = self.decide.prepare_invoke();
        call.arg(lease.simple().to_string()).arg(micros(LEASE));
        for want in wants {
            call.key(&want.key);
            match want.cost {
                SharedCost::Rate { slice_us, tolerance_us, needs_idle, furthest_us } => {
                    call.arg("rate").arg(slice_us).arg(tolerance_us);
                    call.arg(i64::from(needs_idle)).arg(furthest_us);
                }
                SharedCost::Permit { amount } => {
                    call.arg("permit").arg(amount).arg("").arg("").arg("");
                }
            }
        }
        call
    }

    /// Connects and tries the script, which also loads it.
    async fn probe(&self) -> RedisResult<MultiplexedConnection> {
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(CONNECT_TIMEOUT))
            .set_response_timeout(Some(self.response_timeout));
        let mut connection = self.client.get_multiplexed_async_connection_with_config(&config).await?;
        let _: Vec<i64> = self.invocation(Uuid::nil(), &[]).invoke_async(&mut connection).await?;
        Ok(connection)
    }

    async fn renew(&self) {
        let mut by_key: HashMap<String, Vec<String>> = HashMap::new();
        for (id, keys) in self.leases.lock().iter() {
            for key in keys {
                by_key.entry(key.clone()).or_default().push(id.simple().to_string());
            }
        }
        for (key, ids) in by_key {
            let Some(mut connection) = self.connection() else { return };
            let mut call = self.renew.key(key);
            call.arg(micros(LEASE)).arg(ids);
            if self.heard(call.invoke_async::<i64>(&mut connection).await).is_none() {
                return;
            }
        }
    }
}

/// Connects, renews leases, and connects again, until nobody needs the limiter any more.
async fn supervise(limiter: Weak<Inner>) {
    loop {
        let Some(inner) = limiter.upgrade() else { return };
        if inner.reachable.load(Ordering::Acquire) {
            inner.renew().await;
            let failed = timeout(RENEW_EVERY, inner.failed.notified());
            let _ = failed.await;
            continue;
        }
        match inner.probe().await {
            Ok(connection) => {
                *inner.connection.lock() = Some(connection);
                inner.reachable.store(true, Ordering::Release);
                tracing::info!("Redis decides limits with exact sharing");
            }
            Err(error) => {
                tracing::debug!(%error, "Redis does not answer");
                *inner.connection.lock() = None;
                drop(inner);
                // Processes that lost the server together do not come back together.
                let jitter_ms = u64::from(Uuid::now_v7().as_fields().3[7]) * 2 * PROBE_JITTER_MS / 255;
                sleep(Duration::from_millis(PROBE_EVERY_MS - PROBE_JITTER_MS + jitter_ms)).await;
            }
        }
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
