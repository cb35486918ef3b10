//! Batches, failures of the store, damage, and what may be deleted.

use super::*;

const LIMIT: Duration = Duration::from_secs(60);

#[test]
fn batches_are_full_and_not_larger() {
    run(async {
        let (disk, store) = (SimulatedDisk::default(), MemoryStore::default());
        let mut process = Process::start(&disk, &store, 2);
        for request in 0..20 {
            process.intent(usize::from(request % 2), request, 0);
            process.settle(usize::from(request % 2), request, 1);
        }
        write(&process.writers[0], JournalEntry::ProviderObject(&object(3)));
        assert!(process.shipper.drain(LIMIT).await);
        assert_eq!((store.largest_shipment(), store.shipments()), (4, 6));
        let contents = store.contents();
        assert_eq!(contents.requests.len(), 20);
        assert_eq!(contents.requests[&request_id(3)], settlement(3, 1));
        assert_eq!(contents.objects["resp_3"], object(3));
        for (core, writer) in process.writers.iter().enumerate() {
            let end = writer.position();
            assert_eq!(contents.positions[&(core as u16)], (end, end), "nothing is open");
        }
        let report = process.shipper.status().report();
        assert_eq!((report.shipped_requests, report.lag_bytes, report.open_requests), (20, 0, 0));
        assert!(report.last_shipped_at.is_some());
    });
}

#[test]
fn nothing_new_means_nothing_shipped() {
    run(async {
        let (disk, store) = (SimulatedDisk::default(), MemoryStore::default());
        let mut process = Process::start(&disk, &store, 1);
        process.settle(0, 1, 0);
        for _ in 0..3 {
            assert!(process.shipper.pass().await);
        }
        assert_eq!(store.shipments(), 1);
    });
}

#[test]
fn a_store_that_is_down_delays_and_loses_nothing() {
    run(async {
        let (disk, store) = (SimulatedDisk::default(), MemoryStore::default());
        let mut process = Process::start(&disk, &store, 1);
        store.set_down(true);
        process.settle(0, 1, 0);
        assert!(!process.shipper.drain(LIMIT).await, "the store does not even tell positions");
        store.set_down(false);
        assert!(process.shipper.drain(LIMIT).await);
        store.set_down(true);
        for request in 2..30 {
            process.settle(0, request, 0);
        }
        assert!(!process.shipper.drain(LIMIT).await);
        let status = process.shipper.status();
        let report = status.report();
        assert_eq!(report.failure.as_ref().map(|failure| &*failure.reason), Some("the store is down"));
        assert!(report.lag_bytes > 0 && report.pending_settlements == 4, "{report:?}");
        assert!(report.lag(report.current_as_of.plus(LIMIT)) == LIMIT);
        store.set_down(false);
        assert!(process.shipper.drain(LIMIT).await);
        assert_eq!(store.contents().requests.len(), 29);
        let report = status.report();
        assert_eq!((report.failure, report.lag_bytes, report.duplicate_requests), (None, 0, 0));
    });
}

#[test]
fn a_lost_answer_is_found_out_by_the_position() {
    run(async {
        let (disk, store) = (SimulatedDisk::default(), MemoryStore::default());
        let mut process = Process::start(&disk, &store, 1);
        process.intent(0, 1, 0);
        process.settle(0, 2, 0);
        store.trouble(Trouble::AnswerLost);
        assert!(!process.shipper.pass().await);
        process.settle(0, 1, 1);
        assert!(process.shipper.drain(LIMIT).await);
        let report = process.shipper.status().report();
        assert_eq!((report.shipped_requests, report.duplicate_requests), (1, 0), "the other was there");
        assert_eq!(store.contents().requests.len(), 2);
        assert_eq!(store.outcome(1), Some(Outcome::Completed));
    });
}

#[test]
fn damage_is_counted_and_what_follows_is_shipped() {
    run(async {
        let (disk, store) = (SimulatedDisk::default(), MemoryStore::default());
        let mut process = Process::start(&disk, &store, 1);
        process.settle(0, 1, 0);
        let damaged_at = process.writers[0].position().offset as usize;
        process.settle(0, 2, 0);
        process.settle(0, 3, 0);
        let name = disk.names()[0];
        let header = disk.length(name) - process.writers[0].position().offset as usize;
        disk.corrupt(name, header + damaged_at + 20);
        assert!(process.shipper.drain(LIMIT).await);
        let status = process.shipper.status();
        assert_eq!(status.report().damaged_places, 1);
        assert_eq!([1, 2, 3].map(|request| store.outcome(request).is_some()), [true, false, true]);

        write_raw(&process.writers[0], b"\x01\xff\xff not a record");
        write_raw(&process.writers[0], b"\x63 from a later version");
        process.settle(0, 4, 0);
        assert!(process.shipper.drain(LIMIT).await);
        let report = status.report();
        assert_eq!((report.damaged_places, report.undecodable_records), (1, 2));
        assert!(store.outcome(4).is_some());
    });
}

fn write_raw(writer: &JournalWriter, payload: &[u8]) {
    writer.append_detached(payload).unwrap();
}

#[test]
fn segments_go_when_shipped_old_and_without_open_intents() {
    run(async {
        let (disk, store) = (SimulatedDisk::default(), MemoryStore::default());
        let mut process = Process::start(&disk, &store, 1);
        process.intent(0, 0, 0);
        for request in 1..60 {
            process.settle(0, request, 0);
        }
        let all = disk.names().len();
        assert!(all > 3, "{all} segments");
        assert!(process.shipper.drain(LIMIT).await);
        tokio::time::advance(Duration::from_secs(61)).await;
        // The simulated disk says that all files are from 1970.
        assert!(process.shipper.pass().await);
        assert_eq!(disk.names().len(), all, "the first segment has an intent that a restart would need");
        process.settle(0, 0, 1);
        assert!(process.shipper.drain(LIMIT).await);
        tokio::time::advance(Duration::from_secs(61)).await;
        disk.set_now(SystemClock.now());
        assert!(process.shipper.pass().await);
        assert_eq!(disk.names().len(), 1);
        assert_eq!(process.shipper.status().report().retired_segments as usize, all - 1);
    });
}
