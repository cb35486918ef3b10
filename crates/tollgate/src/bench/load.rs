//! Load: a fixed number of connections that ask again as soon as they are answered, or a fixed rate.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::bail;
use tokio::task::LocalSet;

use super::connection::{Connection, Timing};

/// Connections that share a fixed rate.
const RATE_CONNECTIONS: u32 = 8;

/// What is sent, and how.
#[derive(Debug, Clone)]
pub(super) struct Load {
    pub(super) name: String,
    /// Bytes of the prompt.
    pub(super) prompt_bytes: usize,
    pub(super) stream: bool,
    pub(super) pace: Pace,
}

#[derive(Debug, Clone, Copy)]
pub(super) enum Pace {
    /// So many connections, each busy all the time.
    Closed { connections: usize },
    /// So many requests a second, whatever the answers take.
    Fixed { per_second: u32 },
}

/// Where it goes.
#[derive(Debug, Clone)]
pub(super) struct Destination {
    pub(super) address: SocketAddr,
    pub(super) key: String,
}

/// What came back.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    pub(super) timings: Vec<Timing>,
    pub(super) failures: u64,
    pub(super) last_failure: Option<String>,
}

impl Load {
    /// The request as bytes: the same every time.
    fn request(&self, destination: &Destination) -> Vec<u8> {
        let body = serde_json::json!({
            "model": super::seed::MODEL,
            "stream": self.stream,
            "max_tokens": 1_000,
            "messages": [{"role": "user", "content": "x".repeat(self.prompt_bytes)}],
        });
        let body = body.to_string();
        let mut request = format!(
            "POST /v1/chat/completions HTTP/1.1\r\nhost: bench\r\nauthorization: Bearer {}\r\n\
             content-type: application/json\r\ncontent-length: {}\r\n\r\n",
            destination.key,
            body.len()
        )
        .into_bytes();
        request.extend_from_slice(body.as_bytes());
        request
    }

    /// Runs for that long on this thread.
    pub(super) fn run(&self, destination: &Destination, duration: Duration) -> anyhow::Result<Outcome> {
        let request: Arc<[u8]> = self.request(destination).into();
        let end = Instant::now() + duration;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let local = LocalSet::new();
        let outcome = local.block_on(&runtime, async {
            let mut clients = Vec::new();
            let address = destination.address;
            match self.pace {
                Pace::Closed { connections } => {
                    for _ in 0..connections {
                        clients.push(tokio::task::spawn_local(closed(address, Arc::clone(&request), end)));
                    }
                }
                Pace::Fixed { per_second } => {
                    let every = Duration::from_secs(1) * RATE_CONNECTIONS / per_second.max(1);
                    for number in 0..RATE_CONNECTIONS {
                        let first = Instant::now() + every * number / RATE_CONNECTIONS;
                        clients.push(tokio::task::spawn_local(paced(
                            address,
                            Arc::clone(&request),
                            first,
                            every,
                            end,
                        )));
                    }
                }
            }
            let mut all = Outcome::default();
            for client in clients {
                all.add(client.await?);
            }
            anyhow::Ok(all)
        })?;
        if let (true, Some(failure)) = (outcome.timings.is_empty(), &outcome.last_failure) {
            bail!("no request of `{}` to {} was answered: {failure}", self.name, destination.address);
        }
        Ok(outcome)
    }
}

impl Outcome {
    fn add(&mut self, other: Self) {
        self.timings.extend(other.timings);
        self.failures += other.failures;
        self.last_failure = self.last_failure.take().or(other.last_failure);
    }

    async fn ask(
        &mut self,
        connection: &mut Option<Connection>,
        address: SocketAddr,
        request: &[u8],
        at: Instant,
    ) {
        let asked = async {
            if connection.is_none() {
                *connection = Some(Connection::open(address).await?);
            }
            match connection {
                Some(open) => open.exchange(request, at).await,
                None => Err(std::io::ErrorKind::NotConnected.into()),
            }
        };
        match asked.await {
            Ok(timing) => self.timings.push(timing),
            Err(error) => {
                self.failures += 1;
                self.last_failure = Some(error.to_string());
                *connection = None;
                tokio::task::yield_now().await;
            }
        }
    }
}

async fn closed(address: SocketAddr, request: Arc<[u8]>, end: Instant) -> Outcome {
    let (mut outcome, mut connection) = (Outcome::default(), None);
    while Instant::now() < end {
        outcome.ask(&mut connection, address, &request, Instant::now()).await;
    }
    outcome
}

async fn paced(
    address: SocketAddr,
    request: Arc<[u8]>,
    first: Instant,
    every: Duration,
    end: Instant,
) -> Outcome {
    let (mut outcome, mut connection) = (Outcome::default(), None);
    let mut next = first;
    while next < end {
        tokio::time::sleep_until(next.into()).await;
        // Not the planned moment: timers of this thread are late by up to a millisecond.
        outcome.ask(&mut connection, address, &request, Instant::now()).await;
        next += every;
    }
    outcome
}
