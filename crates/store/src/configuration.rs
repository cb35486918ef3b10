//! What publishers read: everything at one version, or what changed since one.

use serde::Serialize;
use tollgate_core::{DeploymentId, KeyId, OrganizationId, ProviderId, SecretText};
use tollgate_state::governance::{BudgetObject, LimitObject};
use tollgate_state::objects::{
    Configuration, CredentialObject, KeyObject, ModelObject, Organization, Project, Team,
};
use tollgate_state::ports::ProviderObjectOwner;
use tollgate_state::{CredentialLookup, Payer};
use uuid::Uuid;

use crate::database::{Row, Transaction, Value, values};
use crate::error::{ObjectKind, StoreError};
use crate::objects::budgets::budget;
use crate::objects::keys::{credential, key};
use crate::objects::limits::limit;
use crate::objects::models::{attach_deployments, model};
use crate::objects::organizations::organization;
use crate::objects::projects::project;
use crate::objects::providers::{StoredProvider, provider};
use crate::objects::teams::team;
use crate::store::Store;
use crate::write::Write;

const FIND_CREDENTIAL: &str = "SELECT keys.* FROM keys JOIN credentials ON credentials.key_id = keys.id \
    WHERE credentials.lookup = $1 AND credentials.revoked_at IS NULL AND keys.revoked_at IS NULL";

/// A [`Configuration`] whose provider secrets are still sealed.
#[derive(Debug, Clone, Default)]
pub struct StoredConfiguration {
    pub version: u64,
    pub organizations: Vec<Organization>,
    pub teams: Vec<Team>,
    pub projects: Vec<Project>,
    pub providers: Vec<StoredProvider>,
    pub models: Vec<ModelObject>,
    pub budgets: Vec<BudgetObject>,
    pub limits: Vec<LimitObject>,
    /// Not revoked.
    pub keys: Vec<KeyObject>,
    /// Of these keys, not revoked; expired ones may be among them.
    pub credentials: Vec<CredentialObject>,
}

impl StoredConfiguration {
    /// Opens the secrets with `unseal`.
    pub fn unsealed<E>(
        self,
        mut unseal: impl FnMut(ProviderId, &[u8]) -> Result<SecretText, E>,
    ) -> Result<Configuration, E> {
        let mut providers = Vec::with_capacity(self.providers.len());
        for stored in self.providers {
            let mut object = stored.object;
            object.secret = stored.sealed_secret.map(|sealed| unseal(object.id, &sealed)).transpose()?;
            providers.push(object);
        }
        Ok(Configuration {
            budgets: self.budgets,
            limits: self.limits,
            version: self.version,
            organizations: self.organizations,
            teams: self.teams,
            projects: self.projects,
            providers,
            models: self.models,
            keys: self.keys,
            credentials: self.credentials,
        })
    }
}

/// Whether keys and credentials are wanted: there may be very many.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keys {
    Include,
    Omit,
}

/// A key, revoked or not, with all its credentials, so that a publisher can take them out of a snapshot.
#[derive(Debug, Clone, PartialEq)]
pub struct KeyWithCredentials {
    pub key: KeyObject,
    pub credentials: Vec<CredentialObject>,
}

/// What to read again to come from one version to another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Changes {
    /// The version that these changes lead to.
    pub version: u64,
    /// In order of version; an object may occur several times.
    pub changes: Vec<Change>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Change {
    pub version: u64,
    pub kind: ObjectKind,
    pub id: Uuid,
    /// Deleted or revoked.
    pub deleted: bool,
}

impl Store {
    /// Everything that is not deleted, at one version.
    pub async fn system_load_configuration(&self, keys: Keys) -> Result<StoredConfiguration, StoreError> {
        load_configuration(&mut self.database.begin_read().await?, keys).await
    }

    /// What was changed after `version`, up to now.
    pub async fn system_changes_since(&self, version: u64) -> Result<Changes, StoreError> {
        const CHANGES: &str = "SELECT version, kind, object_id, deleted FROM changes WHERE version > $1 \
            ORDER BY version, kind, object_id";
        let mut transaction = self.database.begin_read().await?;
        let rows = transaction.rows(CHANGES, values![version]).await?;
        let current = transaction.row("SELECT version FROM versions WHERE id = 1", values![]).await?;
        let changes = rows.iter().map(change).collect::<Result<Vec<_>, _>>()?;
        let current = current.map(|row| row.unsigned("version")).transpose()?.unwrap_or(version);
        Ok(Changes { version: current, changes })
    }

    pub async fn system_load_key(&self, id: KeyId) -> Result<Option<KeyWithCredentials>, StoreError> {
        let mut transaction = self.database.begin_read().await?;
        key_with_credentials(&mut transaction, "SELECT * FROM keys WHERE id = $1", values![id]).await
    }

    /// The key that owns a credential which is not revoked, for a look-up that the snapshot does not know.
    pub async fn system_find_credential(
        &self,
        lookup: CredentialLookup,
    ) -> Result<Option<KeyWithCredentials>, StoreError> {
        let mut transaction = self.database.begin_read().await?;
        key_with_credentials(&mut transaction, FIND_CREDENTIAL, values![lookup.as_str()]).await
    }

    /// Who owns an id that a provider handed out, and which deployment holds it.
    pub async fn system_find_provider_object(
        &self,
        organization_id: OrganizationId,
        object_id: &str,
    ) -> Result<Option<ProviderObjectOwner>, StoreError> {
        const FIND: &str = "SELECT * FROM provider_objects WHERE organization_id = $1 AND object_id = $2";
        let row = self.database.row(FIND, values![organization_id, object_id]).await?;
        row.map(|row| {
            let payer = Payer {
                organization_id,
                team_id: row.optional_id("team_id")?,
                project_id: row.optional_id("project_id")?,
            };
            let deployment_id: DeploymentId = row.id("deployment_id")?;
            Ok(ProviderObjectOwner { payer, key_id: row.optional_id("key_id")?, deployment_id })
        })
        .transpose()
    }
}

impl Write {
    /// As [`Store::system_load_configuration`], with what was written so far.
    pub async fn system_load_configuration(&mut self, keys: Keys) -> Result<StoredConfiguration, StoreError> {
        load_configuration(&mut self.transaction, keys).await
    }

    /// As [`Store::system_find_credential`], with what was written so far.
    pub async fn system_find_credential(
        &mut self,
        lookup: CredentialLookup,
    ) -> Result<Option<KeyWithCredentials>, StoreError> {
        key_with_credentials(&mut self.transaction, FIND_CREDENTIAL, values![lookup.as_str()]).await
    }

    /// The key of an organization that has a name and is not revoked.
    pub async fn system_find_key_named(
        &mut self,
        organization_id: OrganizationId,
        name: &str,
    ) -> Result<Option<KeyWithCredentials>, StoreError> {
        const FIND: &str =
            "SELECT * FROM keys WHERE organization_id = $1 AND name = $2 AND revoked_at IS NULL";
        key_with_credentials(&mut self.transaction, FIND, values![organization_id, name]).await
    }

    /// Whether a credential was revoked, with its key or alone. Nothing revives it.
    pub async fn system_is_revoked(&mut self, lookup: CredentialLookup) -> Result<bool, StoreError> {
        const FIND: &str = "SELECT credentials.id FROM credentials JOIN keys ON keys.id = credentials.key_id \
            WHERE credentials.lookup = $1 \
            AND (credentials.revoked_at IS NOT NULL OR keys.revoked_at IS NOT NULL)";
        Ok(self.transaction.row(FIND, values![lookup.as_str()]).await?.is_some())
    }
}

async fn key_with_credentials(
    transaction: &mut Transaction,
    find: &'static str,
    arguments: &[Value<'_>],
) -> Result<Option<KeyWithCredentials>, StoreError> {
    const CREDENTIALS: &str = "SELECT * FROM credentials WHERE key_id = $1 ORDER BY id";
    let Some(row) = transaction.row(find, arguments).await? else { return Ok(None) };
    let key = key(&row)?;
    let rows = transaction.rows(CREDENTIALS, values![key.id]).await?;
    let credentials = rows.iter().map(credential).collect::<Result<Vec<_>, _>>()?;
    Ok(Some(KeyWithCredentials { key, credentials }))
}

async fn load_configuration(
    transaction: &mut Transaction,
    keys: Keys,
) -> Result<StoredConfiguration, StoreError> {
    const DEPLOYMENTS: &str = "SELECT * FROM deployments WHERE deleted_at IS NULL ORDER BY position, id";
    const CREDENTIALS: &str = "SELECT * FROM credentials WHERE revoked_at IS NULL ORDER BY id";
    let version = transaction.row("SELECT version FROM versions WHERE id = 1", values![]).await?;
    let version = version.map(|row| row.unsigned("version")).transpose()?.unwrap_or(0);
    let mut models =
        load(transaction, "SELECT * FROM models WHERE deleted_at IS NULL ORDER BY id", model).await?;
    attach_deployments(&mut models, &transaction.rows(DEPLOYMENTS, values![]).await?)?;
    let (mut all_keys, mut credentials) = (Vec::new(), Vec::new());
    if keys == Keys::Include {
        all_keys = load(transaction, "SELECT * FROM keys WHERE revoked_at IS NULL ORDER BY id", key).await?;
        credentials = load(transaction, CREDENTIALS, credential).await?;
    }
    Ok(StoredConfiguration {
        version,
        organizations: load(
            transaction,
            "SELECT * FROM organizations WHERE deleted_at IS NULL ORDER BY id",
            organization,
        )
        .await?,
        teams: load(transaction, "SELECT * FROM teams WHERE deleted_at IS NULL ORDER BY id", team).await?,
        projects: load(transaction, "SELECT * FROM projects WHERE deleted_at IS NULL ORDER BY id", project)
            .await?,
        providers: load(
            transaction,
            "SELECT * FROM providers WHERE deleted_at IS NULL ORDER BY id",
            provider,
        )
        .await?,
        models,
        budgets: load(transaction, "SELECT * FROM budgets WHERE deleted_at IS NULL ORDER BY id", budget)
            .await?,
        limits: load(transaction, "SELECT * FROM limits WHERE deleted_at IS NULL ORDER BY id", limit).await?,
        keys: all_keys,
        credentials,
    })
}

async fn load<T>(
    transaction: &mut Transaction,
    sql: &'static str,
    read: fn(&Row) -> Result<T, StoreError>,
) -> Result<Vec<T>, StoreError> {
    transaction.read_each(sql, values![], read).await
}

fn change(row: &Row) -> Result<Change, StoreError> {
    Ok(Change {
        version: row.unsigned("version")?,
        kind: row.word("kind")?,
        id: row.get("object_id")?,
        deleted: row.get("deleted")?,
    })
}
