//! A disk in memory that fails on request and forgets like a real one.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use parking_lot::Mutex;
use tollgate_core::UnixMicros;

use super::format::SegmentName;
use super::storage::{SegmentFile, Storage};

#[derive(Debug, Clone, Default)]
struct FileState {
    bytes: Vec<u8>,
    /// What survives loss of power.
    durable: usize,
    /// A sync failed: later ones succeed without doing anything, as on Linux.
    pages_dropped: bool,
    entry_durable: bool,
    modified: UnixMicros,
}

#[derive(Debug, Clone, Default)]
pub(crate) struct Faults {
    /// All files together may not grow beyond this.
    pub(crate) capacity_bytes: Option<usize>,
    /// Bytes that may still be written before writes fail with EIO.
    pub(crate) writes_fail_after_bytes: Option<usize>,
    pub(crate) longest_write_bytes: Option<usize>,
    pub(crate) sync_fails: bool,
    pub(crate) truncate_fails: bool,
    pub(crate) create_fails: bool,
}

#[derive(Debug, Clone, Default)]
struct Disk {
    files: BTreeMap<SegmentName, FileState>,
    faults: Faults,
    writes: usize,
    now: UnixMicros,
}

#[derive(Clone, Default)]
pub(crate) struct SimulatedDisk(Arc<Mutex<Disk>>);

struct SimulatedFile {
    disk: SimulatedDisk,
    name: SegmentName,
}

fn broken() -> io::Error {
    io::Error::from_raw_os_error(5)
}

impl SimulatedDisk {
    pub(crate) fn set_faults(&self, faults: Faults) {
        self.0.lock().faults = faults;
    }

    pub(crate) fn set_now(&self, now: UnixMicros) {
        self.0.lock().now = now;
    }

    pub(crate) fn writes(&self) -> usize {
        self.0.lock().writes
    }

    pub(crate) fn used_bytes(&self) -> usize {
        self.0.lock().files.values().map(|file| file.bytes.len()).sum()
    }

    pub(crate) fn length(&self, name: SegmentName) -> usize {
        self.0.lock().files[&name].bytes.len()
    }

    pub(crate) fn names(&self) -> Vec<SegmentName> {
        self.0.lock().files.keys().copied().collect()
    }

    pub(crate) fn corrupt(&self, name: SegmentName, at: usize) {
        self.0.lock().files.get_mut(&name).unwrap().bytes[at] ^= 0x40;
    }

    pub(crate) fn cut(&self, name: SegmentName, length: usize) {
        self.0.lock().files.get_mut(&name).unwrap().bytes.truncate(length);
    }

    /// The disk as the next process finds it after this one was killed: all that the kernel had.
    pub(crate) fn after_kill(&self) -> Self {
        let mut disk = self.0.lock().clone();
        disk.faults = Faults::default();
        Self(Arc::new(Mutex::new(disk)))
    }

    /// The disk after loss of power: of what was not synced, `keep` says how many bytes of each file made it.
    pub(crate) fn after_power_loss(&self, mut keep: impl FnMut(usize) -> usize) -> Self {
        let after = self.after_kill();
        after.0.lock().files.retain(|_, file| {
            let kept = file.durable + keep(file.bytes.len() - file.durable);
            file.bytes.truncate(kept);
            (file.durable, file.pages_dropped) = (file.bytes.len(), false);
            file.entry_durable
        });
        after
    }
}

impl Storage for SimulatedDisk {
    fn list(&self) -> io::Result<Vec<SegmentName>> {
        Ok(self.names())
    }

    fn create(&self, name: SegmentName) -> io::Result<Arc<dyn SegmentFile>> {
        let mut disk = self.0.lock();
        if disk.faults.create_fails {
            return Err(broken());
        }
        if disk.files.insert(name, FileState::default()).is_some() {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        Ok(Arc::new(SimulatedFile { disk: self.clone(), name }))
    }

    fn open(&self, name: SegmentName) -> io::Result<Arc<dyn SegmentFile>> {
        Ok(Arc::new(SimulatedFile { disk: self.clone(), name }))
    }

    fn remove(&self, name: SegmentName) -> io::Result<()> {
        self.0.lock().files.remove(&name).map(|_| ()).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn modified(&self, name: SegmentName) -> io::Result<UnixMicros> {
        Ok(self.0.lock().files[&name].modified)
    }

    fn sync_directory(&self, core: u16) -> io::Result<()> {
        let mut disk = self.0.lock();
        if disk.faults.sync_fails {
            return Err(broken());
        }
        for (_, file) in disk.files.iter_mut().filter(|(name, _)| name.core == core) {
            file.entry_durable = true;
        }
        Ok(())
    }

    fn free_bytes(&self) -> io::Result<u64> {
        Ok(u64::MAX)
    }
}

impl SegmentFile for SimulatedFile {
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        let used = self.disk.used_bytes();
        let mut disk = self.disk.0.lock();
        let mut allowed = bytes.len().min(disk.faults.longest_write_bytes.unwrap_or(usize::MAX));
        if let Some(capacity) = disk.faults.capacity_bytes {
            allowed = allowed.min(capacity.saturating_sub(used));
            if allowed == 0 {
                return Err(io::Error::from_raw_os_error(28));
            }
        }
        if let Some(rest) = &mut disk.faults.writes_fail_after_bytes {
            allowed = allowed.min(*rest);
            if allowed == 0 {
                return Err(broken());
            }
            *rest -= allowed;
        }
        disk.writes += 1;
        let now = disk.now;
        let file = disk.files.get_mut(&self.name).ok_or_else(broken)?;
        let offset = offset as usize;
        let end = (offset + allowed).max(file.bytes.len());
        file.bytes.resize(end, 0);
        file.bytes[offset..offset + allowed].copy_from_slice(&bytes[..allowed]);
        file.durable = file.durable.min(offset);
        file.modified = now;
        Ok(allowed)
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let disk = self.disk.0.lock();
        let file = disk.files.get(&self.name).ok_or_else(broken)?;
        let rest = file.bytes.get(offset as usize..).unwrap_or_default();
        let length = rest.len().min(buffer.len());
        buffer[..length].copy_from_slice(&rest[..length]);
        Ok(length)
    }

    fn length(&self) -> io::Result<u64> {
        Ok(self.disk.length(self.name) as u64)
    }

    fn truncate(&self, length: u64) -> io::Result<()> {
        let mut disk = self.disk.0.lock();
        if disk.faults.truncate_fails {
            return Err(broken());
        }
        let file = disk.files.get_mut(&self.name).ok_or_else(broken)?;
        file.bytes.truncate(length as usize);
        file.durable = file.durable.min(file.bytes.len());
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        let mut disk = self.disk.0.lock();
        let fails = disk.faults.sync_fails;
        let file = disk.files.get_mut(&self.name).ok_or_else(broken)?;
        if fails {
            file.pages_dropped = true;
            return Err(broken());
        }
        if !file.pages_dropped {
            file.durable = file.bytes.len();
        }
        Ok(())
    }
}
