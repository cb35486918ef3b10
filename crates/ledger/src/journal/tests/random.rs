//! Random histories of appends, failures and crashes.

use std::cell::RefCell;
use std::rc::Rc;

use proptest::prelude::*;

use super::*;
use crate::journal::simulated::Faults;

#[derive(Debug, Clone)]
enum Step {
    Append(RecordClass),
    Detached,
    /// Lets every task run until nothing is ready.
    Turn,
    Break(Trouble),
    Heal,
    Sync,
    /// More than one probe interval.
    Wait,
}

#[derive(Debug, Clone)]
enum Trouble {
    FullAfter(usize),
    BrokenAfter(usize),
    BrokenAfterAndUncuttable(usize),
    ShortWrites(usize),
    SyncFails,
    CreateFails,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => Just(Step::Append(RecordClass::Intent)),
        6 => Just(Step::Append(RecordClass::Settle)),
        3 => Just(Step::Detached),
        8 => Just(Step::Turn),
        2 => trouble().prop_map(Step::Break),
        2 => Just(Step::Heal),
        3 => Just(Step::Sync),
        2 => Just(Step::Wait),
    ]
}

fn trouble() -> impl Strategy<Value = Trouble> {
    prop_oneof![
        (0..200usize).prop_map(Trouble::FullAfter),
        (0..200usize).prop_map(Trouble::BrokenAfter),
        (0..200usize).prop_map(Trouble::BrokenAfterAndUncuttable),
        (1..50usize).prop_map(Trouble::ShortWrites),
        Just(Trouble::SyncFails),
        Just(Trouble::CreateFails),
    ]
}

fn faults(trouble: &Trouble, used_bytes: usize) -> Faults {
    let none = Faults::default();
    match *trouble {
        Trouble::FullAfter(bytes) => Faults { capacity_bytes: Some(used_bytes + bytes), ..none },
        Trouble::BrokenAfter(bytes) => Faults { writes_fail_after_bytes: Some(bytes), ..none },
        Trouble::BrokenAfterAndUncuttable(bytes) => {
            Faults { writes_fail_after_bytes: Some(bytes), truncate_fails: true, ..none }
        }
        Trouble::ShortWrites(bytes) => Faults { longest_write_bytes: Some(bytes), ..none },
        Trouble::SyncFails => Faults { sync_fails: true, ..none },
        Trouble::CreateFails => Faults { create_fails: true, ..none },
    }
}

/// What the journal answered to each record; `None` while it has not.
#[derive(Default, Clone)]
struct Answers(Rc<RefCell<Vec<Option<Answer>>>>);

#[derive(Debug, Clone, Copy, PartialEq)]
enum Answer {
    Written,
    Kept,
    Refused,
}

impl Answers {
    fn expect(&self) -> usize {
        self.0.borrow_mut().push(None);
        self.0.borrow().len() - 1
    }

    fn set(&self, number: usize, answer: Answer) {
        self.0.borrow_mut()[number] = Some(answer);
    }

    fn are(&self, wanted: Answer) -> Vec<usize> {
        let answers = self.0.borrow();
        (0..answers.len()).filter(|number| answers[*number] == Some(wanted)).collect()
    }
}

fn numbers(entries: &[Option<Vec<u8>>]) -> Vec<usize> {
    entries.iter().flatten().map(|bytes| usize::from_le_bytes(bytes[..8].try_into().unwrap())).collect()
}

async fn turn() {
    for _ in 0..10 {
        tokio::task::yield_now().await;
    }
}

fn append(writer: &JournalWriter, answers: &Answers, class: RecordClass) {
    let number = answers.expect();
    let append = writer.append(class, &record(number));
    let answers = answers.clone();
    tokio::task::spawn_local(async move {
        let answer = match append.await {
            Ok(_) => Answer::Written,
            Err(JournalError::Deferred { .. }) => Answer::Kept,
            Err(_) => Answer::Refused,
        };
        answers.set(number, answer);
    });
}

/// A killed process: what was acknowledged is there, in order and once; more may follow, never in between.
fn check_kill(disk: &SimulatedDisk, answers: &Answers) {
    let entries = read_back(&disk.after_kill());
    assert!(entries.iter().all(Option::is_some), "no damage without loss of power");
    let read = numbers(&entries);
    assert!(read.is_sorted_by(|one, next| one < next), "{read:?}");
    let written = answers.are(Answer::Written);
    assert!(written.iter().all(|number| read.contains(number)), "{written:?} in {read:?}");
    let last = written.last().copied().unwrap_or(0);
    let refused = answers.are(Answer::Refused);
    assert!(!refused.iter().any(|number| *number < last && read.contains(number)), "{refused:?} in {read:?}");
}

fn check_power_loss(disk: &SimulatedDisk, durable: &[usize], keep: usize) {
    let after = disk.after_power_loss(|unsynced| if unsynced == 0 { 0 } else { keep % (unsynced + 1) });
    let read = numbers(&read_back(&after));
    assert!(read.is_sorted_by(|one, next| one < next), "{read:?}");
    assert!(durable.iter().all(|number| read.contains(number)), "{durable:?} in {read:?}");
}

async fn live_through(disk: &SimulatedDisk, steps: &[Step], segment_bytes: u64, keep: usize) {
    let journal = open(disk, JournalOptions { segment_bytes, ..options() });
    let writer = journal.writer(0).unwrap();
    tokio::task::spawn_local(writer.flusher());
    let mut follower = journal.reader().unwrap();
    let (answers, mut followed, mut durable, mut sync_broken) =
        (Answers::default(), Vec::new(), Vec::new(), false);
    for step in steps {
        match step {
            Step::Append(class) => append(&writer, &answers, *class),
            Step::Detached => {
                let number = answers.expect();
                writer.append_detached(&record(number)).unwrap();
                answers.set(number, Answer::Kept);
            }
            Step::Turn => turn().await,
            Step::Break(trouble) => {
                sync_broken = matches!(trouble, Trouble::SyncFails);
                disk.set_faults(faults(trouble, disk.used_bytes()));
            }
            Step::Heal => {
                sync_broken = false;
                disk.set_faults(Faults::default());
            }
            Step::Sync => {
                let written = answers.are(Answer::Written);
                journal.sync_now();
                // With another kind of trouble the sync works, unless a distrusted file waits to be replaced.
                if !sync_broken && !writer.is_failed() {
                    durable = written;
                }
            }
            Step::Wait => {
                tokio::time::sleep(Duration::from_millis(1100)).await;
                turn().await;
            }
        }
        check_kill(disk, &answers);
        check_power_loss(disk, &durable, keep);
        followed.extend(numbers(&drain(&mut follower)));
    }
    disk.set_faults(Faults::default());
    tokio::time::sleep(Duration::from_secs(2)).await;
    turn().await;
    writer.flush_now().unwrap();
    followed.extend(numbers(&drain(&mut follower)));
    let all: Vec<usize> = (0..answers.0.borrow().len()).collect();
    let refused = answers.are(Answer::Refused);
    let expected: Vec<usize> = all.into_iter().filter(|number| !refused.contains(number)).collect();
    assert_eq!(numbers(&read_back(disk)), expected);
    assert_eq!(followed, expected, "what the follower saw");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_read_is_what_was_acknowledged(
        steps in proptest::collection::vec(step(), 1..80),
        segment_bytes in 100..2000u64,
        keep in any::<usize>(),
    ) {
        let disk = SimulatedDisk::default();
        run(live_through(&disk, &steps, segment_bytes, keep));
    }
}
