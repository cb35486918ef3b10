use std::sync::Mutex;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;

use super::*;
use crate::call::tests::finished_call;
use crate::call::{CallSink, FinishedCall};
use crate::trace_context::Sampler;

fn settings() -> ExporterSettings {
    ExporterSettings {
        convention: Convention::Established,
        resource: vec![("service.name".to_owned(), "tollgate".to_owned())],
    }
}

fn decode(body: &[u8]) -> (Resource, Vec<Span>) {
    let mut request = ExportTraceServiceRequest::decode(body).unwrap();
    let mut of_resource = request.resource_spans.remove(0);
    let spans = of_resource.scope_spans.remove(0).spans;
    (of_resource.resource.unwrap(), spans)
}

/// Answers what the script says, then takes everything.
#[derive(Default)]
struct Scripted {
    script: Mutex<Vec<SinkError>>,
    taken: Mutex<Vec<usize>>,
}

impl SpanSink for Scripted {
    fn send(&self, body: Bytes) -> Sending<'_> {
        let answer = self.script.lock().unwrap().pop();
        if answer.is_none() {
            self.taken.lock().unwrap().push(decode(&body).1.len());
        }
        Box::pin(async move { answer.map_or(Ok(()), Err) })
    }
}

/// Exports `calls` calls of three spans each through a sink that first answers `script`, last entry first.
async fn export(calls: usize, script: Vec<SinkError>) -> (Vec<usize>, u64, u64) {
    let counters = Arc::<CallCounters>::default();
    let (sink, receiver) = CallSink::new(Arc::clone(&counters)).with_traces(Sampler::new(1.0), calls);
    for _ in 0..calls {
        sink.send(finished_call(), true);
    }
    drop(sink);
    let scripted = Arc::new(Scripted { script: Mutex::new(script), ..Scripted::default() });
    let exporter = Exporter::new(settings(), scripted.clone(), Arc::clone(&counters));
    exporter.run(receiver, std::future::pending()).await;
    let taken = scripted.taken.lock().unwrap().clone();
    let read = |counter: &std::sync::atomic::AtomicU64| counter.load(Ordering::Relaxed);
    (taken, read(&counters.spans_exported), read(&counters.spans_dropped))
}

#[tokio::test(start_paused = true)]
async fn batches_are_bounded_and_complete() {
    let (taken, exported, dropped) = export(400, Vec::new()).await;
    assert_eq!((taken.iter().sum::<usize>(), exported, dropped), (1_200, 1_200, 0));
    assert!(taken.iter().all(|spans| *spans <= MAX_BATCH_SPANS), "{taken:?}");
}

#[tokio::test(start_paused = true)]
async fn a_temporary_failure_is_repeated_and_a_permanent_one_is_not() {
    let temporary = SinkError::from_status(503).unwrap();
    assert_eq!(export(1, vec![temporary.clone(); 4]).await, (vec![3], 3, 0));
    assert_eq!(export(1, vec![temporary; 5]).await, (vec![], 0, 3));
    let permanent = SinkError::from_status(400).unwrap();
    assert_eq!(export(1, vec![permanent]).await, (vec![], 0, 3));
    assert_eq!(SinkError::from_status(202), None);
}

#[tokio::test(start_paused = true)]
async fn a_batch_does_not_wait_for_more_than_its_age_and_a_stop_takes_the_rest_along() {
    let counters = Arc::<CallCounters>::default();
    let (sink, receiver) = CallSink::new(Arc::clone(&counters)).with_traces(Sampler::new(1.0), 8);
    let scripted = Arc::<Scripted>::default();
    let exporter = Exporter::new(settings(), scripted.clone(), counters);
    let (stop, stopped) = oneshot::channel::<()>();
    let running = tokio::spawn(exporter.run(receiver, async move {
        let _ = stopped.await;
    }));
    sink.send(finished_call(), true);
    sleep(MAX_BATCH_AGE + Duration::from_millis(1)).await;
    assert_eq!(*scripted.taken.lock().unwrap(), [3]);
    sink.send(finished_call(), true);
    stop.send(()).unwrap();
    running.await.unwrap();
    assert_eq!(*scripted.taken.lock().unwrap(), [3, 3]);
}

/// Posts as the binary does, over a connection of the test's own.
struct Posting(std::net::SocketAddr);

impl SpanSink for Posting {
    fn send(&self, body: Bytes) -> Sending<'_> {
        Box::pin(async move {
            let temporary = |error: std::io::Error| SinkError::Temporary(error.to_string());
            let mut connection = TcpStream::connect(self.0).await.map_err(temporary)?;
            let head = format!(
                "POST {TRACES_PATH} HTTP/1.1\r\nhost: collector\r\ncontent-type: {CONTENT_TYPE}\r\n\
                 content-length: {}\r\n\r\n",
                body.len()
            );
            connection.write_all(head.as_bytes()).await.map_err(temporary)?;
            connection.write_all(&body).await.map_err(temporary)?;
            let mut answer = [0; 12];
            connection.read_exact(&mut answer).await.map_err(temporary)?;
            let status = std::str::from_utf8(&answer[9..]).unwrap().parse().unwrap();
            SinkError::from_status(status).map_or(Ok(()), Err)
        })
    }
}

/// Reads one request and answers 200; returns its head and body.
async fn collect_one(listener: TcpListener) -> (String, Vec<u8>) {
    let (mut connection, _) = listener.accept().await.unwrap();
    let mut received = Vec::new();
    loop {
        let mut piece = [0; 4_096];
        let read = connection.read(&mut piece).await.unwrap();
        received.extend_from_slice(&piece[..read]);
        let Some(end) = received.windows(4).position(|four| four == b"\r\n\r\n") else { continue };
        let head = String::from_utf8(received[..end].to_vec()).unwrap();
        let length: usize = head.rsplit_once("content-length: ").unwrap().1.parse().unwrap();
        let body = received[end + 4..].to_vec();
        if body.len() == length {
            connection.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await.unwrap();
            return (head, body);
        }
    }
}

#[tokio::test]
async fn a_collector_receives_what_the_data_plane_left() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let sink = Arc::new(Posting(listener.local_addr().unwrap()));
    let collector = tokio::spawn(collect_one(listener));
    let counters = Arc::<CallCounters>::default();
    let (calls, receiver) = CallSink::new(Arc::clone(&counters)).with_traces(Sampler::new(1.0), 8);
    let call = FinishedCall { model: "fast\u{2028}".into(), ..finished_call() };
    calls.send(call, true);
    drop(calls);
    Exporter::new(settings(), sink, Arc::clone(&counters)).run(receiver, std::future::pending()).await;
    let (head, body) = collector.await.unwrap();
    assert!(head.starts_with("POST /v1/traces HTTP/1.1\r\n"), "{head}");
    let (resource, spans) = decode(&body);
    assert_eq!(resource.attributes[0].key, "service.name");
    assert_eq!(spans.len(), 3);
    assert_eq!(spans[0].name, "chat fast\u{2028}");
    assert_eq!(counters.spans_exported.load(Ordering::Relaxed), 3);
}
