//! Which keys come from configuration files, by the public part of their tokens: keys have no owner of their own in the
//! store.

use std::collections::BTreeSet;

use tollgate_core::KeyId;
use tollgate_state::CredentialLookup;
use tollgate_store::{Store, StoreError, Write};

use crate::problem::Problem;

const SETTING: &str = "file_owned_keys";

fn parsed(texts: Option<Vec<String>>) -> BTreeSet<CredentialLookup> {
    let lookups = texts.unwrap_or_default().into_iter();
    lookups.filter_map(|text| text.as_bytes().try_into().ok().map(CredentialLookup)).collect()
}

async fn load(store: &Store) -> Result<BTreeSet<CredentialLookup>, StoreError> {
    Ok(parsed(store.system_setting(SETTING).await?))
}

pub(crate) async fn load_within(write: &mut Write) -> Result<BTreeSet<CredentialLookup>, StoreError> {
    Ok(parsed(write.system_setting(SETTING).await?))
}

pub(crate) async fn save(write: &mut Write, lookups: &BTreeSet<CredentialLookup>) -> Result<(), StoreError> {
    let texts: Vec<_> = lookups.iter().map(CredentialLookup::as_str).collect();
    write.system_set_setting(SETTING, &texts).await
}

/// The API does not edit what files own. Revoking is always possible.
pub(crate) async fn refuse(store: &Store, id: KeyId) -> Result<(), Problem> {
    let Some(stored) = store.system_load_key(id).await? else { return Ok(()) };
    let owned = load(store).await?;
    if stored.credentials.iter().any(|credential| owned.contains(&credential.lookup)) {
        return Err(Problem::conflict(
            "owned_elsewhere",
            format!("the key `{}` is owned by configuration files; change it there", stored.key.name),
        ));
    }
    Ok(())
}
