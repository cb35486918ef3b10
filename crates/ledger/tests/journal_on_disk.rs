//! The journal on real files: killed processes, many cores, following while writing.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use tollgate_core::{InstanceId, SystemClock};
use tollgate_ledger::journal::{
    DiskStorage, Entry, Journal, JournalOptions, JournalReader, JournalWriter, Position, RecordClass,
    SegmentName, Storage,
};

const CHILD_DIRECTORY: &str = "JOURNAL_TEST_DIRECTORY";
const CHILD_TASKS: u64 = 16;

fn open(directory: &Path) -> Journal {
    let options = JournalOptions {
        segment_bytes: 64 << 10,
        minimum_free_bytes: 0,
        ..JournalOptions::new(InstanceId::generate())
    };
    Journal::open(Arc::new(DiskStorage::open(directory).unwrap()), Arc::new(SystemClock), options).unwrap()
}

#[test]
fn only_the_owner_reads_records() {
    let parent = tempfile::tempdir().unwrap();
    let root = parent.path().join("journal");
    let storage = DiskStorage::open(&root).unwrap();
    let name = SegmentName { core: 3, epoch: 1, sequence: 0 };
    storage.create(name).unwrap();
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&root), mode(&root.join("3"))), (0o700, 0o700));
    let file = std::fs::read_dir(root.join("3")).unwrap().next().unwrap().unwrap();
    assert_eq!(mode(&file.path()), 0o600);
}

fn run(future: impl Future) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    tokio::task::LocalSet::new().block_on(&runtime, future);
}

fn payload(task: u64, number: u64) -> Vec<u8> {
    let mut bytes = task.to_le_bytes().to_vec();
    bytes.extend(number.to_le_bytes());
    bytes.resize(16 + (number * 37 % 500) as usize, 0xEE);
    bytes
}

fn parse(payload: &[u8]) -> (u64, u64) {
    let field = |at: usize| u64::from_le_bytes(payload[at..at + 8].try_into().unwrap());
    (field(0), field(8))
}

/// The process that gets killed; does nothing unless `a_killed_process_loses_nothing_it_acknowledged` started it.
#[test]
fn child_that_writes_until_it_is_killed() {
    let Some(directory) = std::env::var_os(CHILD_DIRECTORY) else { return };
    let journal = open(Path::new(&directory));
    run(async {
        let writer = journal.writer(0).unwrap();
        tokio::task::spawn_local(writer.flusher());
        let tasks: Vec<_> = (0..CHILD_TASKS)
            .map(|task| tokio::task::spawn_local(write_and_tell(writer.clone(), task)))
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
    });
}

async fn write_and_tell(writer: JournalWriter, task: u64) {
    // Bounded, in case nobody kills us.
    for number in 0..200_000 {
        writer.append(RecordClass::Settle, &payload(task, number)).await.unwrap();
        if std::io::stdout().write_all(format!("ack {task} {number}\n").as_bytes()).is_err() {
            return;
        }
    }
}

/// Runs the child until it acknowledged `records`, kills it, and returns how many each task was told of.
fn write_and_kill(directory: &Path, records: usize) -> BTreeMap<u64, u64> {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "--nocapture", "child_that_writes_until_it_is_killed"])
        .env(CHILD_DIRECTORY, directory)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut acknowledged = BTreeMap::new();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut note = |line: &str| {
        let fields: Vec<u64> =
            line.strip_prefix("ack ")?.split(' ').map(str::parse).collect::<Result<_, _>>().ok()?;
        let [task, number] = fields.as_slice() else { return None };
        assert_eq!(acknowledged.insert(*task, *number + 1).unwrap_or(0), *number);
        Some(())
    };
    let mut seen = 0;
    while seen < records {
        seen += usize::from(note(&lines.next().expect("the child writes").unwrap()).is_some());
    }
    child.kill().unwrap();
    child.wait().unwrap();
    // What was still in the pipe was acknowledged too; the last line may be torn, and its record counts all the same.
    for line in lines.map_while(Result::ok) {
        if note(&line).is_none() {
            break;
        }
    }
    acknowledged
}

#[test]
fn a_killed_process_loses_nothing_it_acknowledged() {
    let directory = tempfile::tempdir().unwrap();
    let mut shipped = Position::START;
    for round in 0..20u64 {
        let acknowledged = write_and_kill(directory.path(), 50 + 211 * round as usize);
        let storage = Arc::new(DiskStorage::open(directory.path()).unwrap());
        let mut reader = JournalReader::open(storage).unwrap();
        reader.resume(0, shipped);
        let mut read: BTreeMap<u64, u64> = BTreeMap::new();
        while let Some(entry) = reader.next(0).unwrap() {
            let Entry::Record { position, payload } = entry else { panic!("{entry:?}") };
            assert!(position > shipped && position.epoch == round + 1);
            shipped = position;
            let (task, number) = parse(payload);
            assert_eq!(payload, self::payload(task, number));
            assert_eq!(read.insert(task, number + 1).unwrap_or(0), number, "each once, in order");
        }
        for (task, count) in acknowledged {
            let found = read.get(&task).copied().unwrap_or(0);
            assert!(found == count || found == count + 1, "task {task}: {count} acknowledged, {found} found");
        }
    }
}

#[test]
fn many_cores_are_followed_while_they_write() {
    const CORES: u16 = 4;
    const RECORDS: u64 = 3000;
    let directory = tempfile::tempdir().unwrap();
    let journal = Arc::new(open(directory.path()));
    let writers: Vec<_> = (0..CORES)
        .map(|core| {
            let journal = journal.clone();
            std::thread::spawn(move || {
                run(async {
                    let writer = journal.writer(core).unwrap();
                    tokio::task::spawn_local(writer.flusher());
                    for number in 0..RECORDS {
                        let append = writer.append(RecordClass::Intent, &payload(u64::from(core), number));
                        if number % 7 == 0 {
                            append.await.unwrap();
                        }
                    }
                });
            })
        })
        .collect();
    run(async {
        let mut reader = journal.reader().unwrap();
        let mut counts = BTreeMap::new();
        while counts.values().sum::<u64>() < u64::from(CORES) * RECORDS {
            if reader.cores().len() < usize::from(CORES) {
                reader.refresh().unwrap();
            }
            for core in reader.cores() {
                while let Some(entry) = reader.next(core).unwrap() {
                    let Entry::Record { payload, .. } = entry else { panic!("{entry:?}") };
                    let count = counts.entry(core).or_insert(0);
                    assert_eq!(parse(payload), (u64::from(core), *count));
                    *count += 1;
                }
            }
            reader.wait(Duration::from_millis(50)).await;
        }
    });
    for writer in writers {
        writer.join().unwrap();
    }
}

#[test]
fn a_shut_down_journal_is_whole_and_the_next_one_begins_a_new_epoch() {
    let directory = tempfile::tempdir().unwrap();
    for epoch in 1..=3 {
        let journal = open(directory.path());
        assert_eq!(journal.epoch(), epoch);
        run(async {
            let writer = journal.writer(0).unwrap();
            tokio::task::spawn_local(writer.flusher());
            writer.append_detached(&payload(epoch, 0)).unwrap();
            writer.append(RecordClass::Intent, &payload(epoch, 1)).await.unwrap();
            writer.append_detached(&payload(epoch, 2)).unwrap();
        });
    }
    let mut reader = JournalReader::open(Arc::new(DiskStorage::open(directory.path()).unwrap())).unwrap();
    for epoch in 1..=3 {
        for number in 0..3 {
            let Some(Entry::Record { payload, .. }) = reader.next(0).unwrap() else { panic!("missing") };
            assert_eq!(parse(payload), (epoch, number));
        }
    }
    assert_eq!(reader.next(0).unwrap(), None);
}
