//! From the store to the data plane: loads, builds, publishes, and keeps what is published fresh.

mod last_known_good;
mod outcome;
mod source;

use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use parking_lot::Mutex as SyncMutex;
use tokio::sync::{Mutex, Notify, watch};
use tollgate_core::KeyId;
use tollgate_state::Snapshot;
use tollgate_state::build::build;
use tollgate_state::governance::Governance;
use tollgate_store::{Changes, Keys, ObjectKind};

use crate::connection::{Connection, Installation, OpenError};
use crate::ports::SnapshotSink;
pub use last_known_good::LastKnownGoodError;
pub use outcome::{Boot, BootError, PublishError, PublishStatus};

use last_known_good::LastKnownGood;
pub(crate) use source::{active_credentials, load};

/// How often the store is asked whether another process wrote.
const POLL_INTERVAL: Duration = Duration::from_millis(500);
/// The last-known-good file is written at most this often.
const LAST_KNOWN_GOOD_PAUSE: Duration = Duration::from_secs(2);
/// With more changed keys than this, reading all at once is cheaper than one by one.
const MANY_KEYS: usize = 2_000;

/// Publishes the store's configuration to one sink.
pub struct Publisher {
    connection: Arc<Connection>,
    sink: OnceLock<Arc<dyn SnapshotSink>>,
    published: Mutex<Published>,
    status: SyncMutex<PublishStatus>,
    file: LastKnownGood,
    file_due: Notify,
    /// Held while the file is made, so that an older content never replaces a newer one.
    saving: Mutex<()>,
}

impl std::fmt::Debug for Publisher {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Publisher").field("status", &*self.status.lock()).finish_non_exhaustive()
    }
}

#[derive(Default)]
struct Published {
    snapshot: Snapshot,
    /// Whether anything was read from the store; what comes from the file is not gone on from.
    from_store: bool,
    /// Models or providers changed and could not be taken over yet.
    models_pending: bool,
    /// Budgets or limits changed and could not be taken over yet.
    governance_pending: bool,
}

impl Published {
    fn of_store(snapshot: Snapshot) -> Self {
        Self { snapshot, from_store: true, models_pending: false, governance_pending: false }
    }
}

impl Publisher {
    pub(crate) fn new(connection: Arc<Connection>, data_directory: &Path) -> Arc<Self> {
        Arc::new(Self {
            connection,
            sink: OnceLock::new(),
            published: Mutex::default(),
            status: SyncMutex::default(),
            file: LastKnownGood::in_directory(data_directory),
            file_due: Notify::new(),
            saving: Mutex::default(),
        })
    }

    /// The connection and what it has become.
    pub fn status(&self) -> PublishStatus {
        self.status.lock().clone()
    }

    pub(crate) async fn boot(&self, sink: Arc<dyn SnapshotSink>) -> Result<Boot, BootError> {
        let _ = self.sink.set(sink);
        let cause = match self.connection.open().await {
            Ok(installation) => match self.publish_from(installation).await {
                Ok(()) => {
                    let peppers =
                        installation.open_peppers().ring().ok_or(PublishError::from(OpenError::NoPepper))?;
                    return Ok(Boot {
                        peppers,
                        version: self.status().published_version,
                        from_last_known_good: None,
                    });
                }
                Err(error) => error,
            },
            Err(error) => error.into(),
        };
        match &cause {
            PublishError::Refused(_) => {}
            PublishError::Open(error) if error.is_unavailable() => {}
            _ => return Err(cause.into()),
        }
        let boot = self.boot_from_file(&cause).await?;
        self.note(&Err(cause));
        Ok(boot)
    }

    async fn boot_from_file(&self, cause: &PublishError) -> Result<Boot, BootError> {
        let nothing = |file| BootError::NothingToStartFrom { cause: cause.to_string(), file };
        let (configuration, peppers) = self.file.read(self.connection.root()).await.map_err(nothing)?;
        let ring = peppers.ring().ok_or(PublishError::from(OpenError::NoPepper))?;
        let mut published = self.published.lock().await;
        published.snapshot = build(&configuration).map_err(PublishError::from)?;
        self.hand_over(&published.snapshot)?;
        self.status.lock().from_last_known_good = true;
        let version = configuration.version;
        tracing::warn!(version, %cause, "started from the last-known-good configuration");
        Ok(Boot { peppers: ring, version, from_last_known_good: Some(cause.to_string()) })
    }

    /// Publishes what the store holds now. When this returns, new requests see every write that was committed before
    /// the call.
    pub async fn publish_latest(&self) -> Result<(), PublishError> {
        let outcome = match self.connection.open().await {
            Ok(installation) => self.publish_from(installation).await,
            Err(error) => Err(error.into()),
        };
        self.note(&outcome);
        outcome
    }

    async fn publish_from(&self, installation: &Installation) -> Result<(), PublishError> {
        let mut published = self.published.lock().await;
        if !published.from_store {
            return self.publish_everything(installation, &mut published).await;
        }
        let since = published.snapshot.version;
        let changes = installation.store.system_changes_since(since).await?;
        if changes.version == since && !published.models_pending && !published.governance_pending {
            return Ok(());
        }
        let keys = changed_keys(&changes);
        // A lower version than the one published means that a backup was restored.
        if keys.len() > MANY_KEYS || changes.version < since {
            return self.publish_everything(installation, &mut published).await;
        }
        // Keys first and by themselves: a configuration that cannot be used must not keep a revoked key alive.
        let next = source::with_keys(installation, &published.snapshot, changes.version, &keys).await?;
        let changed = |of: fn(ObjectKind) -> bool| changes.changes.iter().any(|change| of(change.kind));
        published.models_pending |= changed(rebuilds_models);
        published.governance_pending |= changed(rebuilds_governance);
        let mut problem = None;
        if published.models_pending || published.governance_pending {
            match self.take_over_objects(installation, &next, published.models_pending).await {
                Ok(rebuilt) => {
                    *published = Published::of_store(rebuilt);
                    self.file_due.notify_one();
                    return Ok(());
                }
                Err(error) => problem = Some(error),
            }
        }
        self.hand_over(&next)?;
        published.snapshot = next;
        self.file_due.notify_one();
        problem.map_or(Ok(()), Err)
    }

    async fn publish_everything(
        &self,
        installation: &Installation,
        published: &mut Published,
    ) -> Result<(), PublishError> {
        let configuration = load(installation, Keys::Include).await?;
        let snapshot = build(&configuration)?;
        drop(configuration);
        self.hand_over(&snapshot)?;
        *published = Published::of_store(snapshot);
        self.file_due.notify_one();
        Ok(())
    }

    /// Publishes the same credentials with budgets and limits as the store has them now, and where `with_models` with
    /// models and providers as well.
    async fn take_over_objects(
        &self,
        installation: &Installation,
        next: &Snapshot,
        with_models: bool,
    ) -> Result<Snapshot, PublishError> {
        let configuration = load(installation, Keys::Omit).await?;
        let mut rebuilt = if with_models {
            next.with_models_of(&build(&configuration)?)
        } else {
            next.with_governance(Governance::new(&configuration.budgets, &configuration.limits))
        };
        // What was written since the changes were read is read again, once more for nothing.
        rebuilt.version = next.version;
        self.hand_over(&rebuilt)?;
        Ok(rebuilt)
    }

    fn hand_over(&self, snapshot: &Snapshot) -> Result<(), PublishError> {
        let sink = self.sink.get().ok_or(PublishError::NotConnected)?;
        sink.publish(Arc::new(snapshot.clone())).map_err(PublishError::Refused)?;
        let mut status = self.status.lock();
        status.published_version = snapshot.version;
        status.credentials = snapshot.credential_count();
        Ok(())
    }

    /// Keeps the outcome for the status, and logs it when it is news.
    fn note(&self, outcome: &Result<(), PublishError>) {
        let mut status = self.status.lock();
        match outcome {
            Ok(()) => {
                if status.store_problem.take().is_some() {
                    tracing::info!("the store answers again");
                }
                status.problems.clear();
                status.from_last_known_good = false;
            }
            Err(PublishError::Refused(problems)) => {
                if status.problems != *problems {
                    tracing::error!(
                        ?problems,
                        "the configuration cannot be used; requests see the one before"
                    );
                }
                status.problems.clone_from(problems);
                status.store_problem = None;
            }
            Err(error) => {
                let text = error.to_string();
                if status.store_problem.as_ref() != Some(&text) {
                    tracing::warn!(%error, "the store cannot be asked for changes; requests see what was published");
                }
                status.store_problem = Some(text);
            }
        }
    }

    /// Asks for other processes' writes and keeps the last-known-good file, until told to stop.
    pub(crate) async fn run(self: Arc<Self>, mut stopped: watch::Receiver<bool>) {
        let polling = async {
            let mut interval = tokio::time::interval(POLL_INTERVAL);
            interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
            loop {
                interval.tick().await;
                let _ = self.publish_latest().await;
            }
        };
        let saving = async {
            loop {
                self.file_due.notified().await;
                let started = tokio::time::Instant::now();
                if let Err(error) = self.save_last_known_good().await {
                    tracing::warn!(%error, "the last-known-good configuration was not written");
                }
                // Very many keys take a while to write; that must not become all that this thread does.
                let pause = LAST_KNOWN_GOOD_PAUSE.max(started.elapsed() * 20);
                tokio::time::sleep(pause).await;
            }
        };
        tokio::select! {
            () = polling => {}
            () = saving => {}
            _ = stopped.wait_for(|stopped| *stopped) => {}
        }
    }

    /// Writes the file from which the data plane starts when the store is down.
    pub async fn save_last_known_good(&self) -> Result<(), LastKnownGoodError> {
        let _saving = self.saving.lock().await;
        let installation = self.connection.open().await?;
        let configuration = load(installation, Keys::Include).await?;
        self.file.write(self.connection.root(), configuration, installation.open_peppers()).await
    }
}

fn changed_keys(changes: &Changes) -> Vec<KeyId> {
    let keys = changes.changes.iter().filter(|change| change.kind == ObjectKind::Key);
    let mut ids: Vec<_> = keys.map(|change| KeyId::from_uuid(change.id)).collect();
    ids.sort_unstable();
    ids.dedup();
    ids
}

/// Whether a change of such an object changes what is counted.
const fn rebuilds_governance(kind: ObjectKind) -> bool {
    matches!(kind, ObjectKind::Budget | ObjectKind::Increase | ObjectKind::Limit)
}

/// Whether a change of such an object changes what can be asked for. Teams and projects are seen through their keys.
const fn rebuilds_models(kind: ObjectKind) -> bool {
    matches!(
        kind,
        ObjectKind::Organization | ObjectKind::Provider | ObjectKind::Model | ObjectKind::Deployment
    )
}

#[cfg(test)]
mod tests;
