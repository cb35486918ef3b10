use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use tokio::{net::TcpListener, sync::watch, task::JoinHandle};

use super::{
    connection, defaults,
    matching::{Behaviour, Match, Rule},
    named,
    recorded::RecordedRequest,
    reply::Reply,
};

/// How long the waiting functions wait before they fail the test.
const PATIENCE: Duration = Duration::from_secs(20);

/// A provider under a test's control. It listens on a free loopback port until it is dropped.
///
/// Without rules it answers like a well-behaved provider (see [`crate::canned`]). A rule added later goes before an
/// earlier one. A request whose `x-script` header or model starts with `script:` chooses its own script.
#[derive(Debug)]
pub struct ScriptedProvider {
    address: SocketAddr,
    shared: Arc<Shared>,
    accepting: JoinHandle<()>,
}

/// What the accept loop, the connections and the test share.
#[derive(Debug)]
pub(super) struct Shared {
    rules: Mutex<Vec<Rule>>,
    state: watch::Sender<State>,
    named_uses: Mutex<HashMap<String, usize>>,
}

#[derive(Debug, Default)]
struct State {
    requests: Vec<RecordedRequest>,
    connections: usize,
    open_connections: usize,
}

impl ScriptedProvider {
    pub async fn start() -> Self {
        Self::start_on(SocketAddr::from(([127, 0, 0, 1], 0))).await
    }

    pub async fn start_on(address: SocketAddr) -> Self {
        let listener = TcpListener::bind(address).await.expect("the scripted provider needs its address");
        let address = listener.local_addr().expect("a bound listener has an address");
        let shared = Arc::new(Shared {
            rules: Mutex::default(),
            state: watch::Sender::new(State::default()),
            named_uses: Mutex::default(),
        });
        let accepting = tokio::spawn(connection::accept(listener, Arc::clone(&shared)));
        Self { address, shared, accepting }
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// `http://127.0.0.1:PORT`, without a path.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Answers the requests that match.
    pub fn on(&self, matcher: Match, behaviour: impl Into<Behaviour>) -> &Self {
        locked(&self.shared.rules).push(Rule::new(matcher, behaviour.into()));
        self
    }

    /// Forgets all rules: the provider behaves again.
    pub fn forget_rules(&self) {
        locked(&self.shared.rules).clear();
    }

    /// What was received until now, oldest first.
    pub fn requests(&self) -> Vec<RecordedRequest> {
        self.shared.state.borrow().requests.clone()
    }

    /// The latest request; fails the test if there is none.
    pub fn last_request(&self) -> RecordedRequest {
        self.shared.state.borrow().requests.last().cloned().expect("the provider has received no request")
    }

    /// Connections accepted until now.
    pub fn connections(&self) -> usize {
        self.shared.state.borrow().connections
    }

    /// Connections that neither side has closed.
    pub fn open_connections(&self) -> usize {
        self.shared.state.borrow().open_connections
    }

    /// Waits until `count` requests have been received, and returns them all.
    pub async fn wait_for_requests(&self, count: usize) -> Vec<RecordedRequest> {
        self.wait_until("as many requests as expected", |state| state.requests.len() >= count).await;
        self.requests()
    }

    /// Waits until the peer has closed the connection of that request before its answer was complete.
    pub async fn wait_for_peer_close(&self, number: usize) -> Instant {
        let closed = |state: &State| state.requests.get(number).and_then(|request| request.peer_closed_at);
        self.wait_until("that the peer closes", |state| closed(state).is_some()).await;
        closed(&self.shared.state.borrow()).expect("the wait has seen the moment of closing")
    }

    /// Waits until that request's script has run to its end.
    pub async fn wait_for_answer(&self, number: usize) -> RecordedRequest {
        let answered =
            |state: &State| state.requests.get(number).is_some_and(|have| have.answered_at.is_some());
        self.wait_until("that the answer is sent", answered).await;
        self.shared.state.borrow().requests.get(number).cloned().expect("the wait has seen the request")
    }

    /// Waits until at most `count` connections are open.
    pub async fn wait_for_open_connections(&self, count: usize) {
        self.wait_until("that connections close", |state| state.open_connections <= count).await;
    }

    async fn wait_until(&self, what: &str, holds: impl Fn(&State) -> bool) {
        let mut changes = self.shared.state.subscribe();
        if tokio::time::timeout(PATIENCE, changes.wait_for(|state| holds(state))).await.is_err() {
            panic!("waited {PATIENCE:?} for {what}; received: {:#?}", self.requests());
        }
    }
}

impl Drop for ScriptedProvider {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

impl Shared {
    pub(super) fn connection_opened(&self) -> usize {
        let mut number = 0;
        self.state.send_modify(|state| {
            number = state.connections;
            state.connections += 1;
            state.open_connections += 1;
        });
        number
    }

    pub(super) fn connection_closed(&self) {
        self.state.send_modify(|state| state.open_connections -= 1);
    }

    pub(super) fn record(&self, mut request: RecordedRequest) -> RecordedRequest {
        self.state.send_modify(|state| {
            request.number = state.requests.len();
            state.requests.push(request.clone());
        });
        request
    }

    pub(super) fn change(&self, number: usize, change: impl FnOnce(&mut RecordedRequest)) {
        self.state.send_modify(|state| {
            if let Some(request) = state.requests.get_mut(number) {
                change(request);
            }
        });
    }

    /// The newest rule that matches, else the script that the request names, else good behaviour.
    pub(super) fn reply(&self, request: &RecordedRequest) -> Reply {
        if let Some(reply) = locked(&self.rules).iter().rev().find_map(|rule| rule.reply(request)) {
            return reply;
        }
        match named::script_name(request) {
            Some(name) => {
                let used_before = {
                    let mut uses = locked(&self.named_uses);
                    let used = uses.entry(name.clone()).or_default();
                    *used += 1;
                    *used - 1
                };
                named::reply(&name, used_before, request)
            }
            None => defaults::reply(request),
        }
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
