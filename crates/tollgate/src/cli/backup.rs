//! `tollgate backup`, `restore` and `store copy`: commands that touch local files.

use std::fs::File;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use clap::{Args, Subcommand};
use tollgate_access::{RootKey, root_key};
use tollgate_store::Store;

use super::output;
use crate::serve::{DATABASE_FILE_NAME, DataDirectory, create_private, remove_leftover};

/// Where an installation is kept.
#[derive(Debug, Args)]
pub(crate) struct Place {
    /// Data directory
    #[arg(long, env = "TOLLGATE_DATA", value_name = "DIRECTORY", default_value = "data")]
    data: PathBuf,
    /// PostgreSQL instead of the SQLite file in the data directory
    #[arg(long, env = "TOLLGATE_DATABASE_URL", hide_env_values = true, value_name = "URL")]
    database: Option<String>,
    /// File with the root key, if it is not in the data directory
    #[arg(long, env = "TOLLGATE_ROOT_KEY_FILE", value_name = "FILE")]
    root_key_file: Option<PathBuf>,
}

impl Place {
    /// The store's URL or file, which must exist.
    pub(crate) fn location(&self) -> anyhow::Result<String> {
        if let Some(url) = &self.database {
            return Ok(url.clone());
        }
        let path = self.data.join(DATABASE_FILE_NAME);
        if !path.is_file() {
            bail!(
                "there is no store at {}: name the data directory with --data, or start `tollgate serve` first",
                path.display()
            );
        }
        Ok(utf8(&path)?.to_owned())
    }

    /// The root key, which must exist.
    pub(crate) fn root_key(&self) -> anyhow::Result<RootKey> {
        let environment = std::env::var(root_key::ENVIRONMENT_VARIABLE).ok();
        let own = self.data.join(root_key::DEFAULT_FILE_NAME);
        if self.root_key_file.is_none() && environment.is_none() && !own.is_file() {
            bail!("there is no root key at {}: name the data directory with --data", own.display());
        }
        Ok(RootKey::find(self.root_key_file.as_deref(), environment.as_deref(), &self.data)?)
    }
}

fn utf8(path: &Path) -> anyhow::Result<&str> {
    path.to_str().with_context(|| format!("the path {} must be valid UTF-8", path.display()))
}

#[derive(Debug, Args)]
pub(crate) struct Backup {
    /// The file to write; it must not exist yet
    file: PathBuf,
    #[command(flatten)]
    place: Place,
}

#[derive(Debug, Args)]
pub(crate) struct Restore {
    /// A file that `tollgate backup` wrote
    file: PathBuf,
    /// The data directory to make; it must hold no store yet
    #[arg(long, env = "TOLLGATE_DATA", value_name = "DIRECTORY", default_value = "data")]
    data: PathBuf,
}

/// Work on the store itself
#[derive(Debug, Subcommand)]
pub(crate) enum StoreCommand {
    /// Copy everything into an empty database, usually from SQLite to PostgreSQL. Stop Tollgate first
    Copy {
        /// Where from: a postgres:// URL or an SQLite file
        #[arg(long, value_name = "STORE")]
        from: String,
        /// Where to: a postgres:// URL or an SQLite file, without data
        #[arg(long, value_name = "STORE")]
        to: String,
    },
}

/// Writes a consistent copy of the store, also while Tollgate runs.
pub(crate) async fn backup(options: Backup) -> anyhow::Result<()> {
    let location = options.place.location()?;
    let mut beside = options.file.as_os_str().to_owned();
    beside.push(".partial");
    let beside = PathBuf::from(beside);
    if options.file.exists() {
        bail!("{} exists already; name a new file", options.file.display());
    }
    remove_leftover(&beside).with_context(|| format!("could not write {}", beside.display()))?;
    let store = Store::open(&location).await?;
    let written = store.backup_to(&beside).await;
    store.close().await;
    written?;
    let finish = || -> std::io::Result<()> {
        File::open(&beside)?.sync_all()?;
        std::fs::rename(&beside, &options.file)
    };
    finish().with_context(|| format!("could not write {}", options.file.display()))?;
    output::line(format!("wrote {}", options.file.display()))?;
    output::note(
        "the root key is not in it: keep that apart (root.key in the data directory, or your own), without it the \
         secrets in this backup cannot be opened",
    );
    Ok(())
}

/// Puts a backup where `tollgate serve` finds it.
pub(crate) fn restore(options: &Restore) -> anyhow::Result<()> {
    let directory = DataDirectory::open(&options.data)?;
    let target = directory.join(DATABASE_FILE_NAME);
    if target.exists() {
        bail!("{} exists already: restore into an empty data directory", target.display());
    }
    let problem = || format!("could not read {}", options.file.display());
    let mut source = File::open(&options.file).with_context(problem)?;
    let mut start = [0; 16];
    std::io::Read::read_exact(&mut source, &mut start).with_context(problem)?;
    if &start != b"SQLite format 3\0" {
        bail!("{} is not a backup of Tollgate", options.file.display());
    }
    std::io::Seek::rewind(&mut source).with_context(problem)?;
    let beside = target.with_extension("new");
    let copy = || -> std::io::Result<()> {
        let mut file = create_private(&beside)?;
        std::io::copy(&mut source, &mut file)?;
        file.sync_all()?;
        std::fs::rename(&beside, &target)
    };
    let mut copy = copy;
    copy().with_context(|| format!("could not write {}", target.display()))?;
    output::line(format!("restored into {}", directory.path().display()))?;
    if !directory.join(root_key::DEFAULT_FILE_NAME).exists() {
        output::note(
            "put the root key of the backed-up installation there too (root.key, mode 0600) before `tollgate serve`",
        );
    }
    Ok(())
}

fn lock(location: &str) -> anyhow::Result<Option<DataDirectory>> {
    let path =
        location.strip_prefix("sqlite:").map_or(location, |rest| rest.strip_prefix("//").unwrap_or(rest));
    if path.contains("://") { Ok(None) } else { DataDirectory::around(Path::new(path)) }
}

pub(crate) async fn run(command: StoreCommand) -> anyhow::Result<()> {
    let StoreCommand::Copy { from, to } = command;
    if !from.contains("://") && !Path::new(&from).is_file() {
        bail!("there is no store at {from}");
    }
    // A process that goes on writing would lose what it writes behind the copy.
    let _source_lock = lock(&from)?;
    let _target_lock = lock(&to)?;
    let source = Store::open(&from).await.context("opening the store to copy from")?;
    let target = Store::open(&to).await.context("opening the store to copy to")?;
    let rows = source.copy_to(&target).await?;
    source.close().await;
    target.close().await;
    output::line(format!(
        "copied {rows} rows; start Tollgate with --database, the same data directory and the same root key"
    ))
}
