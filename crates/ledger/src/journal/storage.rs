//! The few file operations that the journal needs, as a trait, so that tests can make each of them fail.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tollgate_core::UnixMicros;

use super::format::SegmentName;

/// Where segments live.
pub trait Storage: Send + Sync {
    /// All segments of all cores, in any order.
    fn list(&self) -> io::Result<Vec<SegmentName>>;
    /// Makes a new, empty segment; an existing one is an error.
    fn create(&self, name: SegmentName) -> io::Result<Arc<dyn SegmentFile>>;
    /// Opens a segment for reading.
    fn open(&self, name: SegmentName) -> io::Result<Arc<dyn SegmentFile>>;
    fn remove(&self, name: SegmentName) -> io::Result<()>;
    /// When the segment was last written.
    fn modified(&self, name: SegmentName) -> io::Result<UnixMicros>;
    /// Makes the creation of segments of this core survive loss of power.
    fn sync_directory(&self, core: u16) -> io::Result<()>;
    /// What an unprivileged process may still write.
    fn free_bytes(&self) -> io::Result<u64>;
}

/// One open segment.
pub trait SegmentFile: Send + Sync {
    /// Writes a prefix of `bytes` at `offset` and says how long it was; the bytes have reached the kernel.
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize>;
    /// Zero at the end of the file.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize>;
    fn length(&self) -> io::Result<u64>;
    fn truncate(&self, length: u64) -> io::Result<()>;
    /// Returns once all that was written before survives loss of power.
    fn sync(&self) -> io::Result<()>;
}

pub(super) fn write_all_at(file: &dyn SegmentFile, mut bytes: &[u8], mut offset: u64) -> io::Result<()> {
    while !bytes.is_empty() {
        match file.write_at(bytes, offset) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => {
                bytes = bytes.get(written..).unwrap_or_default();
                offset += written as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Fills as much of `buffer` as the file has.
pub(super) fn read_full_at(file: &dyn SegmentFile, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    let mut filled = 0;
    while let Some(rest) = buffer.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match file.read_at(rest, offset + filled as u64) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

/// Files below one directory, a subdirectory per core.
#[derive(Debug, Clone)]
pub struct DiskStorage {
    root: PathBuf,
}

impl DiskStorage {
    /// Makes the directory if it is missing. Its owner holds the lock of the data directory.
    pub fn open(root: impl Into<PathBuf>) -> io::Result<Self> {
        let root = root.into();
        make_private_directory(&root)?;
        if let Some(parent) = root.parent().filter(|parent| !parent.as_os_str().is_empty()) {
            sync_path(parent)?;
        }
        Ok(Self { root })
    }

    pub fn root(&self) -> &Path {
        &self.root
    }
}

/// Records tell who asked what and when: only their owner may read them.
fn make_private_directory(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}

fn sync_path(directory: &Path) -> io::Result<()> {
    File::open(directory)?.sync_all()
}

impl Storage for DiskStorage {
    fn list(&self) -> io::Result<Vec<SegmentName>> {
        let mut names = Vec::new();
        for directory in fs::read_dir(&self.root)? {
            let directory = directory?;
            let Some(core) = directory.file_name().to_str().and_then(|name| name.parse::<u16>().ok()) else {
                continue;
            };
            for file in fs::read_dir(directory.path())? {
                names.extend(file?.file_name().to_str().and_then(|name| SegmentName::parse(core, name)));
            }
        }
        Ok(names)
    }

    fn create(&self, name: SegmentName) -> io::Result<Arc<dyn SegmentFile>> {
        let path = self.root.join(name.path());
        if let Some(directory) = path.parent()
            && !directory.is_dir()
        {
            make_private_directory(directory)?;
            sync_path(&self.root)?;
        }
        let mut options = OpenOptions::new();
        Ok(Arc::new(options.read(true).write(true).create_new(true).mode(0o600).open(path)?))
    }

    fn open(&self, name: SegmentName) -> io::Result<Arc<dyn SegmentFile>> {
        Ok(Arc::new(File::open(self.root.join(name.path()))?))
    }

    fn remove(&self, name: SegmentName) -> io::Result<()> {
        fs::remove_file(self.root.join(name.path()))
    }

    fn modified(&self, name: SegmentName) -> io::Result<UnixMicros> {
        let modified = fs::metadata(self.root.join(name.path()))?.modified()?;
        let since_epoch = modified.duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        Ok(UnixMicros::default().plus(since_epoch))
    }

    fn sync_directory(&self, core: u16) -> io::Result<()> {
        sync_path(&self.root.join(core.to_string()))
    }

    fn free_bytes(&self) -> io::Result<u64> {
        let facts = rustix::fs::statvfs(&self.root)?;
        Ok(facts.f_bavail.saturating_mul(facts.f_frsize))
    }
}

impl SegmentFile for File {
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        FileExt::write_at(self, bytes, offset)
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        FileExt::read_at(self, buffer, offset)
    }

    fn length(&self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }

    fn truncate(&self, length: u64) -> io::Result<()> {
        self.set_len(length)
    }

    fn sync(&self) -> io::Result<()> {
        self.sync_data()
    }
}
