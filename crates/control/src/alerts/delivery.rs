//! Delivering alerts: claimed from the store, posted, and tried again for about a day.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::join_all;
use http::header::{CONTENT_TYPE, HeaderName, USER_AGENT};
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use serde_json::Value;
use tollgate_core::{Clock, UnixMicros};
use tollgate_store::{DeliveryOutcome, DueDelivery, StoredWebhook};
use tollgate_upstream::{OneShot, Timeouts, fetch};

use super::payload::{message, payload, test_payload};
use super::schedule::next_attempt;
use super::signature::Signer;
use super::target::Target;
use crate::connection::{Connection, Installation, OpenError};

/// How often the store is asked for what is due.
const POLL_INTERVAL: Duration = Duration::from_secs(2);
/// How many are delivered at the same time.
const AT_ONCE: u32 = 16;
const LOGGED_AT_ONCE: u32 = 100;
/// How long a receiver has. Another process takes over what was not finished after [`HOLD`].
const PATIENCE: Duration = Duration::from_secs(15);
const HOLD: Duration = Duration::from_secs(60);
/// What a receiver answers is only read to see the end.
const MAX_ANSWER_BYTES: usize = 64 * 1024;

const WEBHOOK_ID: HeaderName = HeaderName::from_static("webhook-id");
const WEBHOOK_TIMESTAMP: HeaderName = HeaderName::from_static("webhook-timestamp");
const WEBHOOK_SIGNATURE: HeaderName = HeaderName::from_static("webhook-signature");

/// Why a receiver did not take an event.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) status: Option<StatusCode>,
    pub(crate) reason: String,
}

impl Failure {
    fn of(reason: impl ToString) -> Self {
        Self { status: None, reason: reason.to_string() }
    }

    /// The client that providers are called with says so; here it called a receiver.
    fn of_connection(error: impl ToString) -> Self {
        Self::of(error.to_string().replace("the provider", "the receiver"))
    }
}

/// What became of deliveries since the process began.
#[derive(Debug, Default)]
pub struct DeliveryCounts {
    delivered: AtomicU64,
    failed: AtomicU64,
    given_up: AtomicU64,
    alerts: AtomicU64,
}

impl DeliveryCounts {
    /// Events that receivers took.
    pub fn delivered(&self) -> u64 {
        self.delivered.load(Ordering::Relaxed)
    }

    /// Attempts that failed, those that are tried again among them.
    pub fn failed(&self) -> u64 {
        self.failed.load(Ordering::Relaxed)
    }

    /// Events that were given up after the last attempt.
    pub fn given_up(&self) -> u64 {
        self.given_up.load(Ordering::Relaxed)
    }

    /// Alerts that this process wrote to its log.
    pub fn alerts(&self) -> u64 {
        self.alerts.load(Ordering::Relaxed)
    }
}

/// Delivers on the control plane's runtime.
pub(crate) struct Deliverer {
    pub(crate) connection: Arc<Connection>,
    pub(crate) tls: Arc<rustls::ClientConfig>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) counts: Arc<DeliveryCounts>,
}

impl Deliverer {
    /// Until it is dropped.
    pub(crate) async fn run(&self) {
        let mut interval = tokio::time::interval(POLL_INTERVAL);
        interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            interval.tick().await;
            // A store that is down has nothing to tell; who watches it is the publisher.
            if let Err(error) = self.deliver_due().await {
                tracing::debug!(%error, "alerts cannot be delivered now");
            }
        }
    }

    /// Writes new alerts to the log and delivers what is due; says how many deliveries were tried.
    pub(crate) async fn deliver_due(&self) -> Result<usize, OpenError> {
        let installation = self.connection.open().await?;
        for alert in installation.store.system_claim_alerts_to_log(LOGGED_AT_ONCE).await? {
            self.counts.alerts.fetch_add(1, Ordering::Relaxed);
            tracing::warn!(alert_id = %alert.id, event = ?alert.event, "{}", message(&alert));
        }
        let due = installation.store.system_claim_deliveries(AT_ONCE, HOLD).await?;
        let tried = due.len();
        for finished in join_all(due.into_iter().map(|one| self.deliver(installation, one))).await {
            finished?;
        }
        Ok(tried)
    }

    async fn deliver(&self, installation: &Installation, due: DueDelivery) -> Result<(), OpenError> {
        let DueDelivery { alert, webhook, attempts } = due;
        let now = self.clock.now();
        let sent =
            send(installation, &self.tls, &webhook, &alert.id.to_string(), &payload(&alert), now).await;
        let outcome = match sent {
            Ok(_) => {
                self.counts.delivered.fetch_add(1, Ordering::Relaxed);
                DeliveryOutcome::Delivered
            }
            Err(Failure { reason, .. }) => {
                self.counts.failed.fetch_add(1, Ordering::Relaxed);
                match next_attempt(self.clock.now(), attempts, random()) {
                    Some(at) => DeliveryOutcome::Retry { at, error: reason },
                    None => {
                        self.counts.given_up.fetch_add(1, Ordering::Relaxed);
                        tracing::error!(webhook = webhook.name, alert_id = %alert.id, reason, "an alert was not delivered");
                        DeliveryOutcome::GivenUp { error: reason }
                    }
                }
            }
        };
        Ok(installation.store.system_finish_delivery(alert.id, webhook.id, &outcome).await?)
    }
}

/// Without randomness everybody waits equally long, which is only less polite.
fn random() -> u32 {
    let mut bytes = [0; 4];
    if getrandom::fill(&mut bytes).is_err() {
        return u32::MAX;
    }
    u32::from_ne_bytes(bytes)
}

/// Sends an event that is no alert, once.
pub(crate) async fn send_test(
    installation: &Installation,
    tls: &Arc<rustls::ClientConfig>,
    webhook: &StoredWebhook,
    now: UnixMicros,
) -> Result<StatusCode, Failure> {
    let id = format!("test_{}", now.0);
    send(installation, tls, webhook, &id, &test_payload(&webhook.name, now), now).await
}

async fn send(
    installation: &Installation,
    tls: &Arc<rustls::ClientConfig>,
    webhook: &StoredWebhook,
    id: &str,
    payload: &Value,
    now: UnixMicros,
) -> Result<StatusCode, Failure> {
    let secret =
        webhook.sealed_secret.as_ref().ok_or_else(|| Failure::of("it has no secret; give it one"))?;
    let secret = installation.open_webhook_secret(webhook.organization_id, webhook.id, secret);
    let signer = Signer::new(&secret.map_err(Failure::of)?).map_err(Failure::of_connection)?;
    let target = Target::parse(&webhook.url, webhook.internal).map_err(Failure::of)?;
    let body = Bytes::from(payload.to_string());
    let call = OneShot {
        origin: Arc::new(target.origin),
        tls: Arc::clone(tls),
        method: Method::POST,
        path: target.path,
        headers: headers(&signer, id, now, &body)?,
        body,
        timeouts: Timeouts::default(),
        max_response_bytes: MAX_ANSWER_BYTES,
    };
    let answered = tokio::time::timeout(PATIENCE, fetch(call)).await;
    let answer = answered.map_err(|_| Failure::of("it did not answer in time"))?.map_err(Failure::of)?;
    if answer.status.is_success() {
        return Ok(answer.status);
    }
    // Redirects are not followed: they would lead around what an administrator allowed.
    Err(Failure { status: Some(answer.status), reason: format!("it answered {}", answer.status) })
}

fn headers(signer: &Signer, id: &str, now: UnixMicros, body: &[u8]) -> Result<HeaderMap, Failure> {
    let timestamp_s = now.as_secs();
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(USER_AGENT, HeaderValue::from_static("Tollgate"));
    headers.insert(WEBHOOK_TIMESTAMP, HeaderValue::from(timestamp_s));
    for (name, value) in [(WEBHOOK_ID, id), (WEBHOOK_SIGNATURE, &signer.sign(id, timestamp_s, body))] {
        headers.insert(name, HeaderValue::try_from(value).map_err(Failure::of)?);
    }
    Ok(headers)
}
