//! The shipper beside a writer that writes on a thread of its own.

use tokio::sync::oneshot;

use super::*;
use crate::journal::{DiskStorage, RecordClass};

const REQUESTS: u64 = 3_000;

fn numbered(number: u64) -> RequestId {
    let mut bytes = [0xAB; 16];
    bytes[..8].copy_from_slice(&number.to_be_bytes());
    RequestId::from_bytes(bytes)
}

/// 16 tasks on one core, each request with an intent and a settlement that the kernel has before it ends.
async fn write_requests(writer: JournalWriter) {
    let flusher = tokio::task::spawn_local(writer.flusher());
    let tasks: Vec<_> = (0..16)
        .map(|task| {
            let writer = writer.clone();
            tokio::task::spawn_local(async move {
                for number in (task..REQUESTS).step_by(16) {
                    let mut intent = intent(0, 0);
                    intent.request_id = numbered(number);
                    let mut settlement = settlement(0, 1);
                    settlement.request.request_id = numbered(number);
                    for (class, entry) in [
                        (RecordClass::Intent, JournalEntry::Intent(&intent)),
                        (RecordClass::Settle, JournalEntry::Settled(&settlement)),
                    ] {
                        let mut payload = Vec::new();
                        entry.encode_into(&mut payload).unwrap();
                        writer.append(class, &payload).await.unwrap();
                    }
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    flusher.abort();
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap()
}

#[test]
fn records_are_shipped_while_they_are_written() {
    let directory = tempfile::tempdir().unwrap();
    let options =
        JournalOptions { minimum_free_bytes: 0, segment_bytes: 256 << 10, ..JournalOptions::new(INSTANCE) };
    let storage = Arc::new(DiskStorage::open(directory.path()).unwrap());
    let journal = Journal::open(storage, Arc::new(SystemClock), options).unwrap();
    let (ready, opened) = std::sync::mpsc::channel();
    let (begin, may_begin) = oneshot::channel::<()>();
    std::thread::scope(|scope| {
        let journal = &journal;
        scope.spawn(move || {
            let writer = journal.writer(0).unwrap();
            ready.send(()).unwrap();
            tokio::task::LocalSet::new().block_on(&runtime(), async {
                may_begin.await.unwrap();
                write_requests(writer).await;
            });
        });
        opened.recv().unwrap();
        let store = MemoryStore::default();
        // Were it not woken, it would sleep for ever.
        let options = ShipperOptions {
            idle: Duration::from_secs(3600),
            gather: Duration::from_millis(1),
            ..ShipperOptions::new(INSTANCE, journal.epoch())
        };
        let reader = journal.reader().unwrap();
        let mut shipper = Shipper::new(reader, Arc::new(store.clone()), Arc::new(SystemClock), options);
        begin.send(()).unwrap();
        let has_all = async {
            while (store.contents().requests.len() as u64) < REQUESTS {
                sleep(Duration::from_millis(5)).await;
            }
        };
        runtime().block_on(async {
            let followed = timeout(Duration::from_secs(60), shipper.run(has_all)).await;
            assert!(followed.is_ok(), "shipped {} requests", store.contents().requests.len());
            assert!(shipper.drain(Duration::from_secs(10)).await);
        });
        let report = shipper.status().report();
        assert_eq!((report.shipped_requests, report.duplicate_requests), (REQUESTS, 0));
        assert_eq!((report.lag_bytes, report.open_requests, report.interrupted_requests), (0, 0, 0));
        let requests = store.contents().requests;
        assert!((0..REQUESTS).all(|number| requests.contains_key(&numbered(number))));
    });
}

#[test]
fn the_shipper_may_run_on_any_thread() {
    fn is_send<T: Send>(_: &T) {}
    let (disk, store) = (SimulatedDisk::default(), MemoryStore::default());
    run(async {
        let mut process = Process::start(&disk, &store, 1);
        is_send(&process.shipper.run(std::future::ready(())));
        process.shipper.run(std::future::ready(())).await;
    });
}
