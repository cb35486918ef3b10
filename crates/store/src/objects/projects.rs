//! Projects.

use tollgate_access::Proof;
use tollgate_access::authorize::{TreeRead, TreeWrite};
use tollgate_core::{OrganizationId, ProjectId, TeamId};
use tollgate_state::objects::Project;

use super::dependents;
use super::teams::live_team;
use crate::audit::Action;
use crate::database::{Query, Row, Transaction, values};
use crate::error::{ObjectKind, StoreError};
use crate::page::{Cursor, Page, PageRequest};
use crate::store::{Store, check_name, check_scope};
use crate::write::{Changed, Write, json};

const GET: &str = "SELECT * FROM projects WHERE id = $1 AND deleted_at IS NULL";

impl Store {
    pub async fn list_projects(
        &self,
        proof: &Proof<TreeRead>,
        organization_id: OrganizationId,
        team_id: Option<TeamId>,
        request: PageRequest,
    ) -> Result<Page<Project>, StoreError> {
        check_scope(proof, organization_id)?;
        let mut query = Query::new("SELECT * FROM projects WHERE deleted_at IS NULL AND organization_id = ");
        query.bind(organization_id).filter("id >", Some(request.after_id())).filter("team_id =", team_id);
        query.push(" ORDER BY id LIMIT ").bind(request.rows_to_fetch());
        let rows = self.database.rows(query.sql(), query.values()).await?;
        let items = rows.iter().map(project).collect::<Result<Vec<_>, _>>()?;
        Ok(request.page(items, |item| Cursor::of_id(item.id.as_uuid())))
    }

    pub async fn get_project(&self, proof: &Proof<TreeRead>, id: ProjectId) -> Result<Project, StoreError> {
        let found = self.database.row(GET, values![id]).await?.as_ref().map(project).transpose()?;
        found
            .filter(|project| proof.covers(project.organization_id))
            .ok_or_else(|| StoreError::not_found(ObjectKind::Project, id))
    }

    pub async fn create_project(
        &self,
        proof: &Proof<TreeWrite>,
        organization_id: OrganizationId,
        team_id: TeamId,
        name: &str,
    ) -> Result<Project, StoreError> {
        let mut write = self.begin_write(proof.actor()).await?;
        let created = write.create_project(proof, organization_id, team_id, name).await?;
        write.commit().await?;
        Ok(created)
    }

    pub async fn rename_project(
        &self,
        proof: &Proof<TreeWrite>,
        id: ProjectId,
        name: &str,
    ) -> Result<Project, StoreError> {
        const UPDATE: &str = "UPDATE projects SET name = $2 WHERE id = $1";
        check_name(name)?;
        let mut write = self.begin_write(proof.actor()).await?;
        let before = covered_project(&mut write.transaction, proof, id).await?;
        if before.name == name {
            return Ok(before);
        }
        let after = Project { name: name.to_owned(), ..before.clone() };
        write.execute_named(ObjectKind::Project, name, UPDATE, values![id, name]).await?;
        write.record_project(Action::Update, Some(&before), Some(&after)).await?;
        write.commit().await?;
        Ok(after)
    }

    /// Refused while the project has keys that are not revoked.
    pub async fn delete_project(&self, proof: &Proof<TreeWrite>, id: ProjectId) -> Result<(), StoreError> {
        const DELETE: &str = "UPDATE projects SET deleted_at = $2 WHERE id = $1";
        let mut write = self.begin_write(proof.actor()).await?;
        let before = covered_project(&mut write.transaction, proof, id).await?;
        dependents::check_project(&mut write.transaction, id, &before.name).await?;
        write.transaction.execute(DELETE, values![id, write.now]).await?;
        write.record_project(Action::Delete, Some(&before), None).await?;
        write.commit().await
    }
}

impl Write {
    /// As [`Store::create_project`].
    pub async fn create_project(
        &mut self,
        proof: &Proof<TreeWrite>,
        organization_id: OrganizationId,
        team_id: TeamId,
        name: &str,
    ) -> Result<Project, StoreError> {
        const INSERT: &str = "INSERT INTO projects (id, organization_id, team_id, name, created_at) \
            VALUES ($1, $2, $3, $4, $5)";
        check_name(name)?;
        check_scope(proof, organization_id)?;
        live_team(&mut self.transaction, organization_id, team_id).await?;
        let (id, created_at) = (ProjectId::generate(), self.now);
        let created = Project { id, organization_id, team_id, name: name.to_owned(), created_at };
        let arguments = values![id, organization_id, team_id, name, created_at];
        self.execute_named(ObjectKind::Project, name, INSERT, arguments).await?;
        self.record_project(Action::Create, None, Some(&created)).await?;
        Ok(created)
    }

    async fn record_project(
        &mut self,
        action: Action,
        before: Option<&Project>,
        after: Option<&Project>,
    ) -> Result<(), StoreError> {
        let Some(object) = after.or(before) else { return Ok(()) };
        self.record(Changed {
            kind: ObjectKind::Project,
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

pub(crate) async fn live_project(
    transaction: &mut Transaction,
    organization_id: OrganizationId,
    id: ProjectId,
) -> Result<Project, StoreError> {
    let found = transaction.row(GET, values![id]).await?.as_ref().map(project).transpose()?;
    found
        .filter(|project| project.organization_id == organization_id)
        .ok_or_else(|| StoreError::not_found(ObjectKind::Project, id))
}

async fn covered_project(
    transaction: &mut Transaction,
    proof: &Proof<TreeWrite>,
    id: ProjectId,
) -> Result<Project, StoreError> {
    let found = transaction.row(GET, values![id]).await?.as_ref().map(project).transpose()?;
    found
        .filter(|project| proof.covers(project.organization_id))
        .ok_or_else(|| StoreError::not_found(ObjectKind::Project, id))
}

pub(crate) fn project(row: &Row) -> Result<Project, StoreError> {
    Ok(Project {
        id: row.id("id")?,
        organization_id: row.id("organization_id")?,
        team_id: row.id("team_id")?,
        name: row.get("name")?,
        created_at: row.time("created_at")?,
    })
}
