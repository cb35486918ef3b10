//! Scripted servers and what the tests share.

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, Response};
use http_body_util::BodyExt;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio::task::LocalSet;
use tollgate_upstream::{
    Client, ClientSettings, Egress, InboundBody, Origin, OutboundBody, ReadError, SendError, Timeouts,
};

pub(crate) const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

/// Runs a test the way the data plane runs: one thread, tasks that stay on it.
pub(crate) fn run(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    LocalSet::new().block_on(&runtime, async {
        tokio::time::timeout(Duration::from_secs(30), test).await.expect("the test hangs");
    });
}

/// A server that hands each connection, with its number from 0, to a script.
pub(crate) struct Server {
    pub(crate) origin: Arc<Origin>,
    pub(crate) connections: Rc<Cell<usize>>,
    pub(crate) requests: Rc<RefCell<Vec<String>>>,
    /// Rung when a script has ended.
    pub(crate) ended: Rc<Notify>,
}

pub(crate) struct Peer {
    pub(crate) stream: TcpStream,
    pub(crate) number: usize,
    requests: Rc<RefCell<Vec<String>>>,
}

impl Server {
    pub(crate) async fn start<F, S>(script: F) -> Self
    where
        F: Fn(Peer) -> S + 'static,
        S: Future<Output = ()> + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let origin = internal(&format!("http://{}", listener.local_addr().unwrap()));
        let server =
            Self { origin, connections: Rc::default(), requests: Rc::default(), ended: Rc::default() };
        let (connections, requests) = (server.connections.clone(), server.requests.clone());
        let ended = server.ended.clone();
        tokio::task::spawn_local(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let number = connections.replace(connections.get() + 1);
                let peer = Peer { stream, number, requests: requests.clone() };
                let script = script(peer);
                let ended = ended.clone();
                tokio::task::spawn_local(async move {
                    script.await;
                    ended.notify_one();
                });
            }
        });
        server
    }

    /// Answers every request with the same bytes.
    pub(crate) async fn answering(answer: &'static str) -> Self {
        Self::start(move |mut peer| async move {
            while peer.request().await.is_some() {
                peer.write(answer).await;
            }
        })
        .await
    }

    /// Answers one request with these bytes and closes the connection.
    pub(crate) async fn answering_once(answer: impl Into<Vec<u8>>) -> Self {
        let answer: Rc<[u8]> = answer.into().into();
        Self::start(move |mut peer| {
            let answer = answer.clone();
            async move {
                peer.request().await;
                peer.stream.write_all(&answer).await.unwrap();
            }
        })
        .await
    }
}

impl Peer {
    /// The next request with its body, or nothing when the client has closed.
    pub(crate) async fn request(&mut self) -> Option<String> {
        let request = read_request(&mut self.stream).await?;
        self.requests.borrow_mut().push(request.clone());
        Some(request)
    }

    pub(crate) async fn write(&mut self, text: &str) {
        self.stream.write_all(text.as_bytes()).await.unwrap();
    }

    /// Waits until the client has closed or reset the connection.
    pub(crate) async fn closed(&mut self) {
        let mut buffer = [0; 16 * 1024];
        while let Ok(1..) = self.stream.read(&mut buffer).await {}
    }
}

pub(crate) async fn read_request(stream: &mut (impl AsyncRead + Unpin)) -> Option<String> {
    let mut text = String::new();
    let mut buffer = [0; 16 * 1024];
    loop {
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
            if body.len() >= length.map_or(0, |length| length.parse().unwrap()) {
                return Some(text);
            }
        }
        match stream.read(&mut buffer).await {
            Ok(count @ 1..) => text.push_str(std::str::from_utf8(&buffer[..count]).unwrap()),
            _ => return None,
        }
    }
}

pub(crate) fn internal(base_url: &str) -> Arc<Origin> {
    Arc::new(Origin::parse(base_url, Egress::Internal).unwrap())
}

pub(crate) fn settings() -> ClientSettings {
    ClientSettings::new(tollgate_upstream::client_config(None).unwrap())
}

pub(crate) fn client() -> Client {
    Client::new(settings())
}

pub(crate) fn head(method: Method, path: &str) -> http::request::Parts {
    Request::builder().method(method).uri(path).body(()).unwrap().into_parts().0
}

/// Time-outs that do not ring in a test that does not ask for it.
pub(crate) fn patient() -> Timeouts {
    Timeouts::default()
}

pub(crate) async fn get(client: &Client, origin: &Arc<Origin>) -> Result<Response<InboundBody>, SendError> {
    client.send(origin, head(Method::GET, "/"), OutboundBody::empty(), &patient()).await
}

pub(crate) async fn post(
    client: &Client,
    origin: &Arc<Origin>,
    body: impl Into<Bytes>,
) -> Result<Response<InboundBody>, SendError> {
    let body = OutboundBody::from(body.into());
    client.send(origin, head(Method::POST, "/v1/chat"), body, &patient()).await
}

pub(crate) async fn read(response: Response<InboundBody>) -> Result<String, ReadError> {
    let bytes = response.into_body().collect().await?.to_bytes();
    Ok(String::from_utf8(bytes.to_vec()).unwrap())
}

pub(crate) async fn get_text(client: &Client, origin: &Arc<Origin>) -> String {
    read(get(client, origin).await.unwrap()).await.unwrap()
}
