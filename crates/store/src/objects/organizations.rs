//! Organizations.

use tollgate_access::Proof;
use tollgate_access::Scope;
use tollgate_access::authorize::{TreeRead, TreeWrite};
use tollgate_core::OrganizationId;
use tollgate_state::objects::Organization;

use super::dependents;
use crate::audit::Action;
use crate::database::{Query, Row, Transaction, values};
use crate::error::{ObjectKind, StoreError};
use crate::page::{Cursor, Page, PageRequest};
use crate::store::{Store, check_name, check_scope};
use crate::write::{Changed, Write, json};

const GET: &str = "SELECT * FROM organizations WHERE id = $1 AND deleted_at IS NULL";

impl Store {
    /// Organizations within the proof's scope.
    pub async fn list_organizations(
        &self,
        proof: &Proof<TreeRead>,
        request: PageRequest,
    ) -> Result<Page<Organization>, StoreError> {
        let mut query = Query::new("SELECT * FROM organizations WHERE id > ");
        query.bind(request.after_id()).push(" AND deleted_at IS NULL");
        if let Scope::Organization(own) = proof.scope() {
            query.filter("id =", Some(own));
        }
        query.push(" ORDER BY id LIMIT ").bind(request.rows_to_fetch());
        let rows = self.database.rows(query.sql(), query.values()).await?;
        let items = rows.iter().map(organization).collect::<Result<Vec<_>, _>>()?;
        Ok(request.page(items, |item| Cursor::of_id(item.id.as_uuid())))
    }

    pub async fn get_organization(
        &self,
        proof: &Proof<TreeRead>,
        id: OrganizationId,
    ) -> Result<Organization, StoreError> {
        check_scope(proof, id)?;
        let row = self.database.row(GET, values![id]).await?;
        organization(&row.ok_or_else(|| StoreError::not_found(ObjectKind::Organization, id))?)
    }

    /// Needs a proof for the whole installation.
    pub async fn create_organization(
        &self,
        proof: &Proof<TreeWrite>,
        name: &str,
    ) -> Result<Organization, StoreError> {
        let mut write = self.begin_write(proof.actor()).await?;
        let created = write.create_organization(proof, name).await?;
        write.commit().await?;
        Ok(created)
    }

    pub async fn rename_organization(
        &self,
        proof: &Proof<TreeWrite>,
        id: OrganizationId,
        name: &str,
    ) -> Result<Organization, StoreError> {
        const UPDATE: &str = "UPDATE organizations SET name = $2 WHERE id = $1";
        check_name(name)?;
        check_scope(proof, id)?;
        let mut write = self.begin_write(proof.actor()).await?;
        let before = live_organization(&mut write.transaction, id).await?;
        if before.name == name {
            return Ok(before);
        }
        let after = Organization { name: name.to_owned(), ..before.clone() };
        write.execute_named(ObjectKind::Organization, name, UPDATE, values![id, name]).await?;
        write.record_organization(Action::Update, Some(&before), Some(&after)).await?;
        write.commit().await?;
        Ok(after)
    }

    /// Refused while the organization has teams, providers or models.
    pub async fn delete_organization(
        &self,
        proof: &Proof<TreeWrite>,
        id: OrganizationId,
    ) -> Result<(), StoreError> {
        const DELETE: &str = "UPDATE organizations SET deleted_at = $2 WHERE id = $1";
        check_scope(proof, id)?;
        let mut write = self.begin_write(proof.actor()).await?;
        let before = live_organization(&mut write.transaction, id).await?;
        dependents::check_organization(&mut write.transaction, id, &before.name).await?;
        write.transaction.execute(DELETE, values![id, write.now]).await?;
        write.record_organization(Action::Delete, Some(&before), None).await?;
        write.commit().await
    }
}

impl Write {
    /// As [`Store::create_organization`].
    pub async fn create_organization(
        &mut self,
        proof: &Proof<TreeWrite>,
        name: &str,
    ) -> Result<Organization, StoreError> {
        const INSERT: &str = "INSERT INTO organizations (id, name, created_at) VALUES ($1, $2, $3)";
        check_name(name)?;
        let created =
            Organization { id: OrganizationId::generate(), name: name.to_owned(), created_at: self.now };
        check_scope(proof, created.id)?;
        let arguments = values![created.id, name, created.created_at];
        self.execute_named(ObjectKind::Organization, name, INSERT, arguments).await?;
        self.record_organization(Action::Create, None, Some(&created)).await?;
        Ok(created)
    }

    async fn record_organization(
        &mut self,
        action: Action,
        before: Option<&Organization>,
        after: Option<&Organization>,
    ) -> Result<(), StoreError> {
        let Some(object) = after.or(before) else { return Ok(()) };
        self.record(Changed {
            kind: ObjectKind::Organization,
            id: object.id.as_uuid(),
            name: &object.name,
            organization_id: Some(object.id),
            action,
            before: before.map(json).transpose()?,
            after: after.map(json).transpose()?,
        })
        .await
    }
}

pub(crate) async fn live_organization(
    transaction: &mut Transaction,
    id: OrganizationId,
) -> Result<Organization, StoreError> {
    let row = transaction.row(GET, values![id]).await?;
    organization(&row.ok_or_else(|| StoreError::not_found(ObjectKind::Organization, id))?)
}

pub(crate) fn organization(row: &Row) -> Result<Organization, StoreError> {
    Ok(Organization { id: row.id("id")?, name: row.get("name")?, created_at: row.time("created_at")? })
}
