use super::*;
use tollgate_core::{Clock, UnixMicros};

/// A disk with records `0..count` of one epoch, all synced or not, writer gone.
fn written(count: usize, segment_bytes: u64) -> SimulatedDisk {
    let disk = SimulatedDisk::default();
    append_epoch(&disk, 0..count, segment_bytes);
    disk
}

fn append_epoch(disk: &SimulatedDisk, numbers: std::ops::Range<usize>, segment_bytes: u64) {
    let journal = open(disk, JournalOptions { segment_bytes, ..options() });
    let writer = journal.writer(0).unwrap();
    for number in numbers {
        writer.append_detached(&record(number)).unwrap();
    }
}

#[test]
fn a_crash_at_any_byte_leaves_a_prefix_and_the_next_epoch_goes_on() {
    let disk = written(12, 1 << 20);
    let name = disk.names()[0];
    let mut ends = vec![80];
    for number in 0..12 {
        ends.push(ends[number] + 8 + record(number).len());
    }
    for length in 0..=disk.length(name) {
        let crashed = disk.after_kill();
        crashed.cut(name, length);
        let whole = ends.iter().filter(|end| **end <= length).count().saturating_sub(1);
        assert_eq!(read_back(&crashed), records(0..whole), "cut at {length}");
        append_epoch(&crashed, 50..53, 1 << 20);
        assert_eq!(read_back(&crashed), records((0..whole).chain(50..53)), "cut at {length}");
    }
}

#[test]
fn a_changed_byte_costs_its_record_and_is_reported() {
    let disk = written(30, 1 << 20);
    let name = disk.names()[0];
    let fifth: usize = 80 + (0..5).map(|number| 8 + record(number).len()).sum::<usize>();
    disk.corrupt(name, fifth + 10);
    let mut expected = records(0..30);
    expected[5] = None;
    assert_eq!(read_back(&disk), expected);
}

#[test]
fn damage_in_an_older_segment_is_reported_and_the_next_segment_read() {
    let disk = written(60, 300);
    let name = disk.names()[2];
    // The length of a record: nothing in this file after it can be found.
    disk.corrupt(name, 80 + 2);
    let read = read_back(&disk);
    let lost = 60 - read.iter().flatten().count();
    assert!(lost > 0 && lost < 15, "{lost}");
    assert_eq!(read.iter().filter(|entry| entry.is_none()).count(), 1);
    let kept: Vec<_> = read.iter().take_while(|entry| entry.is_some()).cloned().collect();
    assert_eq!(kept, records(0..kept.len()));
    assert_eq!(read[kept.len() + 1..], records(kept.len() + lost..60));
}

#[test]
fn a_missing_segment_is_reported_with_its_place() {
    let disk = written(60, 300);
    let names = disk.names();
    disk.remove(names[1]).unwrap();
    let mut reader = JournalReader::open(Arc::new(disk.clone())).unwrap();
    let mut damages = Vec::new();
    while let Some(entry) = reader.next(0).unwrap() {
        if let Entry::Damage(damage) = entry {
            damages.push(damage);
        }
    }
    let [damage] = damages.as_slice() else { panic!("{damages:?}") };
    assert_eq!((damage.core, damage.from.epoch), (0, 1));
    assert_eq!(damage.from.offset as usize, disk.length(names[0]) - 80);
    assert!(damage.to > damage.from);
}

#[test]
fn reading_resumes_after_any_position() {
    let disk = written(40, 300);
    append_epoch(&disk, 40..60, 300);
    let mut positions = Vec::new();
    let mut reader = JournalReader::open(Arc::new(disk.clone())).unwrap();
    while let Some(entry) = reader.next(0).unwrap() {
        let Entry::Record { position, .. } = entry else { panic!("{entry:?}") };
        positions.push(position);
    }
    assert!(positions.is_sorted());
    for (index, position) in positions.iter().enumerate() {
        reader.resume(0, *position);
        assert_eq!(drain(&mut reader), records(index + 1..60));
    }
}

#[test]
fn what_was_read_before_power_was_lost_does_not_stop_the_next_epoch() {
    let disk = SimulatedDisk::default();
    let journal = open(&disk, options());
    let writer = journal.writer(0).unwrap();
    for number in 0..10 {
        writer.append_detached(&record(number)).unwrap();
    }
    let shipped = writer.position();
    let after = disk.after_power_loss(|unsynced| unsynced / 2);
    append_epoch(&after, 10..15, 1 << 20);
    let mut reader = JournalReader::open(Arc::new(after)).unwrap();
    reader.resume(0, shipped);
    assert_eq!(drain(&mut reader), records(10..15));
}

#[test]
fn segments_are_retired_when_shipped_and_old_enough() {
    struct At(i64);
    impl Clock for At {
        fn now(&self) -> UnixMicros {
            UnixMicros(self.0)
        }
    }
    let disk = written(60, 300);
    disk.set_now(UnixMicros(1_000_000));
    let segments = disk.names().len();
    let mut reader = JournalReader::open(Arc::new(disk.clone())).unwrap();
    let mut halfway = Position::START;
    for _ in 0..30 {
        if let Some(Entry::Record { position, .. }) = reader.next(0).unwrap() {
            halfway = position;
        }
    }
    let lag_from_start = reader.lag_bytes(0, Position::START);
    let lag_halfway = reader.lag_bytes(0, halfway);
    assert_eq!(lag_from_start, lag_halfway + halfway.offset);

    assert_eq!(reader.retire(0, Position::START, Duration::ZERO, &At(0)).unwrap(), 0);
    assert_eq!(reader.retire(0, halfway, Duration::from_secs(60), &At(59_000_000)).unwrap(), 0);
    let retired = reader.retire(0, halfway, Duration::from_secs(60), &At(60_000_000)).unwrap();
    assert!(retired > 0 && retired < segments / 2 + 1, "{retired} of {segments}");
    assert_eq!(drain(&mut reader), records(30..60));
    let end = reader.lag_bytes(0, Position::START) + lag_from_start;
    assert!(end > 0);

    // Shipping again from the oldest that is left is no damage; asking for what was retired is.
    let left = read_back(&disk);
    assert_eq!(left, records(60 - left.len()..60));
    reader.resume(0, Position { epoch: 1, offset: record(0).len() as u64 + 8 });
    assert_eq!(drain(&mut reader)[0], None);

    let everything = Position { epoch: 9, offset: 0 };
    reader.retire(0, everything, Duration::ZERO, &At(60_000_000)).unwrap();
    assert_eq!(disk.names().len(), 1);
    assert_eq!(open(&disk, options()).epoch(), 2);
    assert_eq!(open(&disk, JournalOptions { minimum_epoch: 6, ..options() }).epoch(), 7);
}

#[test]
fn a_sleeping_reader_is_woken_by_a_write() {
    let disk = SimulatedDisk::default();
    run(async {
        let journal = open(&disk, options());
        let writer = journal.writer(0).unwrap();
        tokio::task::spawn_local(writer.flusher());
        let mut reader = journal.reader().unwrap();
        assert!(!reader.wait(Duration::from_secs(1)).await, "nothing was written");
        let wake = writer.clone();
        tokio::task::spawn_local(async move {
            tokio::time::sleep(Duration::from_secs(5)).await;
            wake.append_detached(&record(1)).unwrap();
        });
        let asked = tokio::time::Instant::now();
        assert!(reader.wait(Duration::from_secs(3600)).await);
        assert_eq!(asked.elapsed().as_secs(), 5);
        assert_eq!(drain(&mut reader), records([1]));
        assert!(!reader.wait(Duration::ZERO).await);
    });
}
