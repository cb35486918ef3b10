//! Which keys were made from configuration files. Keys have no owner of their own in the store.

use std::collections::BTreeSet;

use tollgate_core::KeyId;
use tollgate_store::{Store, StoreError};

use crate::problem::Problem;

const SETTING: &str = "file_owned_keys";

pub(crate) async fn load(store: &Store) -> Result<BTreeSet<KeyId>, StoreError> {
    Ok(store.system_setting(SETTING).await?.unwrap_or_default())
}

pub(crate) async fn save(store: &Store, keys: &BTreeSet<KeyId>) -> Result<(), StoreError> {
    store.system_set_setting(SETTING, keys).await
}

/// The API does not edit what files own. Revoking is always possible.
pub(crate) async fn refuse(store: &Store, id: KeyId) -> Result<(), Problem> {
    if load(store).await?.contains(&id) {
        return Err(Problem::conflict(
            "owned_elsewhere",
            format!("the key `{id}` is owned by configuration files; change it there"),
        ));
    }
    Ok(())
}
