use std::sync::Arc;
use std::time::Duration;

use rustix::process::{Pid, Resource, Rlimit, prlimit};
use tollgate_core::Dialect;
use tollgate_testkit::{Match, RawResponse, Reply, ScriptedProvider, Signal, canned};

use crate::books::Books;
use crate::installation::{Installation, chat};
use crate::load::Received;
use crate::{MACHINE, PATIENCE};

/// From now on no file of the process can grow beyond this; `None` lifts that.
fn limit_files(installation: &Installation, bytes: Option<u64>) {
    let pid = i32::try_from(installation.tollgate.pid().unwrap()).unwrap();
    let limit = Rlimit { current: bytes, maximum: None };
    prlimit(Pid::from_raw(pid), Resource::Fsize, limit).unwrap();
}

async fn call(installation: &Installation, stream: bool) -> RawResponse {
    let authorization = installation.authorization();
    let mut client = installation.tollgate.connect().await.unwrap();
    client.post("/v1/chat/completions", &[("authorization", &authorization)], chat(stream)).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_room_for_the_journal_calls_are_refused_until_there_is_room_again() {
    let _machine = MACHINE.lock().await;
    let provider = ScriptedProvider::start().await;
    let installation = Installation::start(&provider.url()).await;
    let mut received = Received::default();
    received.note(&call(&installation, false).await, false);

    // A stream is under way while the room goes.
    let go_on = Signal::new();
    let parts = canned::text_stream(Dialect::OpenaiChat).parts;
    let (first, rest) = parts.split_at(3);
    let held = Reply::events(first.iter().cloned()).wait_for(&go_on);
    provider.on(Match::any(), rest.iter().cloned().fold(held, Reply::send));
    let under_way = async { call(&installation, true).await };
    let meanwhile = async {
        provider.wait_for_requests(2).await;
        provider.forget_rules();
        limit_files(&installation, Some(0));
        for number in 0..20 {
            let refused = call(&installation, number % 2 == 0).await;
            assert_eq!(refused.status, 503, "{}", refused.text());
        }
        assert_eq!(provider.requests().len(), 2, "what cannot be accounted for goes to no provider");
        let mut client = installation.tollgate.connect().await.unwrap();
        assert_eq!(client.get("/healthz", &[]).await.unwrap().status, 200);
        assert_eq!(client.get("/readyz", &[]).await.unwrap().status, 503);
        go_on.raise();
    };
    let (streamed, ()) = tokio::join!(under_way, meanwhile);
    assert!(streamed.complete, "{}", streamed.text());
    received.note(&streamed, true);

    limit_files(&installation, None);
    let deadline = tokio::time::Instant::now() + PATIENCE;
    loop {
        let answer = call(&installation, false).await;
        if answer.status == 200 {
            received.note(&answer, false);
            break;
        }
        assert_eq!(answer.status, 503, "{}", answer.text());
        assert!(tokio::time::Instant::now() < deadline, "{}", installation.tollgate.log());
        // The journal tries again in its own time.
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    for number in 0..10 {
        received.note(&call(&installation, number % 2 == 0).await, number % 2 == 0);
    }
    let installation = Arc::new(installation);
    let books = Books::read(&installation, &received.whole).await;
    assert_eq!(books.with_outcome("completed"), received.whole);
    assert_eq!((received.whole.len(), received.cut), (13, 0));
    books.balance(installation).await;
}
