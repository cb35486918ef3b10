//! The data directory: one process at a time, readable by its owner only.

use std::fs::{DirBuilder, File, OpenOptions, Permissions};
use std::io::{ErrorKind, Read, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use rustix::fs::{FlockOperation, flock};
use tollgate_core::InstanceId;

const LOCK_FILE_NAME: &str = "lock";
const INSTANCE_FILE_NAME: &str = "instance-id";

/// A data directory that belongs to this process until it is dropped.
#[derive(Debug)]
pub(crate) struct DataDirectory {
    path: PathBuf,
    /// The lock goes with the descriptor, also when the process is killed.
    _lock: File,
}

impl DataDirectory {
    /// Makes the directory if it is missing, and locks it.
    pub(crate) fn open(path: &Path) -> anyhow::Result<Self> {
        let made = DirBuilder::new().recursive(true).mode(0o700).create(path);
        made.with_context(|| format!("could not make the data directory {}", path.display()))?;
        let path = path.canonicalize().with_context(|| format!("could not use {}", path.display()))?;
        keep_to_owner(&path)?;
        let lock_path = path.join(LOCK_FILE_NAME);
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false).mode(0o600);
        let mut lock =
            options.open(&lock_path).with_context(|| format!("could not open {}", lock_path.display()))?;
        if flock(&lock, FlockOperation::NonBlockingLockExclusive).is_err() {
            let mut owner = String::new();
            let _ = lock.read_to_string(&mut owner);
            bail!(
                "another Tollgate (process {}) uses the data directory {}: stop it, or give this one its own with --data",
                owner.trim(),
                path.display()
            );
        }
        let _ = lock.set_len(0).and_then(|()| lock.rewind());
        let _ = writeln!(lock, "{}", std::process::id());
        Ok(Self { path, _lock: lock })
    }

    /// Locks the data directory that a store's file lies in, if it lies in one.
    pub(crate) fn around(store: &Path) -> anyhow::Result<Option<Self>> {
        let directory = match store.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        if directory.join(LOCK_FILE_NAME).is_file() { Self::open(directory).map(Some) } else { Ok(None) }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn join(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Who the journal in this directory belongs to; the same at every start.
    pub(crate) fn instance_id(&self) -> anyhow::Result<InstanceId> {
        let path = self.join(INSTANCE_FILE_NAME);
        match std::fs::read_to_string(&path) {
            Ok(text) => text.trim().parse().with_context(|| {
                format!("{} was damaged; restore it, the journal beside it belongs to its id", path.display())
            }),
            Err(error) if error.kind() == ErrorKind::NotFound => {
                let id = InstanceId::generate();
                write_private(&path, format!("{id}\n").as_bytes())?;
                Ok(id)
            }
            Err(error) => Err(error).with_context(|| format!("could not read {}", path.display())),
        }
    }
}

/// Takes away what others may do with a directory that was made before, by hand or by an image.
fn keep_to_owner(path: &Path) -> anyhow::Result<()> {
    let found = std::fs::metadata(path).with_context(|| format!("could not use {}", path.display()))?;
    if found.permissions().mode() & 0o077 == 0 {
        return Ok(());
    }
    std::fs::set_permissions(path, Permissions::from_mode(0o700)).with_context(|| {
        format!(
            "others can use the data directory {}, and this process may not change that: make its owner the user that \
             runs Tollgate, and its mode 0700",
            path.display()
        )
    })
}

/// Removes what lies where a file is to be made: it may be somebody's link or open file, and nothing secret is written
/// into those.
pub(crate) fn remove_leftover(path: &Path) -> std::io::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Makes a new file that only its owner can read.
pub(crate) fn create_private(path: &Path) -> std::io::Result<File> {
    remove_leftover(path)?;
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)
}

/// Writes a file that only its owner can read: the whole content or none.
pub(crate) fn write_private(path: &Path, content: &[u8]) -> anyhow::Result<()> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(".new");
    let beside = PathBuf::from(beside);
    let write = || -> std::io::Result<()> {
        let mut file = create_private(&beside)?;
        file.write_all(content)?;
        file.sync_all()?;
        std::fs::rename(&beside, path)
    };
    write().with_context(|| format!("could not write {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_private_file_is_new_whatever_lies_in_its_way() {
        let parent = tempfile::tempdir().unwrap();
        let (path, beside) = (parent.path().join("facts.json"), parent.path().join("facts.json.new"));
        let theirs = parent.path().join("theirs");
        std::fs::write(&theirs, "").unwrap();
        std::os::unix::fs::symlink(&theirs, &beside).unwrap();
        write_private(&path, b"secret").unwrap();
        assert_eq!(std::fs::read(&theirs).unwrap(), b"");
        assert_eq!(std::fs::read(&path).unwrap(), b"secret");
        let found = std::fs::symlink_metadata(&path).unwrap();
        assert!(found.is_file() && found.permissions().mode() & 0o777 == 0o600);
        std::os::unix::fs::symlink(&theirs, parent.path().join("stale")).unwrap();
        write_private(&parent.path().join("stale"), b"secret").unwrap();
        assert_eq!(std::fs::read(&theirs).unwrap(), b"");
    }

    #[test]
    fn a_directory_that_others_can_read_is_closed_to_them() {
        let parent = tempfile::tempdir().unwrap();
        let path = parent.path().join("data");
        std::fs::create_dir(&path).unwrap();
        std::fs::set_permissions(&path, Permissions::from_mode(0o755)).unwrap();
        let _directory = DataDirectory::open(&path).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o700);
    }

    #[test]
    fn a_second_owner_is_refused_and_the_id_stays() {
        let parent = tempfile::tempdir().unwrap();
        let path = parent.path().join("data");
        let first = DataDirectory::open(&path).unwrap();
        let id = first.instance_id().unwrap();
        let refused = DataDirectory::open(&path).unwrap_err().to_string();
        assert!(refused.contains(&format!("process {}", std::process::id())), "{refused}");
        drop(first);
        assert_eq!(DataDirectory::open(&path).unwrap().instance_id().unwrap(), id);
    }
}
