//! The first admin credential. There is no default one: it is made at first start and shown once.

use tollgate_access::{Actor, admin_credential};
use tollgate_core::SecretText;
use tollgate_store::StoreError;

use crate::connection::Installation;

/// Why no admin credential was made.
#[derive(Debug, thiserror::Error)]
pub enum BootstrapError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Randomness(#[from] tollgate_access::token::NoRandomness),
}

/// Makes the first admin credential; `None` when there has been one before, valid or not.
pub async fn first_admin_credential(
    installation: &Installation,
) -> Result<Option<SecretText>, BootstrapError> {
    if !installation.store.system_list_admin_tokens().await?.is_empty() {
        return Ok(None);
    }
    make(installation, "first start", false).await.map(Some)
}

/// Makes a new admin credential; every older one is revoked with it.
pub async fn reset_admin_credential(installation: &Installation) -> Result<SecretText, BootstrapError> {
    make(installation, "reset", true).await
}

async fn make(
    installation: &Installation,
    name: &str,
    replace_all: bool,
) -> Result<SecretText, BootstrapError> {
    let made = admin_credential::generate(installation.peppers())?;
    let actor = Actor::system("bootstrap");
    installation.store.system_create_admin_token(&actor, name, &made.hash, None, replace_all).await?;
    Ok(made.text)
}
