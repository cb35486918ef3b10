//! The store, which may not be reachable yet when the process starts, and what its secrets are sealed with.

use std::fmt;

use tokio::sync::OnceCell;
use tollgate_access::peppers::{OpenPeppers, SealedPeppers};
use tollgate_access::token::PepperRing;
use tollgate_access::{Place, RootKey, SealError, Sealed, Sealer};
use tollgate_core::{OrganizationId, ProviderId, SecretText, WebhookId};
use tollgate_store::{Store, StoreError};

/// Why the installation cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(
        "{0}: the store was made with another root key; put its `root.key` into the data directory, or name it with \
         --root-key-file"
    )]
    Seal(#[from] SealError),
    #[error("the database holds no pepper: it was damaged, restore a backup")]
    NoPepper,
}

impl OpenError {
    /// Whether waiting can help.
    pub const fn is_unavailable(&self) -> bool {
        matches!(self, Self::Store(error) if error.is_unavailable())
    }
}

/// An open store with the key that opens its secrets.
pub struct Installation {
    pub store: Store,
    sealer: Sealer,
    open_peppers: OpenPeppers,
    peppers: PepperRing,
}

impl fmt::Debug for Installation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Installation").field("store", &self.store).finish_non_exhaustive()
    }
}

fn provider_secret(organization_id: OrganizationId, row: &str) -> Place<'_> {
    Place { table: "providers", row, column: "sealed_secret", organization_id: Some(organization_id) }
}

fn webhook_secret(organization_id: OrganizationId, row: &str) -> Place<'_> {
    Place { table: "webhooks", row, column: "sealed_secret", organization_id: Some(organization_id) }
}

impl Installation {
    /// Opens the store and the data key; makes data key and pepper when the store has none.
    pub async fn open(location: &str, root: &RootKey) -> Result<Self, OpenError> {
        let store = Store::open(location).await?;
        Self::of_store(store, root).await
    }

    /// As [`Self::open`], with a store that is open already.
    pub async fn of_store(store: Store, root: &RootKey) -> Result<Self, OpenError> {
        let data_key: Sealed = match store.system_setting("data_key").await? {
            Some(known) => known,
            None => store.system_setting_or_insert("data_key", &Sealer::new_data_key(root)?).await?,
        };
        let sealer = Sealer::of_data_key(root, &data_key).inspect_err(|_| root.discard_if_new())?;
        let sealed: SealedPeppers = match store.system_setting("peppers").await? {
            Some(known) => known,
            None => store.system_setting_or_insert("peppers", &SealedPeppers::first(&sealer)?).await?,
        };
        let open_peppers = sealed.open(&sealer)?;
        let peppers = open_peppers.ring().ok_or(OpenError::NoPepper)?;
        Ok(Self { store, sealer, open_peppers, peppers })
    }

    /// The ring that hashes new tokens and finds admin credentials.
    pub const fn peppers(&self) -> &PepperRing {
        &self.peppers
    }

    pub(crate) const fn open_peppers(&self) -> &OpenPeppers {
        &self.open_peppers
    }

    /// Seals a provider's secret for its row.
    pub fn seal_provider_secret(
        &self,
        organization_id: OrganizationId,
        id: ProviderId,
        secret: &SecretText,
    ) -> Result<Sealed, SealError> {
        self.sealer.seal(provider_secret(organization_id, &id.to_string()), secret.expose().as_bytes())
    }

    /// Seals a webhook's secret for its row.
    pub(crate) fn seal_webhook_secret(
        &self,
        organization_id: OrganizationId,
        id: WebhookId,
        secret: &SecretText,
    ) -> Result<Sealed, SealError> {
        self.sealer.seal(webhook_secret(organization_id, &id.to_string()), secret.expose().as_bytes())
    }

    /// Opens what [`Self::seal_webhook_secret`] sealed for the same row.
    pub(crate) fn open_webhook_secret(
        &self,
        organization_id: OrganizationId,
        id: WebhookId,
        sealed: &[u8],
    ) -> Result<SecretText, SealError> {
        self.open_text(webhook_secret(organization_id, &id.to_string()), sealed)
    }

    fn open_text(&self, place: Place<'_>, sealed: &[u8]) -> Result<SecretText, SealError> {
        let bytes = self.sealer.open(place, &Sealed::from_bytes(sealed.to_vec()))?;
        let text = str::from_utf8(&bytes).map_err(|_| SealError::Failed)?;
        Ok(SecretText::new(text.to_owned()))
    }

    /// Opens what [`Self::seal_provider_secret`] sealed for the same row.
    pub fn open_provider_secret(
        &self,
        organization_id: OrganizationId,
        id: ProviderId,
        sealed: &[u8],
    ) -> Result<SecretText, SealError> {
        self.open_text(provider_secret(organization_id, &id.to_string()), sealed)
    }
}

/// The way to the installation: open already, or to be tried again.
pub struct Connection {
    location: String,
    root: RootKey,
    opened: OnceCell<Installation>,
}

impl fmt::Debug for Connection {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The location may hold a password.
        formatter.debug_struct("Connection").field("open", &self.opened.initialized()).finish_non_exhaustive()
    }
}

impl Connection {
    /// `location` is a `postgres://` URL or the path of an SQLite file.
    pub fn new(location: impl Into<String>, root: RootKey) -> Self {
        Self { location: location.into(), root, opened: OnceCell::new() }
    }

    pub const fn root(&self) -> &RootKey {
        &self.root
    }

    /// Opens the installation, or returns it when it is open.
    pub async fn open(&self) -> Result<&Installation, OpenError> {
        self.opened.get_or_try_init(|| Installation::open(&self.location, &self.root)).await
    }

    /// The installation if it has been opened.
    pub fn get(&self) -> Option<&Installation> {
        self.opened.get()
    }
}
