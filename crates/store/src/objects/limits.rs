//! Limits of requests, tokens and concurrency.

use tollgate_access::Proof;
use tollgate_access::authorize::{LimitsRead, LimitsWrite};
use tollgate_core::{KeyId, LimitId, OrganizationId};
use tollgate_state::governance::{LimitMeter, LimitObject, LimitPeriod, LimitSharing, Scope};

use super::organizations::live_organization;
use super::places;
use super::providers::owner_text;
use crate::audit::Action;
use crate::database::{Row, values};
use crate::error::{ObjectKind, StoreError};
use crate::page::{Cursor, Page, PageRequest};
use crate::store::{Store, check_name, check_scope};
use crate::write::{Changed, Write, json, json_text, word_text};

const GET: &str = "SELECT * FROM limits WHERE id = $1 AND deleted_at IS NULL";
const DELETE: &str = "UPDATE limits SET deleted_at = $2 WHERE id = $1";

/// What fits the column, and more than anybody needs.
const MAX_AMOUNT: u64 = 1 << 62;

/// A limit as it shall be.
#[derive(Debug, Clone, PartialEq)]
pub struct LimitDraft {
    pub name: String,
    /// Of an existing limit: the same as before, and so are meter and period.
    pub scope: Scope,
    pub meter: LimitMeter,
    pub amount: u64,
    pub per: LimitPeriod,
    pub burst: Option<u64>,
    pub sharing: LimitSharing,
    pub enabled: bool,
}

impl Store {
    pub async fn list_limits(
        &self,
        proof: &Proof<LimitsRead>,
        organization_id: OrganizationId,
        request: PageRequest,
    ) -> Result<Page<LimitObject>, StoreError> {
        const LIST: &str = "SELECT * FROM limits WHERE organization_id = $1 AND id > $2 AND deleted_at IS NULL \
            ORDER BY id LIMIT $3";
        check_scope(proof, organization_id)?;
        let arguments = values![organization_id, request.after_id(), request.rows_to_fetch()];
        let rows = self.database.rows(LIST, arguments).await?;
        let items = rows.iter().map(limit).collect::<Result<Vec<_>, _>>()?;
        Ok(request.page(items, |item| Cursor::of_id(item.id.as_uuid())))
    }

    pub async fn get_limit(&self, proof: &Proof<LimitsRead>, id: LimitId) -> Result<LimitObject, StoreError> {
        let found = self.database.row(GET, values![id]).await?.as_ref().map(limit).transpose()?;
        found
            .filter(|found| proof.covers(found.organization_id))
            .ok_or_else(|| StoreError::not_found(ObjectKind::Limit, id))
    }

    pub async fn create_limit(
        &self,
        proof: &Proof<LimitsWrite>,
        organization_id: OrganizationId,
        draft: LimitDraft,
    ) -> Result<LimitObject, StoreError> {
        let mut write = self.begin_write(proof.actor()).await?;
        let created = write.create_limit(proof, organization_id, draft).await?;
        write.commit().await?;
        Ok(created)
    }

    /// Replaces everything but the id and the organization; scope, meter and period must be what they were.
    /// Changing nothing leaves no trace.
    pub async fn update_limit(
        &self,
        proof: &Proof<LimitsWrite>,
        id: LimitId,
        draft: LimitDraft,
    ) -> Result<LimitObject, StoreError> {
        let mut write = self.begin_write(proof.actor()).await?;
        let after = write.update_limit(proof, id, draft).await?;
        write.commit().await?;
        Ok(after)
    }

    pub async fn delete_limit(&self, proof: &Proof<LimitsWrite>, id: LimitId) -> Result<(), StoreError> {
        let mut write = self.begin_write(proof.actor()).await?;
        write.delete_limit(proof, id).await?;
        write.commit().await
    }
}

impl LimitDraft {
    fn check(&self) -> Result<(), StoreError> {
        check_name(&self.name)?;
        for (field, number) in [("amount", self.amount), ("burst", self.burst.unwrap_or(1))] {
            if number > MAX_AMOUNT || (field == "burst" && number == 0) {
                let reason = format!("must be at most {MAX_AMOUNT}, and a burst at least 1");
                return Err(StoreError::Invalid { field, reason });
            }
        }
        Ok(())
    }
}

impl Write {
    /// As [`Store::create_limit`].
    pub async fn create_limit(
        &mut self,
        proof: &Proof<LimitsWrite>,
        organization_id: OrganizationId,
        draft: LimitDraft,
    ) -> Result<LimitObject, StoreError> {
        draft.check()?;
        check_scope(proof, organization_id)?;
        live_organization(&mut self.transaction, organization_id).await?;
        places::check_scope_exists(&mut self.transaction, organization_id, &draft.scope).await?;
        let created = LimitObject {
            id: LimitId::generate(),
            organization_id,
            name: draft.name,
            scope: draft.scope,
            meter: draft.meter,
            amount: draft.amount,
            per: draft.per,
            burst: draft.burst,
            sharing: draft.sharing,
            enabled: draft.enabled,
            owner: self.owner(),
            created_at: self.now,
            updated_at: self.now,
        };
        self.insert_limit(&created).await?;
        self.record_limit(Action::Create, None, Some(&created)).await?;
        Ok(created)
    }

    /// As [`Store::update_limit`].
    pub async fn update_limit(
        &mut self,
        proof: &Proof<LimitsWrite>,
        id: LimitId,
        draft: LimitDraft,
    ) -> Result<LimitObject, StoreError> {
        const UPDATE: &str = "UPDATE limits SET name = $2, amount = $3, burst = $4, sharing = $5, enabled = $6, \
            updated_at = $7 WHERE id = $1";
        draft.check()?;
        let before = self.editable_limit(proof, id).await?;
        let kept = [
            ("scope", draft.scope == before.scope),
            ("meter", draft.meter == before.meter),
            ("per", draft.per == before.per),
        ];
        if let Some((field, _)) = kept.into_iter().find(|(_, same)| !same) {
            return Err(StoreError::Immutable { kind: ObjectKind::Limit, name: before.name, field });
        }
        let mut after = LimitObject {
            name: draft.name,
            amount: draft.amount,
            burst: draft.burst,
            sharing: draft.sharing,
            enabled: draft.enabled,
            ..before.clone()
        };
        if after == before {
            return Ok(before);
        }
        after.updated_at = self.now;
        let arguments = values![
            id,
            &after.name,
            after.amount,
            after.burst,
            word_text(&after.sharing)?,
            after.enabled,
            after.updated_at
        ];
        self.execute_named(ObjectKind::Limit, &after.name, UPDATE, arguments).await?;
        self.record_limit(Action::Update, Some(&before), Some(&after)).await?;
        Ok(after)
    }

    /// As [`Store::delete_limit`].
    pub async fn delete_limit(&mut self, proof: &Proof<LimitsWrite>, id: LimitId) -> Result<(), StoreError> {
        let before = self.editable_limit(proof, id).await?;
        self.transaction.execute(DELETE, values![id, self.now]).await?;
        self.record_limit(Action::Delete, Some(&before), None).await
    }

    /// A revoked key takes its limits along, whoever owns them.
    pub(super) async fn delete_limits_of_key(&mut self, id: KeyId) -> Result<(), StoreError> {
        const FIND: &str = "SELECT * FROM limits WHERE place_kind = 'key' AND place_id = $1 \
            AND deleted_at IS NULL ORDER BY id";
        for row in self.transaction.rows(FIND, values![id]).await? {
            let before = limit(&row)?;
            self.transaction.execute(DELETE, values![before.id, self.now]).await?;
            self.record_limit(Action::Delete, Some(&before), None).await?;
        }
        Ok(())
    }

    async fn editable_limit(
        &mut self,
        proof: &Proof<LimitsWrite>,
        id: LimitId,
    ) -> Result<LimitObject, StoreError> {
        let found = self.transaction.row(GET, values![id]).await?.as_ref().map(limit).transpose()?;
        let found = found
            .filter(|found| proof.covers(found.organization_id))
            .ok_or_else(|| StoreError::not_found(ObjectKind::Limit, id))?;
        self.check_owner(ObjectKind::Limit, &found.name, found.owner)?;
        Ok(found)
    }

    async fn insert_limit(&mut self, object: &LimitObject) -> Result<(), StoreError> {
        const INSERT: &str = "INSERT INTO limits (id, organization_id, name, place_kind, place_id, scope, meter, \
            amount, period, burst, sharing, enabled, owner, created_at, updated_at) \
            VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)";
        let (place_kind, place_id) = places::columns(&object.scope.place);
        let arguments = values![
            object.id,
            object.organization_id,
            &object.name,
            place_kind,
            place_id,
            json_text(&object.scope)?,
            word_text(&object.meter)?,
            object.amount,
            word_text(&object.per)?,
            object.burst,
            word_text(&object.sharing)?,
            object.enabled,
            owner_text(object.owner),
            object.created_at,
            object.updated_at,
        ];
        self.execute_named(ObjectKind::Limit, &object.name, INSERT, arguments).await
    }

    async fn record_limit(
        &mut self,
        action: Action,
        before: Option<&LimitObject>,
        after: Option<&LimitObject>,
    ) -> Result<(), StoreError> {
        let Some(object) = after.or(before) else { return Ok(()) };
        self.record(Changed {
            kind: ObjectKind::Limit,
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

pub(crate) fn limit(row: &Row) -> Result<LimitObject, StoreError> {
    Ok(LimitObject {
        id: row.id("id")?,
        organization_id: row.id("organization_id")?,
        name: row.get("name")?,
        scope: row.json("scope")?,
        meter: row.word("meter")?,
        amount: row.unsigned("amount")?,
        per: row.word("period")?,
        burst: row.optional_unsigned("burst")?,
        sharing: row.word("sharing")?,
        enabled: row.get("enabled")?,
        owner: row.word("owner")?,
        created_at: row.time("created_at")?,
        updated_at: row.time("updated_at")?,
    })
}
