//! Teams.

use tollgate_access::Proof;
use tollgate_access::authorize::{TreeRead, TreeWrite};
use tollgate_core::{OrganizationId, TeamId};
use tollgate_state::objects::Team;

use super::dependents;
use super::organizations::live_organization;
use crate::audit::Action;
use crate::database::{Row, Transaction, values};
use crate::error::{ObjectKind, StoreError};
use crate::page::{Cursor, Page, PageRequest};
use crate::store::{Store, check_name, check_scope};
use crate::write::{Changed, Write, json};

const GET: &str = "SELECT * FROM teams WHERE id = $1 AND deleted_at IS NULL";

impl Store {
    pub async fn list_teams(
        &self,
        proof: &Proof<TreeRead>,
        organization_id: OrganizationId,
        request: PageRequest,
    ) -> Result<Page<Team>, StoreError> {
        const LIST: &str = "SELECT * FROM teams WHERE organization_id = $1 AND id > $2 AND deleted_at IS NULL \
            ORDER BY id LIMIT $3";
        check_scope(proof, organization_id)?;
        let arguments = values![organization_id, request.after_id(), request.rows_to_fetch()];
        let rows = self.database.rows(LIST, arguments).await?;
        let items = rows.iter().map(team).collect::<Result<Vec<_>, _>>()?;
        Ok(request.page(items, |item| Cursor::of_id(item.id.as_uuid())))
    }

    pub async fn get_team(&self, proof: &Proof<TreeRead>, id: TeamId) -> Result<Team, StoreError> {
        let found = self.database.row(GET, values![id]).await?.as_ref().map(team).transpose()?;
        found
            .filter(|team| proof.covers(team.organization_id))
            .ok_or_else(|| StoreError::not_found(ObjectKind::Team, id))
    }

    pub async fn create_team(
        &self,
        proof: &Proof<TreeWrite>,
        organization_id: OrganizationId,
        name: &str,
    ) -> Result<Team, StoreError> {
        let mut write = self.begin_write(proof.actor()).await?;
        let created = write.create_team(proof, organization_id, name).await?;
        write.commit().await?;
        Ok(created)
    }

    pub async fn rename_team(
        &self,
        proof: &Proof<TreeWrite>,
        id: TeamId,
        name: &str,
    ) -> Result<Team, StoreError> {
        const UPDATE: &str = "UPDATE teams SET name = $2 WHERE id = $1";
        check_name(name)?;
        let mut write = self.begin_write(proof.actor()).await?;
        let before = covered_team(&mut write.transaction, proof, id).await?;
        if before.name == name {
            return Ok(before);
        }
        let after = Team { name: name.to_owned(), ..before.clone() };
        write.execute_named(ObjectKind::Team, name, UPDATE, values![id, name]).await?;
        write.record_team(Action::Update, Some(&before), Some(&after)).await?;
        write.commit().await?;
        Ok(after)
    }

    /// Refused while the team has projects or keys that are not revoked.
    pub async fn delete_team(&self, proof: &Proof<TreeWrite>, id: TeamId) -> Result<(), StoreError> {
        const DELETE: &str = "UPDATE teams SET deleted_at = $2 WHERE id = $1";
        let mut write = self.begin_write(proof.actor()).await?;
        let before = covered_team(&mut write.transaction, proof, id).await?;
        dependents::check_team(&mut write.transaction, id, &before.name).await?;
        write.transaction.execute(DELETE, values![id, write.now]).await?;
        write.record_team(Action::Delete, Some(&before), None).await?;
        write.commit().await
    }
}

impl Write {
    /// As [`Store::create_team`].
    pub async fn create_team(
        &mut self,
        proof: &Proof<TreeWrite>,
        organization_id: OrganizationId,
        name: &str,
    ) -> Result<Team, StoreError> {
        const INSERT: &str =
            "INSERT INTO teams (id, organization_id, name, created_at) VALUES ($1, $2, $3, $4)";
        check_name(name)?;
        check_scope(proof, organization_id)?;
        live_organization(&mut self.transaction, organization_id).await?;
        let created =
            Team { id: TeamId::generate(), organization_id, name: name.to_owned(), created_at: self.now };
        let arguments = values![created.id, organization_id, name, created.created_at];
        self.execute_named(ObjectKind::Team, name, INSERT, arguments).await?;
        self.record_team(Action::Create, None, Some(&created)).await?;
        Ok(created)
    }

    async fn record_team(
        &mut self,
        action: Action,
        before: Option<&Team>,
        after: Option<&Team>,
    ) -> Result<(), StoreError> {
        let Some(object) = after.or(before) else { return Ok(()) };
        self.record(Changed {
            kind: ObjectKind::Team,
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

pub(crate) async fn live_team(
    transaction: &mut Transaction,
    organization_id: OrganizationId,
    id: TeamId,
) -> Result<Team, StoreError> {
    let found = transaction.row(GET, values![id]).await?.as_ref().map(team).transpose()?;
    found
        .filter(|team| team.organization_id == organization_id)
        .ok_or_else(|| StoreError::not_found(ObjectKind::Team, id))
}

async fn covered_team(
    transaction: &mut Transaction,
    proof: &Proof<TreeWrite>,
    id: TeamId,
) -> Result<Team, StoreError> {
    let found = transaction.row(GET, values![id]).await?.as_ref().map(team).transpose()?;
    found
        .filter(|team| proof.covers(team.organization_id))
        .ok_or_else(|| StoreError::not_found(ObjectKind::Team, id))
}

pub(crate) fn team(row: &Row) -> Result<Team, StoreError> {
    Ok(Team {
        id: row.id("id")?,
        organization_id: row.id("organization_id")?,
        name: row.get("name")?,
        created_at: row.time("created_at")?,
    })
}
