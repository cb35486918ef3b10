//! What the data plane asks the control plane, and only on a miss.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use tollgate_core::{DeploymentId, KeyId, OrganizationId};

use crate::principal::Payer;
use crate::snapshot::{ActiveCredential, CredentialLookup};

/// A boxed answer that may come from another thread.
pub type Answer<T> = Pin<Box<dyn Future<Output = Result<T, Unavailable>> + Send>>;

/// The other side cannot say. Never to be taken for "does not exist".
#[derive(Debug, Clone, thiserror::Error)]
#[error("the store cannot be asked: {reason}")]
pub struct Unavailable {
    pub reason: String,
}

/// Something that a provider keeps for a client, such as a stored response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProviderObjectOwner {
    pub payer: Payer,
    pub key_id: Option<KeyId>,
    /// The deployment that holds it.
    pub deployment_id: DeploymentId,
}

/// Look-ups for what was made within the last second or lies outside the snapshot.
pub trait Lookups: Send + Sync {
    /// A credential that the snapshot does not know: made just now, or not at all.
    fn credential(&self, lookup: CredentialLookup) -> Answer<Option<Arc<ActiveCredential>>>;

    /// The owner of an object id that a provider handed out.
    fn provider_object(
        &self,
        organization_id: OrganizationId,
        object_id: &str,
    ) -> Answer<Option<ProviderObjectOwner>>;
}
