use std::sync::Arc;

use tollgate_core::Dialect;
use tollgate_testkit::{Match, Reply, ScriptedProvider, Signal, TollgateProcess, canned};

use crate::books::Books;
use crate::installation::{Installation, chat};
use crate::load::{Load, Received};
use crate::{MACHINE, PATIENCE};

const HELD_STREAMS: usize = 4;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_under_load_is_announced_at_once_and_loses_nothing() {
    let _machine = MACHINE.lock().await;
    let provider = ScriptedProvider::start().await;
    let mut installation = Installation::start(&provider.url()).await;
    let go_on = Signal::new();
    let parts = canned::text_stream(Dialect::OpenaiChat).parts;
    let (first, rest) = parts.split_at(3);
    let held = Reply::events(first.iter().cloned()).wait_for(&go_on);
    let held = rest.iter().cloned().fold(held, Reply::send);
    provider.on(Match::any(), held);

    let mut streams = Vec::new();
    for _ in 0..HELD_STREAMS {
        streams.push(open_stream(&installation).await);
    }
    provider.wait_for_requests(HELD_STREAMS).await;
    provider.forget_rules();
    let mut probe = installation.tollgate.connect().await.unwrap();
    assert_eq!(probe.get("/readyz", &[]).await.unwrap().status, 200);
    let load = Load::start(&installation);
    provider.wait_for_requests(HELD_STREAMS + 100).await;

    installation.tollgate.signal("TERM").await.unwrap();
    logged(&installation.tollgate, "shutting down").await;
    // Whoever asks is told no, or finds nobody: never yes.
    if let Ok(answer) = probe.get("/readyz", &[]).await {
        assert_eq!(answer.status, 503, "{}", answer.text());
    }
    if let Ok(mut client) = installation.tollgate.connect().await
        && let Ok(answer) = client.get("/readyz", &[]).await
    {
        assert_eq!(answer.status, 503, "{}", answer.text());
    }
    let mut received = load.received().await;
    go_on.raise();
    for mut stream in streams {
        let response = stream.response().await.unwrap();
        assert!(response.complete, "{}", response.text());
        received.note(&response, true);
    }
    let ended = installation.tollgate.wait(PATIENCE).await.unwrap();
    assert_eq!(ended.code(), Some(0), "{}", installation.tollgate.log());
    assert!(received.refusals.is_empty(), "{:?}", received.refusals);
    assert!(received.whole.len() >= HELD_STREAMS + 100);

    installation.tollgate.restart().await.unwrap();
    balanced(installation, &received).await;
}

/// Sends the call of a stream; the answer is left to be read.
async fn open_stream(installation: &Installation) -> tollgate_testkit::RawClient {
    let (body, authorization) = (chat(true), installation.authorization());
    let head = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: test\r\nauthorization: {authorization}\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    let mut client = installation.tollgate.connect().await.unwrap();
    client.send(&[head.as_bytes(), body.as_bytes()].concat()).await.unwrap();
    client
}

/// The process takes a signal in its own time and says so in its log.
async fn logged(tollgate: &TollgateProcess, words: &str) {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    while !tollgate.log().contains(words) {
        assert!(tokio::time::Instant::now() < deadline, "{}", tollgate.log());
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
}

async fn balanced(installation: Installation, received: &Received) {
    let installation = Arc::new(installation);
    let books = Books::read(&installation, &received.whole).await;
    assert_eq!(books.with_outcome("completed"), received.whole);
    assert_eq!(books.requests.len(), received.whole.len());
    books.balance(installation).await;
}
