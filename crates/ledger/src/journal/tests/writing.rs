use super::*;

#[test]
fn records_of_one_turn_share_one_write() {
    let disk = SimulatedDisk::default();
    run(async {
        let journal = open(&disk, options());
        let writer = journal.writer(0).unwrap();
        tokio::task::spawn_local(writer.flusher());
        let before = disk.writes();
        let tasks: Vec<_> = (0..64)
            .map(|number| {
                let writer = writer.clone();
                tokio::task::spawn_local(
                    async move { writer.append(RecordClass::Intent, &record(number)).await },
                )
            })
            .collect();
        let mut positions = Vec::new();
        for task in tasks {
            positions.push(task.await.unwrap().unwrap());
        }
        assert!(positions.is_sorted());
        assert_eq!(disk.writes() - before, 1);
        assert_eq!(writer.position(), positions[63]);
    });
    assert_eq!(read_back(&disk), records(0..64));
}

#[test]
fn without_a_flusher_each_record_is_written_at_once() {
    let disk = SimulatedDisk::default();
    run(async {
        let journal = open(&disk, options());
        let writer = journal.writer(0).unwrap();
        drop(writer.append(RecordClass::Intent, &record(0)));
        writer.append_detached(&record(1)).unwrap();
        assert_eq!(read_back(&disk), records(0..2));
        assert!(writer.append(RecordClass::Intent, &record(2)).await.is_ok());
    });
    assert_eq!(read_back(&disk), records(0..3));
}

#[test]
fn dropping_the_flusher_or_the_writer_writes_what_is_in_line() {
    let disk = SimulatedDisk::default();
    run(async {
        let journal = open(&disk, options());
        let writer = journal.writer(0).unwrap();
        let flusher = writer.flusher();
        let append = writer.append(RecordClass::Settle, &record(0));
        assert_eq!(read_back(&disk), []);
        drop(flusher);
        assert_eq!(read_back(&disk), records(0..1));
        append.await.unwrap();
        let second = journal.writer(1).unwrap();
        drop(second);
    });
}

#[test]
fn a_dropped_future_neither_loses_its_record_nor_its_slot() {
    let disk = SimulatedDisk::default();
    run(async {
        let journal = open(&disk, options());
        let writer = journal.writer(0).unwrap();
        tokio::task::spawn_local(writer.flusher());
        for number in 0..10 {
            let abandoned = writer.append(RecordClass::Settle, &record(2 * number));
            let kept = writer.append(RecordClass::Settle, &record(2 * number + 1));
            drop(abandoned);
            kept.await.unwrap();
        }
    });
    assert_eq!(read_back(&disk), records(0..20));
}

#[test]
fn long_lines_do_not_wait_and_long_records_are_refused() {
    let disk = SimulatedDisk::default();
    run(async {
        let journal = open(&disk, options());
        let writer = journal.writer(0).unwrap();
        let _flusher = writer.flusher();
        let long = vec![1; MAX_PAYLOAD_BYTES];
        writer.append_detached(&long).unwrap();
        assert_eq!(read_back(&disk), [Some(long)]);
        let refused = writer.append(RecordClass::Settle, &vec![1; MAX_PAYLOAD_BYTES + 1]).await;
        assert!(matches!(refused, Err(JournalError::TooLarge { .. })), "{refused:?}");
    });
}

#[test]
fn segments_rotate_and_a_core_has_one_writer() {
    let disk = SimulatedDisk::default();
    run(async {
        let journal = open(&disk, JournalOptions { segment_bytes: 400, ..options() });
        let writer = journal.writer(0).unwrap();
        assert!(matches!(journal.writer(0), Err(JournalError::CoreTaken { core: 0 })));
        for number in 0..100 {
            writer.append_detached(&record(number)).unwrap();
        }
        journal.sync_now();
    });
    assert!(disk.names().len() > 10);
    assert!(disk.names().iter().all(|name| disk.length(*name) <= 400));
    assert_eq!(read_back(&disk), records(0..100));
    // Everything was synced, directory entries included.
    assert_eq!(read_back(&disk.after_power_loss(|_| 0)), records(0..100));
}

#[test]
fn a_segment_takes_records_longer_than_itself() {
    let disk = SimulatedDisk::default();
    run(async {
        let journal = open(&disk, JournalOptions { segment_bytes: 90, ..options() });
        let writer = journal.writer(0).unwrap();
        for number in 40..50 {
            writer.append_detached(&record(number)).unwrap();
        }
    });
    assert_eq!(read_back(&disk), records(40..50));
}

#[test]
fn power_durability_waits_for_the_disk() {
    let disk = SimulatedDisk::default();
    run(async {
        let journal = open(&disk, JournalOptions { durability: Durability::Power, ..options() });
        let writer = journal.writer(0).unwrap();
        tokio::task::spawn_local(writer.flusher());
        for number in 0..20 {
            writer.append(RecordClass::Intent, &record(number)).await.unwrap();
            assert_eq!(read_back(&disk.after_power_loss(|_| 0)), records(0..=number));
        }
    });
}

#[test]
fn low_space_refuses_intents_only() {
    let disk = SimulatedDisk::default();
    run(async {
        let journal = open(&disk, options());
        let writer = journal.writer(0).unwrap();
        journal.set_low_space(true);
        assert_eq!(journal.health(), Health::LowSpace);
        let refused = writer.append(RecordClass::Intent, &record(0)).await;
        assert!(matches!(refused, Err(JournalError::LowSpace)), "{refused:?}");
        writer.append(RecordClass::Settle, &record(1)).await.unwrap();
        journal.set_low_space(false);
        writer.append(RecordClass::Intent, &record(2)).await.unwrap();
    });
    assert_eq!(read_back(&disk), records(1..3));
}

#[test]
fn what_was_kept_for_a_failing_sync_is_let_go_when_the_sync_succeeds() {
    let disk = SimulatedDisk::default();
    run(async {
        let journal = open(&disk, options());
        let writer = journal.writer(0).unwrap();
        tokio::task::spawn_local(writer.flusher());
        for number in 0..20 {
            writer.append(RecordClass::Settle, &vec![number; 60_000]).await.unwrap();
        }
        assert!(writer.kept_bytes() > 1 << 20);
        journal.sync_now();
        // Nothing else is written: the flusher hears of it.
        tokio::task::yield_now().await;
        assert!(writer.kept_bytes() <= 256 << 10);
    });
}
