//! The store and the journal before anything is served: opened, and on the first start filled.

use std::sync::Arc;

use anyhow::Context;
use tollgate_control::{Connection, Installation, bootstrap};
use tollgate_core::{SecretText, SystemClock};
use tollgate_ledger::journal::{DiskStorage, Journal, JournalOptions};

use super::data_directory::DataDirectory;
use super::demo::{self, Demo};
use super::process::Surroundings;
use super::settings::Chosen;
use super::{DATABASE_FILE_NAME, detect, reload};

/// What the first steps in the store gave.
#[derive(Default)]
pub(super) struct FirstSteps {
    pub(super) admin_token: Option<SecretText>,
    pub(super) demo: Option<Demo>,
    pub(super) findings: Vec<String>,
}

/// The store's URL or file.
pub(super) fn location(chosen: &Chosen, directory: &DataDirectory) -> anyhow::Result<String> {
    match &chosen.database {
        Some(url) => Ok(url.clone()),
        None => {
            let path = directory.join(DATABASE_FILE_NAME);
            Ok(path.to_str().context("the path of the data directory must be valid UTF-8")?.to_owned())
        }
    }
}

/// What is done in the store before anything is served. A store that cannot be reached now is no first start.
pub(super) async fn first_steps(
    with: &Surroundings<'_>,
    connection: &Connection,
    tls: &Arc<rustls::ClientConfig>,
) -> anyhow::Result<FirstSteps> {
    let installation: &Installation = match connection.open().await {
        Ok(installation) => installation,
        Err(error) if error.is_unavailable() => {
            tracing::warn!(%error, "the store cannot be reached; files are applied at the next start or SIGHUP");
            return Ok(FirstSteps::default());
        }
        Err(error) => return Err(error.into()),
    };
    let admin_token = bootstrap::first_admin_credential(installation).await?;
    if let Some(objects) = &with.chosen.objects {
        let writes = reload::apply_files(objects, connection).await.context("applying the configuration")?;
        tracing::info!(writes, "the objects of the configuration are in the store");
    }
    let demo = match with.options.demo {
        true => Some(demo::start(with.directory, installation).await?),
        false => None,
    };
    let findings = if with.options.detect { detect::detect(installation, tls).await? } else { Vec::new() };
    Ok(FirstSteps { admin_token, demo, findings })
}

/// Opens the journal of this directory, above all that was ever shipped from it.
pub(super) async fn open_journal(
    chosen: &Chosen,
    directory: &DataDirectory,
    connection: &Connection,
) -> anyhow::Result<Journal> {
    let instance_id = directory.instance_id()?;
    let mut options = JournalOptions::new(instance_id);
    options.durability = chosen.durability;
    if let Some(installation) = connection.get() {
        let positions = installation.store.system_shipping_positions(instance_id).await?;
        options.minimum_epoch = positions.iter().map(|shipped| shipped.position.epoch).max().unwrap_or(0);
    }
    let storage = DiskStorage::open(directory.join("journal")).context("could not open the journal")?;
    Ok(Journal::open(Arc::new(storage), Arc::new(SystemClock), options)?)
}
