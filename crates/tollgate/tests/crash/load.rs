//! Clients that call without a pause and remember what they received.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use tokio::task::JoinSet;
use tollgate_testkit::{RawClient, RawResponse};

use crate::installation::{Installation, chat};

const CLIENTS: usize = 8;

/// What clients received.
#[derive(Debug, Default)]
pub(crate) struct Received {
    /// Ids of answers that came in full; for a stream, that is its terminator.
    pub(crate) whole: BTreeSet<String>,
    /// Whole answers with another status than 200.
    pub(crate) refusals: Vec<String>,
    /// Calls whose answer did not come, or not in full.
    pub(crate) cut: usize,
}

/// Clients at work, half of them with streams. Each ends when its connection does.
pub(crate) struct Load(JoinSet<Received>);

impl Load {
    pub(crate) fn start(installation: &Installation) -> Self {
        let mut clients = JoinSet::new();
        for number in 0..CLIENTS {
            let authorization = installation.authorization();
            clients.spawn(call_until_cut(installation.tollgate.address, authorization, number % 2 == 0));
        }
        Self(clients)
    }

    /// Waits for the end of all connections.
    pub(crate) async fn received(self) -> Received {
        let mut all = Received::default();
        for received in self.0.join_all().await {
            all.add(received);
        }
        all
    }
}

impl Received {
    pub(crate) fn add(&mut self, other: Self) {
        let expected = self.whole.len() + other.whole.len();
        self.whole.extend(other.whole);
        assert_eq!(self.whole.len(), expected, "a request id was given twice");
        self.refusals.extend(other.refusals);
        self.cut += other.cut;
    }

    pub(crate) fn note(&mut self, response: &RawResponse, stream: bool) {
        if response.status != 200 {
            self.refusals.push(response.text());
        } else if is_whole(response, stream) {
            let id = response.header("x-tollgate-request-id").expect("each answer has its id");
            assert!(self.whole.insert(id.to_owned()), "the request id {id} was given twice");
        } else {
            self.cut += 1;
        }
    }
}

/// A client takes a stream for whole when it has read the terminator, whatever becomes of the framing behind it.
fn is_whole(response: &RawResponse, stream: bool) -> bool {
    if stream { response.body.ends_with(b"data: [DONE]\n\n") } else { response.complete }
}

async fn call_until_cut(address: SocketAddr, authorization: String, stream: bool) -> Received {
    let mut received = Received::default();
    let headers = [("authorization", authorization.as_str())];
    let body = chat(stream);
    let Ok(mut client) = RawClient::connect(address).await else { return received };
    loop {
        match client.post("/v1/chat/completions", &headers, &body).await {
            Ok(response) => {
                received.note(&response, stream);
                if !response.complete {
                    return received;
                }
            }
            Err(_) => {
                received.cut += 1;
                return received;
            }
        }
    }
}
