//! Budgets and their temporary increases.

mod draft;
mod increases;

use tollgate_access::Proof;
use tollgate_access::authorize::{BudgetsRead, BudgetsWrite};
use tollgate_core::{BudgetId, KeyId, OrganizationId};
use tollgate_state::governance::BudgetObject;

use super::organizations::live_organization;
use super::places;
use super::providers::owner_text;
use crate::audit::Action;
use crate::database::{Row, Transaction, values};
use crate::error::{ObjectKind, StoreError};
use crate::page::{Cursor, Page, PageRequest};
use crate::store::{Store, check_scope};
use crate::write::{Changed, Write, json, json_text, word_text};

pub use draft::BudgetDraft;
pub use increases::NewIncrease;

const GET: &str = "SELECT * FROM budgets WHERE id = $1 AND deleted_at IS NULL";
const DELETE: &str = "UPDATE budgets SET deleted_at = $2 WHERE id = $1";

impl Store {
    pub async fn list_budgets(
        &self,
        proof: &Proof<BudgetsRead>,
        organization_id: OrganizationId,
        request: PageRequest,
    ) -> Result<Page<BudgetObject>, StoreError> {
        const LIST: &str = "SELECT * FROM budgets WHERE organization_id = $1 AND id > $2 AND deleted_at IS NULL \
            ORDER BY id LIMIT $3";
        check_scope(proof, organization_id)?;
        let arguments = values![organization_id, request.after_id(), request.rows_to_fetch()];
        let rows = self.database.rows(LIST, arguments).await?;
        let items = rows.iter().map(budget).collect::<Result<Vec<_>, _>>()?;
        Ok(request.page(items, |item| Cursor::of_id(item.id.as_uuid())))
    }

    pub async fn get_budget(
        &self,
        proof: &Proof<BudgetsRead>,
        id: BudgetId,
    ) -> Result<BudgetObject, StoreError> {
        let found = self.database.row(GET, values![id]).await?.as_ref().map(budget).transpose()?;
        found
            .filter(|found| proof.covers(found.organization_id))
            .ok_or_else(|| StoreError::not_found(ObjectKind::Budget, id))
    }

    pub async fn create_budget(
        &self,
        proof: &Proof<BudgetsWrite>,
        organization_id: OrganizationId,
        draft: BudgetDraft,
    ) -> Result<BudgetObject, StoreError> {
        let mut write = self.begin_write(proof.actor()).await?;
        let created = write.create_budget(proof, organization_id, draft).await?;
        write.commit().await?;
        Ok(created)
    }

    /// Replaces everything but the id, the organization and the increases; scope and window must be what they were.
    /// Changing nothing leaves no trace.
    pub async fn update_budget(
        &self,
        proof: &Proof<BudgetsWrite>,
        id: BudgetId,
        draft: BudgetDraft,
    ) -> Result<BudgetObject, StoreError> {
        let mut write = self.begin_write(proof.actor()).await?;
        let after = write.update_budget(proof, id, draft).await?;
        write.commit().await?;
        Ok(after)
    }

    /// What was counted stays in the ledger.
    pub async fn delete_budget(&self, proof: &Proof<BudgetsWrite>, id: BudgetId) -> Result<(), StoreError> {
        let mut write = self.begin_write(proof.actor()).await?;
        write.delete_budget(proof, id).await?;
        write.commit().await
    }
}

impl Write {
    /// As [`Store::create_budget`].
    pub async fn create_budget(
        &mut self,
        proof: &Proof<BudgetsWrite>,
        organization_id: OrganizationId,
        draft: BudgetDraft,
    ) -> Result<BudgetObject, StoreError> {
        draft.check()?;
        check_scope(proof, organization_id)?;
        live_organization(&mut self.transaction, organization_id).await?;
        places::check_scope_exists(&mut self.transaction, organization_id, &draft.scope).await?;
        let created = BudgetObject {
            id: BudgetId::generate(),
            organization_id,
            name: draft.name,
            scope: draft.scope,
            amount_nano_usd: draft.amount_nano_usd,
            window: draft.window,
            mode: draft.mode,
            clamp: draft.clamp,
            thresholds_percent: draft.thresholds_percent,
            on_exhausted: draft.on_exhausted,
            unpriced: draft.unpriced,
            server_tools_nano_usd: draft.server_tools_nano_usd,
            increases: Vec::new(),
            enabled: draft.enabled,
            owner: self.owner(),
            created_at: self.now,
            updated_at: self.now,
        };
        self.insert_budget(&created).await?;
        self.record_budget(Action::Create, None, Some(&created)).await?;
        Ok(created)
    }

    /// As [`Store::update_budget`].
    pub async fn update_budget(
        &mut self,
        proof: &Proof<BudgetsWrite>,
        id: BudgetId,
        draft: BudgetDraft,
    ) -> Result<BudgetObject, StoreError> {
        draft.check()?;
        let before = self.editable_budget(proof, id).await?;
        let immutable =
            |field| StoreError::Immutable { kind: ObjectKind::Budget, name: before.name.clone(), field };
        if draft.scope != before.scope {
            return Err(immutable("scope"));
        }
        if draft.window != before.window {
            return Err(immutable("window"));
        }
        let mut after = draft.applied_to(&before);
        if after == before {
            return Ok(before);
        }
        after.updated_at = self.now;
        self.put_budget(&after).await?;
        self.record_budget(Action::Update, Some(&before), Some(&after)).await?;
        Ok(after)
    }

    /// As [`Store::delete_budget`].
    pub async fn delete_budget(
        &mut self,
        proof: &Proof<BudgetsWrite>,
        id: BudgetId,
    ) -> Result<(), StoreError> {
        let before = self.editable_budget(proof, id).await?;
        self.transaction.execute(DELETE, values![id, self.now]).await?;
        self.record_budget(Action::Delete, Some(&before), None).await
    }

    /// A revoked key takes its budgets along, whoever owns them: nothing may stand in the way of a revocation.
    pub(super) async fn delete_budgets_of_key(&mut self, id: KeyId) -> Result<(), StoreError> {
        const FIND: &str = "SELECT * FROM budgets WHERE place_kind = 'key' AND place_id = $1 \
            AND deleted_at IS NULL ORDER BY id";
        for row in self.transaction.rows(FIND, values![id]).await? {
            let before = budget(&row)?;
            self.transaction.execute(DELETE, values![before.id, self.now]).await?;
            self.record_budget(Action::Delete, Some(&before), None).await?;
        }
        Ok(())
    }

    async fn editable_budget(
        &mut self,
        proof: &Proof<BudgetsWrite>,
        id: BudgetId,
    ) -> Result<BudgetObject, StoreError> {
        let found = covered_budget(&mut self.transaction, proof, id).await?;
        self.check_owner(ObjectKind::Budget, &found.name, found.owner)?;
        Ok(found)
    }

    async fn insert_budget(&mut self, object: &BudgetObject) -> Result<(), StoreError> {
        const INSERT: &str = "INSERT INTO budgets (id, organization_id, name, place_kind, place_id, scope, \
            time_window, longest_window_us, amount_nano_usd, mode, clamp, thresholds_percent, on_exhausted, \
            unpriced, server_tools_nano_usd, increases, enabled, owner, created_at, updated_at) \
            VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20)";
        let (place_kind, place_id) = places::columns(&object.scope.place);
        let arguments = values![
            object.id,
            object.organization_id,
            &object.name,
            place_kind,
            place_id,
            json_text(&object.scope)?,
            json_text(&object.window)?,
            draft::longest_window_us(&object.window),
            object.amount_nano_usd,
            word_text(&object.mode)?,
            word_text(&object.clamp)?,
            json_text(&object.thresholds_percent)?,
            json_text(&object.on_exhausted)?,
            json_text(&object.unpriced)?,
            object.server_tools_nano_usd,
            json_text(&object.increases)?,
            object.enabled,
            owner_text(object.owner),
            object.created_at,
            object.updated_at,
        ];
        self.execute_named(ObjectKind::Budget, &object.name, INSERT, arguments).await
    }

    async fn put_budget(&mut self, object: &BudgetObject) -> Result<(), StoreError> {
        const UPDATE: &str = "UPDATE budgets SET name = $2, amount_nano_usd = $3, mode = $4, clamp = $5, \
            thresholds_percent = $6, on_exhausted = $7, unpriced = $8, server_tools_nano_usd = $9, \
            increases = $10, enabled = $11, updated_at = $12 WHERE id = $1";
        let arguments = values![
            object.id,
            &object.name,
            object.amount_nano_usd,
            word_text(&object.mode)?,
            word_text(&object.clamp)?,
            json_text(&object.thresholds_percent)?,
            json_text(&object.on_exhausted)?,
            json_text(&object.unpriced)?,
            object.server_tools_nano_usd,
            json_text(&object.increases)?,
            object.enabled,
            object.updated_at,
        ];
        self.execute_named(ObjectKind::Budget, &object.name, UPDATE, arguments).await
    }

    async fn record_budget(
        &mut self,
        action: Action,
        before: Option<&BudgetObject>,
        after: Option<&BudgetObject>,
    ) -> Result<(), StoreError> {
        let Some(object) = after.or(before) else { return Ok(()) };
        self.record(Changed {
            kind: ObjectKind::Budget,
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

async fn covered_budget(
    transaction: &mut Transaction,
    proof: &Proof<BudgetsWrite>,
    id: BudgetId,
) -> Result<BudgetObject, StoreError> {
    let found = transaction.row(GET, values![id]).await?.as_ref().map(budget).transpose()?;
    found
        .filter(|found| proof.covers(found.organization_id))
        .ok_or_else(|| StoreError::not_found(ObjectKind::Budget, id))
}

pub(crate) fn budget(row: &Row) -> Result<BudgetObject, StoreError> {
    Ok(BudgetObject {
        id: row.id("id")?,
        organization_id: row.id("organization_id")?,
        name: row.get("name")?,
        scope: row.json("scope")?,
        amount_nano_usd: row.nano_usd("amount_nano_usd")?,
        window: row.json("time_window")?,
        mode: row.word("mode")?,
        clamp: row.word("clamp")?,
        thresholds_percent: row.json("thresholds_percent")?,
        on_exhausted: row.json("on_exhausted")?,
        unpriced: row.json("unpriced")?,
        server_tools_nano_usd: row.optional_nano_usd("server_tools_nano_usd")?,
        increases: row.json("increases")?,
        enabled: row.get("enabled")?,
        owner: row.word("owner")?,
        created_at: row.time("created_at")?,
        updated_at: row.time("updated_at")?,
    })
}
