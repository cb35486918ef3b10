//! What becomes of the requests that a dead process left open.

use super::*;
use crate::record::Verdict;
use tollgate_core::Fault;

const LIMIT: Duration = Duration::from_secs(60);

#[test]
fn an_open_request_of_a_dead_process_is_interrupted_and_one_of_this_process_is_not() {
    run(async {
        let (disk, store) = (SimulatedDisk::default(), MemoryStore::default());
        let mut process = Process::start(&disk, &store, 1);
        process.intent(0, 1, 0);
        process.intent(0, 2, 0);
        process.settle(0, 2, 1);
        process.intent(0, 1, 1);
        assert!(process.shipper.drain(LIMIT).await);
        assert_eq!((store.outcome(1), store.outcome(2)), (None, Some(Outcome::Completed)));

        let disk = process.kill(&disk);
        let mut process = Process::start(&disk, &store, 1);
        process.intent(0, 3, 0);
        process.shipper = process.shipper.with_price(Box::new(|intent, usage| {
            Some(NanoUsd::new(usage.input as i64 + i64::from(intent.attempt)))
        }));
        assert!(process.shipper.drain(LIMIT).await);
        assert_eq!(store.outcome(3), None);
        let stored = store.contents().requests[&request_id(1)].clone();
        let request = &stored.request;
        assert_eq!((request.outcome, request.fault), (Outcome::Interrupted, Some(Fault::Gateway)));
        assert_eq!((request.error_kind.as_deref(), request.status), (Some("interrupted"), 0));
        assert_eq!((request.usage.input, request.usage_source), (200, UsageSource::Estimated));
        assert_eq!((request.cost, request.price_version), (Some(NanoUsd::new(201)), Some(5)));
        assert_eq!(request.deployment_id, Some(intent(1, 1).deployment_id), "the last attempt's");
        assert_eq!(
            (&*request.model, request.started_at, request.stream),
            ("asked-for", UnixMicros(1_000), true)
        );
        assert!(request.decision.candidates.iter().all(|candidate| candidate.verdict == Verdict::Failed));
        let attempts: Vec<_> = stored
            .attempts
            .iter()
            .map(|attempt| (attempt.attempt, attempt.outcome, attempt.served))
            .collect();
        assert_eq!(attempts, [(0, Outcome::Interrupted, false), (1, Outcome::Interrupted, false)]);
        assert_eq!(process.shipper.status().report().interrupted_requests, 1);
        assert_eq!(process.shipper.status().report().open_requests, 1);
    });
}

#[test]
fn interruptions_are_shipped_without_a_record_of_the_new_process() {
    run(async {
        let (disk, store) = (SimulatedDisk::default(), MemoryStore::default());
        let mut process = Process::start(&disk, &store, 3);
        process.intent(2, 1, 0);
        assert!(process.shipper.drain(LIMIT).await);
        let before = store.contents().positions[&2];
        assert!(before.1 < before.0, "the floor is before the open intent");
        let disk = process.kill(&disk);
        // The new process has fewer cores: nobody will ever write to core 2 again.
        let mut process = Process::start(&disk, &store, 1);
        store.trouble(Trouble::AnswerLost);
        assert!(process.shipper.drain(LIMIT).await);
        assert_eq!(store.outcome(1), Some(Outcome::Interrupted));
        let after = store.contents().positions[&2];
        assert!(after.0 > before.0 && after.1 == after.0, "{after:?}");
        assert_eq!(process.shipper.status().report().lag_bytes, 0);
    });
}

#[test]
fn a_request_without_a_known_price_has_no_known_cost() {
    run(async {
        let (disk, store) = (SimulatedDisk::default(), MemoryStore::default());
        let process = Process::start(&disk, &store, 1);
        process.intent(0, 1, 0);
        let disk = process.kill(&disk);
        let mut process = Process::start(&disk, &store, 1);
        assert!(process.shipper.drain(LIMIT).await);
        assert_eq!(store.contents().requests[&request_id(1)].request.cost, None);
    });
}

#[test]
fn an_intent_that_was_written_twice_is_one_attempt() {
    run(async {
        let (disk, store) = (SimulatedDisk::default(), MemoryStore::default());
        let process = Process::start(&disk, &store, 1);
        for attempt in [0, 0, 1, 1] {
            process.intent(0, 1, attempt);
        }
        let disk = process.kill(&disk);
        let mut process = Process::start(&disk, &store, 1);
        assert!(process.shipper.drain(LIMIT).await);
        assert_eq!(store.contents().requests[&request_id(1)].attempts.len(), 2);
    });
}

#[test]
fn many_interruptions_survive_a_shipment_that_fails() {
    run(async {
        let (disk, store) = (SimulatedDisk::default(), MemoryStore::default());
        let process = Process::start(&disk, &store, 1);
        for request in 0..50 {
            process.intent(0, request, 0);
        }
        let mut disk = process.kill(&disk);
        for trouble in [Trouble::Unavailable, Trouble::AnswerLost, Trouble::Unavailable] {
            let mut process = Process::start(&disk, &store, 1);
            store.trouble(trouble);
            process.shipper.pass().await;
            disk = process.kill(&disk);
        }
        store.heal();
        let mut process = Process::start(&disk, &store, 1);
        assert!(process.shipper.drain(LIMIT).await);
        assert_eq!(store.contents().requests.len(), 50);
    });
}

/// The settlement was shipped, then the power failed and the journal lost it.
#[test]
fn what_the_store_has_is_kept_although_the_journal_lost_it() {
    run(async {
        let (disk, store) = (SimulatedDisk::default(), MemoryStore::default());
        let mut process = Process::start(&disk, &store, 1);
        process.intent(0, 1, 0);
        process.intent(0, 2, 0);
        assert!(process.shipper.drain(LIMIT).await);
        let name = disk.names()[0];
        let kept = disk.length(name);
        process.settle(0, 1, 1);
        assert!(process.shipper.drain(LIMIT).await);
        let disk = process.kill(&disk);
        disk.cut(name, kept);
        let mut process = Process::start(&disk, &store, 1);
        process.settle(0, 3, 0);
        assert!(process.shipper.drain(LIMIT).await);
        let outcomes = [1, 2, 3].map(|request| store.outcome(request));
        let expected = [Outcome::Completed, Outcome::Interrupted, Outcome::Completed].map(Some);
        assert_eq!(outcomes, expected);
    });
}

#[test]
fn shipments_keep_epochs_apart_and_the_end_of_earlier_ones_is_told_last() {
    run(async {
        let (disk, store) = (SimulatedDisk::default(), MemoryStore::default());
        let process = Process::start(&disk, &store, 2);
        let first = process.journal.epoch();
        process.intent(0, 1, 0);
        process.settle(0, 1, 1);
        process.intent(0, 2, 0);
        let disk = process.kill(&disk);
        let process = Process::start(&disk, &store, 2);
        process.intent(0, 3, 0);
        process.settle(0, 3, 1);
        process.intent(1, 4, 0);
        let disk = process.kill(&disk);

        store.set_down(true);
        let mut process = Process::start(&disk, &store, 2);
        process.settle(0, 5, 1);
        assert!(!process.shipper.drain(LIMIT).await);
        assert_eq!(store.contents().ended_before, 0);
        store.set_down(false);
        assert!(process.shipper.drain(LIMIT).await);
        let contents = store.contents();
        let epochs: Vec<_> = (1..=5).map(|request| contents.epochs[&request_id(request)] - first).collect();
        assert_eq!(epochs, [0, 0, 1, 1, 2]);
        assert_eq!(contents.ended_before, first + 2);
    });
}
