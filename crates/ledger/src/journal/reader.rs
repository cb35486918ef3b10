//! Reads journals: what earlier epochs left, and the live streams of this process.

mod set;
mod window;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tollgate_core::{Clock, UnixMicros};

use super::shared::{CoreShared, Process};
use super::storage::Storage;
use super::{JournalError, Position};
use set::Set;

/// Bytes that were written once and cannot be read any more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Damage {
    pub core: u16,
    /// Where the readable part ends.
    pub from: Position,
    /// Where reading goes on.
    pub to: Position,
}

/// What comes next in a core's journal.
#[derive(Debug, PartialEq, Eq)]
pub enum Entry<'a> {
    Record {
        /// To be stored once the record is shipped.
        position: Position,
        payload: &'a [u8],
    },
    /// Reading goes on behind it by itself; somebody has to hear of it.
    Damage(Damage),
}

/// Walks the journals of all cores, each from its own position.
pub struct JournalReader {
    storage: Arc<dyn Storage>,
    live: Option<Arc<Process>>,
    sets: BTreeMap<u16, Set>,
}

impl JournalReader {
    /// Reads files that nobody writes.
    pub fn open(storage: Arc<dyn Storage>) -> Result<Self, JournalError> {
        let mut reader = Self { storage, live: None, sets: BTreeMap::new() };
        reader.refresh()?;
        Ok(reader)
    }

    pub(super) fn follow(process: Arc<Process>) -> Result<Self, JournalError> {
        let mut reader =
            Self { storage: process.storage.clone(), live: Some(process), sets: BTreeMap::new() };
        reader.refresh()?;
        Ok(reader)
    }

    /// Looks for cores that appeared since; call it after the writers were made.
    pub fn refresh(&mut self) -> Result<(), JournalError> {
        let names = self.storage.list().map_err(JournalError::storage("list the journal's segments"))?;
        for name in names {
            self.sets.entry(name.core).or_insert_with(|| Set::new(name.core));
        }
        for (core, set) in &mut self.sets {
            let live = self.live.as_ref().and_then(|process| {
                let cores = process.cores.lock();
                cores.iter().find(|shared| shared.core == *core).map(|shared| (process.epoch, shared.clone()))
            });
            set.set_live(live);
            set.rescan(self.storage.as_ref())?;
        }
        Ok(())
    }

    pub fn cores(&self) -> Vec<u16> {
        self.sets.keys().copied().collect()
    }

    /// Goes on after `position`; [`Position::START`] is the oldest record that is left.
    pub fn resume(&mut self, core: u16, position: Position) {
        self.sets.entry(core).or_insert_with(|| Set::new(core)).resume(position);
    }

    /// The next entry of this core, `None` when all that was written has been read. After an error the position is
    /// unchanged; pause before asking again.
    pub fn next(&mut self, core: u16) -> Result<Option<Entry<'_>>, JournalError> {
        match self.sets.get_mut(&core) {
            Some(set) => set.next(self.storage.as_ref()),
            None => Ok(None),
        }
    }

    /// Returns once a writer published something that was not read yet, or after `timeout`; says which. Waking costs the
    /// writer a system call, so let some records gather before coming back here.
    pub async fn wait(&self, timeout: Duration) -> bool {
        let Some(process) = &self.live else {
            return false;
        };
        let deadline = tokio::time::Instant::now() + timeout;
        loop {
            process.reader_will_wait();
            if self.sets.values().any(Set::has_unread) {
                return true;
            }
            if tokio::time::timeout_at(deadline, process.reader_wake.notified()).await.is_err() {
                return self.sets.values().any(Set::has_unread);
            }
        }
    }

    /// Bytes of this core's records after `position`.
    pub fn lag_bytes(&self, core: u16, position: Position) -> u64 {
        self.sets.get(&core).map_or(0, |set| set.lag_bytes(position))
    }

    /// Deletes segments that lie wholly before `shipped` and were last written more than `keep_for` ago; returns how
    /// many. The newest of a core always stays: it keeps the epoch from being used again.
    pub fn retire(
        &mut self,
        core: u16,
        shipped: Position,
        keep_for: Duration,
        clock: &dyn Clock,
    ) -> Result<usize, JournalError> {
        let now: UnixMicros = clock.now();
        let Some(set) = self.sets.get_mut(&core) else {
            return Ok(0);
        };
        set.rescan(self.storage.as_ref())?;
        let mut retired = 0;
        for name in set.wholly_before(shipped) {
            let modified =
                self.storage.modified(name).map_err(JournalError::storage("look at a journal segment"))?;
            if now.since(modified) < keep_for {
                break;
            }
            self.storage.remove(name).map_err(JournalError::storage("delete a shipped journal segment"))?;
            set.forget(name);
            retired += 1;
        }
        Ok(retired)
    }
}

/// The writer's side of one set, if it is written by this process.
struct Live {
    epoch: u64,
    shared: Arc<CoreShared>,
}

impl Live {
    fn published(&self) -> u64 {
        self.shared.published.load(Ordering::Acquire)
    }
}
