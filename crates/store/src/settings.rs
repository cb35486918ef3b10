//! Values of the installation itself: instance ids, sealed peppers.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::database::{Transaction, values};
use crate::error::StoreError;
use crate::store::Store;
use crate::write::json_text;

const GET: &str = "SELECT value FROM settings WHERE name = $1";

impl Store {
    pub async fn system_setting<T: DeserializeOwned>(&self, name: &str) -> Result<Option<T>, StoreError> {
        let row = self.database.row(GET, values![name]).await?;
        row.map(|row| row.json("value")).transpose()
    }

    /// Stores a value, whatever was there.
    pub async fn system_set_setting<T: Serialize>(&self, name: &str, value: &T) -> Result<(), StoreError> {
        let mut transaction = self.database.begin().await?;
        set(&mut transaction, name, value).await?;
        transaction.commit().await
    }

    /// Stores a value unless there is one, and returns what is there now: processes that start together agree.
    pub async fn system_setting_or_insert<T: Serialize + DeserializeOwned>(
        &self,
        name: &str,
        value: &T,
    ) -> Result<T, StoreError> {
        const INSERT: &str =
            "INSERT INTO settings (name, value) VALUES ($1, $2) ON CONFLICT (name) DO NOTHING";
        let mut transaction = self.database.begin().await?;
        transaction.execute(INSERT, values![name, json_text(value)?]).await?;
        let row = transaction.row(GET, values![name]).await?;
        transaction.commit().await?;
        row.ok_or(StoreError::Unreadable { column: "value", reason: "the setting vanished".into() })?
            .json("value")
    }
}

pub(crate) async fn get<T: DeserializeOwned>(
    transaction: &mut Transaction,
    name: &str,
) -> Result<Option<T>, StoreError> {
    transaction.row(GET, values![name]).await?.map(|row| row.json("value")).transpose()
}

pub(crate) async fn set<T: Serialize>(
    transaction: &mut Transaction,
    name: &str,
    value: &T,
) -> Result<(), StoreError> {
    const SET: &str = "INSERT INTO settings (name, value) VALUES ($1, $2) \
        ON CONFLICT (name) DO UPDATE SET value = excluded.value";
    transaction.execute(SET, values![name, json_text(value)?]).await?;
    Ok(())
}
