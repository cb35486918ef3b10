//! The journal of one process: its epoch, its writers, its sync thread.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;

use tollgate_core::Clock;

use super::shared::{Health, Process};
use super::storage::Storage;
use super::writer::JournalWriter;
use super::{JournalError, JournalOptions, JournalReader, sync};

/// Opens a new epoch and hands out one writer per core and a reader. Dropping it syncs what was written.
pub struct Journal {
    process: Arc<Process>,
    sync_thread: Option<JoinHandle<()>>,
}

impl Journal {
    /// Begins an epoch above all that are in `storage`; files of earlier epochs are read but never written.
    pub fn open(
        storage: Arc<dyn Storage>,
        clock: Arc<dyn Clock>,
        options: JournalOptions,
    ) -> Result<Self, JournalError> {
        let names = storage.list().map_err(JournalError::storage("list the journal's segments"))?;
        let newest = names.iter().map(|name| name.epoch).max().unwrap_or(0).max(options.minimum_epoch);
        let process = Arc::new(Process::new(storage, clock, options, newest + 1));
        let sync_thread = std::thread::Builder::new()
            .name("journal-sync".to_owned())
            .spawn({
                let process = process.clone();
                move || sync::run(&process)
            })
            .map_err(JournalError::storage("start the journal's sync thread"))?;
        process.set_sync_thread(sync_thread.thread().clone());
        Ok(Self { process, sync_thread: Some(sync_thread) })
    }

    pub fn epoch(&self) -> u64 {
        self.process.epoch
    }

    /// Makes the writer of one core; call it on the thread that will use it.
    pub fn writer(&self, core: u16) -> Result<JournalWriter, JournalError> {
        JournalWriter::open(self.process.clone(), core)
    }

    /// Reads what earlier epochs left and follows the writers of this one.
    pub fn reader(&self) -> Result<JournalReader, JournalError> {
        JournalReader::follow(self.process.clone())
    }

    /// The worst of all cores.
    pub fn health(&self) -> Health {
        let cores = self.process.cores.lock().clone();
        let failed = cores.iter().map(|core| core.health(&self.process)).find(|health| *health != Health::Ok);
        failed.unwrap_or(Health::Ok)
    }

    #[cfg(test)]
    pub(super) fn sync_now(&self) {
        for core in self.process.cores.lock().iter() {
            sync::sync_core(&self.process, core);
        }
    }

    #[cfg(test)]
    pub(super) fn set_low_space(&self, low: bool) {
        self.process.low_space.store(low, Ordering::Release);
    }

    /// Records that were lost because the journal had failed and its backlog was full.
    pub fn lost_records(&self) -> u64 {
        self.process.cores.lock().iter().map(|core| core.lost_records.load(Ordering::Relaxed)).sum()
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        self.process.stop.store(true, Ordering::Release);
        self.process.wake_sync_thread();
        if let Some(thread) = self.sync_thread.take() {
            let _ = thread.join();
        }
    }
}
