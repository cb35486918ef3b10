//! The file in which hour and day limits survive a restart.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior, interval_at};
use tollgate_core::{Clock, UnixMicros};

use super::book::LimitBook;
use super::snapshot::{DamagedSnapshot, LimitSnapshot};

const NAME: &str = "limits";
const SAVE_EVERY: Duration = Duration::from_secs(1);
const SWEEP_EVERY_SAVES: u32 = 60;

/// `limits` in the data directory; only one process may use it, so the directory has to be locked.
#[derive(Debug, Clone)]
pub struct LimitFile {
    path: PathBuf,
}

#[derive(Debug, thiserror::Error)]
pub enum LimitFileError {
    #[error("{path} cannot be used: {source}; hour and day limits begin with their burst spent")]
    Read { path: PathBuf, source: io::Error },
    #[error("{path} is damaged: {source}; hour and day limits begin with their burst spent")]
    Damaged { path: PathBuf, source: DamagedSnapshot },
    #[error("{path} cannot be written: {source}; a restart would forget what hour and day limits counted")]
    Write { path: PathBuf, source: io::Error },
}

impl LimitFile {
    pub fn in_directory(data_directory: &Path) -> Self {
        Self { path: data_directory.join(NAME) }
    }

    /// Brings back what was counted, before the first publish; returns how many counts. No file is a first start.
    ///
    /// After an error, which the caller reports, the process can go on: see [`LimitBook::begin_without_burst`].
    pub fn load(&self, book: &LimitBook, now: UnixMicros) -> Result<usize, LimitFileError> {
        let path = || self.path.clone();
        let found = match fs::read(&self.path) {
            Ok(bytes) => LimitSnapshot::from_bytes(&bytes)
                .map_err(|source| LimitFileError::Damaged { path: path(), source }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
            Err(source) => Err(LimitFileError::Read { path: path(), source }),
        };
        let snapshot = found.inspect_err(|_| book.begin_without_burst(now))?;
        let counts = snapshot.counts();
        book.restore(snapshot);
        Ok(counts)
    }

    /// Writes what was counted if it has changed since the last time; blocks. A reader finds the old file or the new.
    pub fn save(&self, book: &LimitBook, now: UnixMicros) -> Result<bool, LimitFileError> {
        if !book.take_changed() {
            return Ok(false);
        }
        let written = self.write(&book.snapshot(now).to_bytes());
        written.map(|()| true).map_err(|source| {
            book.mark_changed();
            LimitFileError::Write { path: self.path.clone(), source }
        })
    }

    /// Saves every second what has changed, makes room by forgetting idle counts, until `stop` ends; then saves for the last time.
    /// Belongs on the control plane's runtime.
    pub async fn keep(self, book: Arc<LimitBook>, clock: Arc<dyn Clock>, stop: impl Future<Output = ()>) {
        let mut stop = std::pin::pin!(stop);
        let mut ticks = interval_at(Instant::now() + SAVE_EVERY, SAVE_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (mut stopped, mut failing, mut saves) = (false, false, 0_u32);
        while !stopped {
            tokio::select! {
                _ = ticks.tick() => {}
                () = &mut stop => stopped = true,
            }
            saves = saves.wrapping_add(1);
            let (file, book, now) = (self.clone(), Arc::clone(&book), clock.now());
            let saved = tokio::task::spawn_blocking(move || {
                if book.take_crowded() || saves.is_multiple_of(SWEEP_EVERY_SAVES) {
                    book.sweep(now);
                }
                file.save(&book, now)
            });
            match saved.await {
                // Reported when it begins, not every second.
                Ok(Err(error)) if !failing => {
                    failing = true;
                    tracing::warn!(%error, "limits could not be saved");
                }
                Ok(Ok(true)) => failing = false,
                _ => {}
            }
        }
    }

    /// Readable by the owner alone: it names customers.
    fn write(&self, bytes: &[u8]) -> io::Result<()> {
        let draft = self.path.with_extension("new");
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&draft)?;
        file.write_all(bytes)?;
        file.sync_data()?;
        fs::rename(&draft, &self.path)?;
        self.path.parent().map_or(Ok(()), |directory| File::open(directory)?.sync_data())
    }
}
