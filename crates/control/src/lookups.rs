//! What the data plane asks on a miss: a credential made a moment ago, or who owns an id of a provider.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::Shared;
use parking_lot::Mutex;
use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tokio::time::Instant;
use tollgate_core::OrganizationId;
use tollgate_state::ports::{Answer, Lookups, ProviderObjectOwner, Unavailable};
use tollgate_state::{ActiveCredential, CredentialLookup};

use crate::connection::Connection;
use crate::publisher::active_credentials;

/// The most questions that the store is asked at the same time.
const CONCURRENT: usize = 64;
/// How long "does not exist" is believed.
const NEGATIVE_FOR: Duration = Duration::from_secs(1);
/// The most look-ups that are remembered; beyond it, absent ones are asked again each time.
const REMEMBERED: usize = 10_000;
/// How long a caller waits before the store counts as unavailable.
const PATIENCE: Duration = Duration::from_secs(3);

type Found = Result<Option<Arc<ActiveCredential>>, Unavailable>;
type Question = Shared<Answer<Option<Arc<ActiveCredential>>>>;

enum Memory {
    Asking(Question),
    AbsentUntil(Instant),
}

/// Look-ups in the store. Callers may be on any thread; the work is done on the control plane's runtime.
pub(crate) struct StoreLookups {
    connection: Arc<Connection>,
    runtime: Handle,
    permits: Arc<Semaphore>,
    memory: Mutex<HashMap<CredentialLookup, Memory>>,
}

impl std::fmt::Debug for StoreLookups {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("StoreLookups(…)")
    }
}

impl StoreLookups {
    pub(crate) fn on(connection: Arc<Connection>, runtime: Handle) -> Arc<dyn Lookups> {
        Arc::new(Shareable(Arc::new(Self {
            connection,
            runtime,
            permits: Arc::new(Semaphore::new(CONCURRENT)),
            memory: Mutex::default(),
        })))
    }

    /// Runs a question on the control plane's runtime, with the permits and the patience that it has.
    fn ask<T: Send + 'static>(
        &self,
        question: impl Future<Output = Result<T, Unavailable>> + Send + 'static,
    ) -> Answer<T> {
        let permits = Arc::clone(&self.permits);
        let task = self.runtime.spawn(tokio::time::timeout(PATIENCE, async move {
            let _permit = permits.acquire().await.map_err(|_| unavailable("Tollgate is stopping"))?;
            question.await
        }));
        Box::pin(async move {
            match task.await {
                Ok(Ok(answer)) => answer,
                Ok(Err(_)) => Err(unavailable("it did not answer in time")),
                Err(_) => Err(unavailable("Tollgate is stopping")),
            }
        })
    }

    async fn find(self: Arc<Self>, lookup: CredentialLookup) -> Found {
        let found = self.find_in_store(lookup).await;
        let mut memory = self.memory.lock();
        match &found {
            Ok(None) => {
                let now = Instant::now();
                if memory.len() >= REMEMBERED {
                    memory.retain(|_, known| !matches!(known, Memory::AbsentUntil(end) if *end <= now));
                }
                if memory.len() < REMEMBERED || memory.contains_key(&lookup) {
                    memory.insert(lookup, Memory::AbsentUntil(now + NEGATIVE_FOR));
                }
            }
            _ => {
                memory.remove(&lookup);
            }
        }
        found
    }

    async fn find_in_store(&self, lookup: CredentialLookup) -> Found {
        let installation = self.connection.open().await.map_err(unavailable)?;
        let found = installation.store.system_find_credential(lookup).await.map_err(unavailable)?;
        let Some(stored) = found else { return Ok(None) };
        let credentials = active_credentials(installation, &stored).await.map_err(unavailable)?;
        Ok(credentials.into_iter().find(|credential| credential.lookup == lookup).map(Arc::new))
    }
}

fn unavailable(reason: impl ToString) -> Unavailable {
    Unavailable { reason: reason.to_string() }
}

/// Questions outlive the caller that asked first, so they hold the whole.
struct Shareable(Arc<StoreLookups>);

impl Lookups for Shareable {
    fn credential(&self, lookup: CredentialLookup) -> Answer<Option<Arc<ActiveCredential>>> {
        let mut memory = self.0.memory.lock();
        match memory.get(&lookup) {
            Some(Memory::AbsentUntil(end)) if Instant::now() < *end => return Box::pin(async { Ok(None) }),
            Some(Memory::Asking(question)) => return Box::pin(question.clone()),
            _ => {}
        }
        let question = self.0.ask(Arc::clone(&self.0).find(lookup)).shared();
        memory.insert(lookup, Memory::Asking(question.clone()));
        let lookups = Arc::clone(&self.0);
        Box::pin(async move {
            let found = question.await;
            if found.is_err() {
                // A question that was given up did not clean up after itself.
                lookups.memory.lock().remove(&lookup);
            }
            found
        })
    }

    fn provider_object(
        &self,
        organization_id: OrganizationId,
        object_id: &str,
    ) -> Answer<Option<ProviderObjectOwner>> {
        let (connection, object_id) = (Arc::clone(&self.0.connection), object_id.to_owned());
        self.0.ask(async move {
            let installation = connection.open().await.map_err(unavailable)?;
            let found = installation.store.system_find_provider_object(organization_id, &object_id).await;
            found.map_err(unavailable)
        })
    }
}
