//! Keys and their credentials.

use tollgate_access::Proof;
use tollgate_access::authorize::{KeysRead, KeysWrite};
use tollgate_core::{CredentialId, KeyId, OrganizationId, ProjectId, TeamId, UnixMicros};
use tollgate_state::objects::{CredentialAlgorithm, CredentialObject, KeyObject, KeyOwner};
use tollgate_state::{CredentialLookup, Grants};

use super::projects::live_project;
use super::teams::live_team;
use crate::audit::Action;
use crate::database::{Query, Row, values};
use crate::error::{ObjectKind, StoreError};
use crate::page::{Cursor, Page, PageRequest};
use crate::store::{Store, check_name, check_scope};
use crate::write::{Changed, Write, json, json_text};

const GET: &str = "SELECT * FROM keys WHERE id = $1";

/// A key as it shall be, with its first secret.
#[derive(Debug, Clone)]
pub struct NewKey {
    pub owned_by: KeyOwner,
    pub name: String,
    pub grants: Grants,
    pub expires_at: Option<UnixMicros>,
    pub credential: NewCredential,
}

/// What is kept of a secret.
#[derive(Debug, Clone)]
pub struct NewCredential {
    pub lookup: CredentialLookup,
    pub algorithm: CredentialAlgorithm,
    pub pepper_version: u32,
    pub hash: [u8; 32],
    pub expires_at: Option<UnixMicros>,
}

/// What of a key can be edited; the owner cannot.
#[derive(Debug, Clone, PartialEq)]
pub struct KeyUpdate {
    pub name: String,
    pub grants: Grants,
    pub expires_at: Option<UnixMicros>,
}

/// Which keys are wanted.
#[derive(Debug, Clone, Copy, Default)]
pub struct KeyFilter {
    /// Keys of the team itself, not those of its projects.
    pub team_id: Option<TeamId>,
    pub project_id: Option<ProjectId>,
    pub include_revoked: bool,
}

impl Store {
    pub async fn list_keys(
        &self,
        proof: &Proof<KeysRead>,
        organization_id: OrganizationId,
        filter: KeyFilter,
        request: PageRequest,
    ) -> Result<Page<KeyObject>, StoreError> {
        check_scope(proof, organization_id)?;
        let mut query = Query::new("SELECT * FROM keys WHERE organization_id = ");
        query.bind(organization_id).filter("id >", Some(request.after_id()));
        query.filter("team_id =", filter.team_id).filter("project_id =", filter.project_id);
        if !filter.include_revoked {
            query.push(" AND revoked_at IS NULL");
        }
        query.push(" ORDER BY id LIMIT ").bind(request.rows_to_fetch());
        let rows = self.database.rows(query.sql(), query.values()).await?;
        let items = rows.iter().map(key).collect::<Result<Vec<_>, _>>()?;
        Ok(request.page(items, |item| Cursor::of_id(item.id.as_uuid())))
    }

    pub async fn get_key(&self, proof: &Proof<KeysRead>, id: KeyId) -> Result<KeyObject, StoreError> {
        let found = self.database.row(GET, values![id]).await?.as_ref().map(key).transpose()?;
        found
            .filter(|found| proof.covers(found.organization_id))
            .ok_or_else(|| StoreError::not_found(ObjectKind::Key, id))
    }

    pub async fn create_key(
        &self,
        proof: &Proof<KeysWrite>,
        organization_id: OrganizationId,
        new: NewKey,
    ) -> Result<KeyObject, StoreError> {
        let mut write = self.begin_write(proof.actor()).await?;
        let created = write.create_key(proof, organization_id, new).await?;
        write.commit().await?;
        Ok(created)
    }

    /// Changing nothing leaves no trace.
    pub async fn update_key(
        &self,
        proof: &Proof<KeysWrite>,
        id: KeyId,
        update: KeyUpdate,
    ) -> Result<KeyObject, StoreError> {
        let mut write = self.begin_write(proof.actor()).await?;
        let after = write.update_key(proof, id, update).await?;
        write.commit().await?;
        Ok(after)
    }

    /// Adds a secret; the older ones end at `old_expire_at` or when they would have ended anyway.
    pub async fn rotate_key(
        &self,
        proof: &Proof<KeysWrite>,
        id: KeyId,
        credential: NewCredential,
        old_expire_at: UnixMicros,
    ) -> Result<KeyObject, StoreError> {
        const EXPIRE: &str = "UPDATE credentials SET expires_at = $2 WHERE key_id = $1 AND revoked_at IS NULL \
            AND (expires_at IS NULL OR expires_at > $2)";
        let mut write = self.begin_write(proof.actor()).await?;
        let key = write.active_key(proof, id).await?;
        write.transaction.execute(EXPIRE, values![id, old_expire_at]).await?;
        write.insert_credential(&key, &credential).await?;
        write.record_key(Action::Rotate, Some(&key), Some(&key)).await?;
        write.commit().await?;
        Ok(key)
    }

    /// Kills the key and all its credentials, for good. Doing it twice is not an error.
    pub async fn revoke_key(&self, proof: &Proof<KeysWrite>, id: KeyId) -> Result<KeyObject, StoreError> {
        let mut write = self.begin_write(proof.actor()).await?;
        let after = write.revoke_key(proof, id).await?;
        write.commit().await?;
        Ok(after)
    }
}

impl Write {
    /// As [`Store::create_key`].
    pub async fn create_key(
        &mut self,
        proof: &Proof<KeysWrite>,
        organization_id: OrganizationId,
        new: NewKey,
    ) -> Result<KeyObject, StoreError> {
        const INSERT: &str = "INSERT INTO keys (id, organization_id, team_id, project_id, name, grants, expires_at, \
            created_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)";
        check_name(&new.name)?;
        check_scope(proof, organization_id)?;
        let (team_id, project_id) = match new.owned_by {
            KeyOwner::Team(id) => {
                (Some(live_team(&mut self.transaction, organization_id, id).await?.id), None)
            }
            KeyOwner::Project(id) => {
                (None, Some(live_project(&mut self.transaction, organization_id, id).await?.id))
            }
        };
        let created = KeyObject {
            id: KeyId::generate(),
            organization_id,
            owned_by: new.owned_by,
            name: new.name,
            grants: new.grants,
            expires_at: new.expires_at,
            revoked_at: None,
            created_at: self.now,
        };
        let arguments = values![
            created.id,
            organization_id,
            team_id,
            project_id,
            &created.name,
            json_text(&created.grants)?,
            created.expires_at,
            created.created_at,
        ];
        self.execute_named(ObjectKind::Key, &created.name, INSERT, arguments).await?;
        self.insert_credential(&created, &new.credential).await?;
        self.record_key(Action::Create, None, Some(&created)).await?;
        Ok(created)
    }

    /// As [`Store::update_key`].
    pub async fn update_key(
        &mut self,
        proof: &Proof<KeysWrite>,
        id: KeyId,
        update: KeyUpdate,
    ) -> Result<KeyObject, StoreError> {
        const UPDATE: &str = "UPDATE keys SET name = $2, grants = $3, expires_at = $4 WHERE id = $1";
        check_name(&update.name)?;
        let before = self.active_key(proof, id).await?;
        let after = KeyObject {
            name: update.name,
            grants: update.grants,
            expires_at: update.expires_at,
            ..before.clone()
        };
        if after == before {
            return Ok(before);
        }
        let arguments = values![id, &after.name, json_text(&after.grants)?, after.expires_at];
        self.execute_named(ObjectKind::Key, &after.name, UPDATE, arguments).await?;
        self.record_key(Action::Update, Some(&before), Some(&after)).await?;
        Ok(after)
    }

    /// As [`Store::revoke_key`].
    pub async fn revoke_key(&mut self, proof: &Proof<KeysWrite>, id: KeyId) -> Result<KeyObject, StoreError> {
        const REVOKE: &str = "UPDATE keys SET revoked_at = $2 WHERE id = $1";
        const REVOKE_CREDENTIALS: &str =
            "UPDATE credentials SET revoked_at = $2 WHERE key_id = $1 AND revoked_at IS NULL";
        let before = match self.active_key(proof, id).await {
            Err(StoreError::Revoked { .. }) => return self.covered_key(proof, id).await,
            other => other?,
        };
        let after = KeyObject { revoked_at: Some(self.now), ..before.clone() };
        self.transaction.execute(REVOKE, values![id, self.now]).await?;
        self.transaction.execute(REVOKE_CREDENTIALS, values![id, self.now]).await?;
        self.delete_budgets_of_key(id).await?;
        self.delete_limits_of_key(id).await?;
        self.record_key(Action::Revoke, Some(&before), Some(&after)).await?;
        Ok(after)
    }

    async fn covered_key(&mut self, proof: &Proof<KeysWrite>, id: KeyId) -> Result<KeyObject, StoreError> {
        let found = self.transaction.row(GET, values![id]).await?.as_ref().map(key).transpose()?;
        found
            .filter(|found| proof.covers(found.organization_id))
            .ok_or_else(|| StoreError::not_found(ObjectKind::Key, id))
    }

    async fn active_key(&mut self, proof: &Proof<KeysWrite>, id: KeyId) -> Result<KeyObject, StoreError> {
        let found = self.covered_key(proof, id).await?;
        if found.revoked_at.is_some() { Err(StoreError::Revoked { name: found.name }) } else { Ok(found) }
    }

    async fn insert_credential(&mut self, key: &KeyObject, new: &NewCredential) -> Result<(), StoreError> {
        const INSERT: &str = "INSERT INTO credentials (id, organization_id, key_id, lookup, algorithm, \
            pepper_version, hash, expires_at, created_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)";
        let arguments = values![
            CredentialId::generate(),
            key.organization_id,
            key.id,
            new.lookup.as_str(),
            algorithm_text(new.algorithm),
            new.pepper_version,
            new.hash.as_slice(),
            new.expires_at,
            self.now,
        ];
        self.execute_named(ObjectKind::Credential, new.lookup.as_str(), INSERT, arguments).await
    }

    async fn record_key(
        &mut self,
        action: Action,
        before: Option<&KeyObject>,
        after: Option<&KeyObject>,
    ) -> Result<(), StoreError> {
        let Some(object) = after.or(before) else { return Ok(()) };
        self.record(Changed {
            kind: ObjectKind::Key,
            id: object.id.as_uuid(),
            name: &object.name,
            organization_id: Some(object.organization_id),
            action,
            before: before.map(json).transpose()?,
            after: after.map(json).transpose()?,
        })
        .await
    }
}

const fn algorithm_text(algorithm: CredentialAlgorithm) -> &'static str {
    match algorithm {
        CredentialAlgorithm::HmacSha256 => "hmac_sha256",
    }
}

pub(crate) fn key(row: &Row) -> Result<KeyObject, StoreError> {
    let owned_by = match (row.optional_id("team_id")?, row.optional_id("project_id")?) {
        (Some(team_id), None) => KeyOwner::Team(team_id),
        (None, Some(project_id)) => KeyOwner::Project(project_id),
        _ => {
            return Err(StoreError::Unreadable {
                column: "keys.team_id",
                reason: "a key has one owner".into(),
            });
        }
    };
    Ok(KeyObject {
        id: row.id("id")?,
        organization_id: row.id("organization_id")?,
        owned_by,
        name: row.get("name")?,
        grants: row.json("grants")?,
        expires_at: row.optional_time("expires_at")?,
        revoked_at: row.optional_time("revoked_at")?,
        created_at: row.time("created_at")?,
    })
}

pub(crate) fn credential(row: &Row) -> Result<CredentialObject, StoreError> {
    let lookup: String = row.get("lookup")?;
    let lookup = lookup
        .as_bytes()
        .try_into()
        .map_err(|_| StoreError::Unreadable { column: "lookup", reason: "expected 12 characters".into() })?;
    Ok(CredentialObject {
        id: row.id("id")?,
        key_id: row.id("key_id")?,
        organization_id: row.id("organization_id")?,
        lookup: CredentialLookup(lookup),
        algorithm: row.word("algorithm")?,
        pepper_version: row.unsigned("pepper_version")?,
        hash: row.bytes("hash")?,
        expires_at: row.optional_time("expires_at")?,
        created_at: row.time("created_at")?,
    })
}
