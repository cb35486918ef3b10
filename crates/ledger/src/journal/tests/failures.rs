use super::*;
use crate::journal::simulated::Faults;

/// A writer with a running flusher on `disk`.
fn start(disk: &SimulatedDisk, options: JournalOptions) -> (Journal, JournalWriter) {
    let journal = open(disk, options);
    let writer = journal.writer(0).unwrap();
    tokio::task::spawn_local(writer.flusher());
    (journal, writer)
}

async fn until_recovered(writer: &JournalWriter) {
    while writer.is_failed() {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[test]
fn a_full_disk_refuses_intents_keeps_settlements_and_recovers_in_order() {
    // The disk is full after any number of bytes of the third record.
    for spare in 0..=20 {
        let disk = SimulatedDisk::default();
        run(async {
            let (journal, writer) = start(&disk, options());
            writer.append(RecordClass::Intent, &record(0)).await.unwrap();
            disk.set_faults(Faults { capacity_bytes: Some(disk.used_bytes() + spare), ..Faults::default() });
            let settle = writer.append(RecordClass::Settle, &record(21));
            let intent = writer.append(RecordClass::Intent, &record(90));
            writer.append_detached(&record(22)).unwrap();
            assert!(matches!(settle.await, Err(JournalError::Deferred { .. })));
            assert!(matches!(intent.await, Err(JournalError::Failed { .. })));
            assert!(matches!(journal.health(), Health::Failed { .. }));

            let refused = writer.append(RecordClass::Intent, &record(91)).await;
            assert!(matches!(refused, Err(JournalError::Failed { .. })));
            writer.append_detached(&record(23)).unwrap();
            tokio::time::sleep(Duration::from_secs(3)).await;
            assert!(writer.is_failed(), "nothing was freed yet");

            disk.set_faults(Faults::default());
            until_recovered(&writer).await;
            assert_eq!(journal.health(), Health::Ok);
            writer.append(RecordClass::Intent, &record(24)).await.unwrap();
            assert_eq!(drain(&mut journal.reader().unwrap()), records([0, 21, 22, 23, 24]));
        });
        assert_eq!(read_back(&disk), records([0, 21, 22, 23, 24]), "{spare} bytes to spare");
        assert_eq!(disk.names().len(), 1, "repaired in place");
    }
}

#[test]
fn a_tail_that_cannot_be_cut_is_left_behind() {
    for torn in 1..48 {
        let disk = SimulatedDisk::default();
        run(async {
            let (journal, writer) = start(&disk, options());
            writer.append(RecordClass::Intent, &record(0)).await.unwrap();
            let mut follower = journal.reader().unwrap();
            assert_eq!(drain(&mut follower), records([0]));
            disk.set_faults(Faults {
                writes_fail_after_bytes: Some(torn),
                truncate_fails: true,
                ..Faults::default()
            });
            let intent = writer.append(RecordClass::Intent, &record(100));
            writer.append_detached(&record(50)).unwrap();
            writer.append_detached(&record(150)).unwrap();
            assert!(intent.await.is_err());
            assert_eq!(drain(&mut follower), []);
            disk.set_faults(Faults { truncate_fails: true, ..Faults::default() });
            until_recovered(&writer).await;
            writer.append(RecordClass::Intent, &record(2)).await.unwrap();
            assert_eq!(drain(&mut follower), records([50, 150, 2]));
        });
        assert_eq!(read_back(&disk), records([0, 50, 150, 2]), "torn after {torn} bytes");
        // The new file itself may be torn by a crash; the old one must not fill in with what was never promised.
        let name = *disk.names().last().unwrap();
        for length in 80..disk.length(name) {
            let crashed = disk.after_kill();
            crashed.cut(name, length);
            let read = read_back(&crashed);
            assert!(records([0, 50, 150, 2]).starts_with(&read), "{read:?}");
        }
    }
}

#[test]
fn whole_records_of_a_failed_write_are_not_read_after_the_repair() {
    let disk = SimulatedDisk::default();
    run(async {
        let (_journal, writer) = start(&disk, options());
        // Records of one length, so that what is left of the failed write would line up behind what replaces it.
        let refused = [100, 150].map(|number| writer.append(RecordClass::Intent, &record(number)));
        for number in [200, 250, 300] {
            writer.append_detached(&record(number)).unwrap();
        }
        disk.set_faults(Faults { writes_fail_after_bytes: Some(4 * 16 + 1), ..Faults::default() });
        for append in refused {
            assert!(append.await.is_err());
        }
        disk.set_faults(Faults::default());
        until_recovered(&writer).await;
        assert_eq!(read_back(&disk.after_kill()), records([200, 250, 300]));
        assert_eq!(disk.used_bytes(), 80 + 3 * 16);
    });
}

#[test]
fn a_failed_rotation_recovers() {
    let disk = SimulatedDisk::default();
    run(async {
        let (_journal, writer) = start(&disk, JournalOptions { segment_bytes: 120, ..options() });
        writer.append(RecordClass::Intent, &record(20)).await.unwrap();
        disk.set_faults(Faults { create_fails: true, ..Faults::default() });
        let deferred = writer.append(RecordClass::Settle, &record(30)).await;
        assert!(matches!(deferred, Err(JournalError::Deferred { .. })));
        disk.set_faults(Faults::default());
        until_recovered(&writer).await;
        writer.append(RecordClass::Intent, &record(31)).await.unwrap();
    });
    assert_eq!(read_back(&disk), records([20, 30, 31]));
}

#[test]
fn the_backlog_is_bounded_and_says_what_it_lost() {
    let disk = SimulatedDisk::default();
    run(async {
        let (journal, writer) = start(&disk, JournalOptions { backlog_bytes: 200, ..options() });
        disk.set_faults(Faults { writes_fail_after_bytes: Some(0), ..Faults::default() });
        let kept = (0..40).take_while(|number| writer.append_detached(&record(*number)).is_ok()).count();
        let _ = writer.flush_now();
        assert!(kept > 5);
        let lost = writer.append(RecordClass::Settle, &record(49)).await;
        assert!(matches!(lost, Err(JournalError::BacklogFull)), "{lost:?}");
        assert!(journal.lost_records() > 0);
        disk.set_faults(Faults::default());
        writer.flush_now().unwrap();
        writer.append(RecordClass::Settle, &record(3)).await.unwrap();
        let read = read_back(&disk);
        assert_eq!(read.last(), Some(&Some(record(3))));
        assert!(read.len() > 3);
    });
}

#[test]
fn after_a_failed_sync_everything_unsynced_moves_to_a_new_file_once() {
    let disk = SimulatedDisk::default();
    run(async {
        let (journal, writer) = start(&disk, options());
        for number in 0..5 {
            writer.append(RecordClass::Intent, &record(number)).await.unwrap();
        }
        journal.sync_now();
        for number in 5..10 {
            writer.append(RecordClass::Intent, &record(number)).await.unwrap();
        }
        let mut follower = journal.reader().unwrap();
        assert_eq!(drain(&mut follower), records(0..10));
        disk.set_faults(Faults { sync_fails: true, ..Faults::default() });
        journal.sync_now();
        assert!(matches!(journal.health(), Health::Failed { .. }));
        assert!(writer.append(RecordClass::Intent, &record(90)).await.is_err());
        writer.append_detached(&record(10)).unwrap();
        tokio::time::sleep(Duration::from_secs(2)).await;
        assert!(writer.is_failed());

        disk.set_faults(Faults::default());
        until_recovered(&writer).await;
        // Nothing that was acknowledged depends on the old file any more.
        let after = read_back(&disk.after_power_loss(|_| 0));
        assert!(after.starts_with(&records(0..10)), "{after:?}");
        writer.append(RecordClass::Intent, &record(11)).await.unwrap();
        assert_eq!(drain(&mut follower), records(10..12), "nothing twice for who had read it");
        assert_eq!(drain(&mut journal.reader().unwrap()), records(0..12));
    });
    assert_eq!(read_back(&disk), records(0..12));
    // Killed in the middle of writing again: what is missing in the new file is still in the old one.
    let name = *disk.names().last().unwrap();
    for length in 0..disk.length(name) {
        let crashed = disk.after_kill();
        crashed.cut(name, length);
        assert!(read_back(&crashed).starts_with(&records(0..10)), "cut at {length}");
    }
}

#[test]
fn a_failed_sync_of_a_closed_segment_is_repaired_too() {
    let disk = SimulatedDisk::default();
    run(async {
        let (journal, writer) = start(&disk, JournalOptions { segment_bytes: 200, ..options() });
        for number in 0..40 {
            writer.append(RecordClass::Intent, &record(number)).await.unwrap();
        }
        let mut follower = journal.reader().unwrap();
        assert_eq!(drain(&mut follower), records(0..40));
        disk.set_faults(Faults { sync_fails: true, ..Faults::default() });
        journal.sync_now();
        disk.set_faults(Faults::default());
        until_recovered(&writer).await;
        assert_eq!(read_back(&disk.after_power_loss(|_| 0)), records(0..40));
        writer.append(RecordClass::Intent, &record(40)).await.unwrap();
        assert_eq!(drain(&mut follower), records([40]));
    });
    assert_eq!(read_back(&disk), records(0..41));
}

#[test]
fn power_durability_reports_a_failed_sync_to_who_waits() {
    let disk = SimulatedDisk::default();
    run(async {
        let (_journal, writer) = start(&disk, JournalOptions { durability: Durability::Power, ..options() });
        writer.append(RecordClass::Intent, &record(0)).await.unwrap();
        disk.set_faults(Faults { sync_fails: true, ..Faults::default() });
        let failed = writer.append(RecordClass::Intent, &record(1)).await;
        assert!(matches!(failed, Err(JournalError::Failed { .. })), "{failed:?}");
        disk.set_faults(Faults::default());
        until_recovered(&writer).await;
        writer.append(RecordClass::Intent, &record(2)).await.unwrap();
        assert_eq!(read_back(&disk.after_power_loss(|_| 0)), records(0..3));
    });
}
