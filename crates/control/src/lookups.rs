//! What the data plane asks on a miss: a credential made a moment ago, or who owns an id of a provider.

use std::collections::HashMap;
use std::future::ready;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use futures_util::future::Shared;
use parking_lot::Mutex;
use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tollgate_core::OrganizationId;
use tollgate_state::ports::{Answer, Lookups, ProviderObjectOwner, Unavailable};
use tollgate_state::{ActiveCredential, CredentialLookup};

use crate::connection::Connection;
use crate::misses::{Misses, TOO_MANY};
use crate::publisher::active_credentials;

/// The most questions that the store is asked at the same time.
const CONCURRENT: usize = 64;
/// The most credentials that are asked for at the same time, waiting ones among them.
const ASKED: usize = 256;
/// How long a caller waits before the store counts as unavailable.
const PATIENCE: Duration = Duration::from_secs(3);

type Found = Result<Option<Arc<ActiveCredential>>, Unavailable>;
type Question = Shared<Answer<Option<Arc<ActiveCredential>>>>;

struct Memory {
    asking: HashMap<CredentialLookup, Question>,
    misses: Misses<CredentialLookup>,
}

/// Look-ups in the store. Callers may be on any thread; the work is done on the control plane's runtime.
pub(crate) struct StoreLookups {
    connection: Arc<Connection>,
    runtime: Handle,
    permits: Semaphore,
    memory: Mutex<Memory>,
}

impl std::fmt::Debug for StoreLookups {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("StoreLookups(…)")
    }
}

impl StoreLookups {
    pub(crate) fn on(connection: Arc<Connection>, runtime: Handle) -> Arc<dyn Lookups> {
        Arc::new(Shareable::on(connection, runtime))
    }

    /// Runs a question on the control plane's runtime.
    fn spawn<T: Send + 'static>(
        &self,
        question: impl Future<Output = Result<T, Unavailable>> + Send + 'static,
    ) -> Answer<T> {
        let task = self.runtime.spawn(question);
        Box::pin(async move { task.await.unwrap_or_else(|_| Err(unavailable("Tollgate is stopping"))) })
    }

    /// A question with the permits and the patience that it has.
    async fn bounded<T>(
        &self,
        question: impl Future<Output = Result<T, Unavailable>>,
    ) -> Result<T, Unavailable> {
        let permitted = async {
            let _permit = self.permits.acquire().await.map_err(|_| unavailable("Tollgate is stopping"))?;
            question.await
        };
        let answered = tokio::time::timeout(PATIENCE, permitted).await;
        answered.unwrap_or_else(|_| Err(unavailable("it did not answer in time")))
    }

    async fn find(self: Arc<Self>, lookup: CredentialLookup) -> Found {
        let _asked = Asked { lookups: &self, lookup };
        let found = self.bounded(self.find_in_store(lookup)).await;
        match &found {
            Ok(None) => self.memory.lock().misses.remember(lookup, Instant::now()),
            Ok(Some(_)) => self.memory.lock().misses.found(),
            Err(_) => {}
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

/// A question that is being asked. However it ends, the next caller asks anew.
struct Asked<'a> {
    lookups: &'a StoreLookups,
    lookup: CredentialLookup,
}

impl Drop for Asked<'_> {
    fn drop(&mut self) {
        self.lookups.memory.lock().asking.remove(&self.lookup);
    }
}

/// Questions outlive the caller that asked first, so they hold the whole.
struct Shareable(Arc<StoreLookups>);

impl Shareable {
    fn on(connection: Arc<Connection>, runtime: Handle) -> Self {
        let memory = Memory { asking: HashMap::new(), misses: Misses::new(Instant::now()) };
        let permits = Semaphore::new(CONCURRENT);
        Self(Arc::new(StoreLookups { connection, runtime, permits, memory: Mutex::new(memory) }))
    }
}

impl Lookups for Shareable {
    fn credential(&self, lookup: CredentialLookup) -> Answer<Option<Arc<ActiveCredential>>> {
        let now = Instant::now();
        let mut memory = self.0.memory.lock();
        if let Some(question) = memory.asking.get(&lookup) {
            return Box::pin(question.clone());
        }
        if memory.misses.is_absent(&lookup, now) {
            return Box::pin(ready(Ok(None)));
        }
        if memory.asking.len() >= ASKED || !memory.misses.may_ask(now) {
            return Box::pin(ready(Err(unavailable(TOO_MANY))));
        }
        let question = self.0.spawn(Arc::clone(&self.0).find(lookup)).shared();
        memory.asking.insert(lookup, question.clone());
        Box::pin(question)
    }

    fn provider_object(
        &self,
        organization_id: OrganizationId,
        object_id: &str,
    ) -> Answer<Option<ProviderObjectOwner>> {
        let (lookups, object_id) = (Arc::clone(&self.0), object_id.to_owned());
        self.0.spawn(async move {
            let asked = async {
                let installation = lookups.connection.open().await.map_err(unavailable)?;
                let found = installation.store.system_find_provider_object(organization_id, &object_id).await;
                found.map_err(unavailable)
            };
            lookups.bounded(asked).await
        })
    }
}

#[cfg(test)]
mod tests {
    use tollgate_access::RootKey;

    use super::*;
    use crate::test_plane::ROOT;

    fn on_a_new_store() -> (tempfile::TempDir, Shareable) {
        let directory = tempfile::tempdir().unwrap();
        let location = directory.path().join("store.db");
        let connection = Connection::new(location.to_str().unwrap(), RootKey::from_bytes(ROOT));
        (directory, Shareable::on(Arc::new(connection), Handle::current()))
    }

    fn invented(number: usize) -> CredentialLookup {
        CredentialLookup(format!("{number:012}").into_bytes().try_into().unwrap())
    }

    #[tokio::test]
    async fn invented_keys_wait_in_bounded_number_and_leave_nothing_behind() {
        let (_directory, lookups) = on_a_new_store();
        // Nothing is answered before the first await: all of these wait.
        let questions: Vec<_> = (0..ASKED).map(|number| lookups.credential(invented(number))).collect();
        let refused = lookups.credential(invented(ASKED)).await.unwrap_err();
        assert!(refused.reason.contains("too many"), "{refused}");
        let again = lookups.credential(invented(0));
        for question in questions {
            assert!(question.await.unwrap().is_none());
        }
        assert!(again.await.unwrap().is_none());
        assert!(lookups.0.memory.lock().asking.is_empty());
        let absent = lookups.credential(invented(ASKED - 1));
        assert!(lookups.0.memory.lock().asking.is_empty(), "what is absent is not asked again at once");
        assert!(absent.await.unwrap().is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn a_question_that_nobody_waits_for_ends_with_its_patience() {
        let (_directory, lookups) = on_a_new_store();
        let permits = lookups.0.permits.acquire_many(CONCURRENT as u32).await.unwrap();
        drop(lookups.credential(invented(1)));
        tokio::time::sleep(PATIENCE + Duration::from_millis(10)).await;
        assert!(lookups.0.memory.lock().asking.is_empty());
        drop(permits);
    }
}
