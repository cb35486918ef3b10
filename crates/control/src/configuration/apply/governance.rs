//! Budgets and limits: removed before what they name, made after it.

use tollgate_access::authorize::{BudgetsWrite, LimitsWrite};
use tollgate_core::OrganizationId;
use tollgate_state::governance::{BudgetObject, LimitObject, Place, Scope};
use tollgate_state::objects::Owner;
use tollgate_store::StoredConfiguration;

use super::find::{find_project, find_provider, find_team, in_files};
use super::{ApplyError, Applying, proof};
use crate::configuration::governance::{FilePlace, FileScope};
use crate::configuration::objects::{FileObjects, FileOrganization};

pub(super) fn find_budget<'a>(
    stored: &'a StoredConfiguration,
    organization_id: OrganizationId,
    name: &str,
) -> Option<&'a BudgetObject> {
    stored.budgets.iter().find(|known| known.organization_id == organization_id && known.name == name)
}

pub(super) fn find_limit<'a>(
    stored: &'a StoredConfiguration,
    organization_id: OrganizationId,
    name: &str,
) -> Option<&'a LimitObject> {
    stored.limits.iter().find(|known| known.organization_id == organization_id && known.name == name)
}

impl Applying<'_> {
    /// Removes what files owned and no longer name.
    pub(super) async fn remove_governance(&mut self, objects: &FileObjects) -> Result<(), ApplyError> {
        for budget in self.stored.budgets.iter().filter(|budget| budget.owner == Owner::File) {
            let own = in_files(&self.stored, objects, budget.organization_id);
            if !own.is_some_and(|own| own.budgets.iter().any(|located| located.value.name == budget.name)) {
                self.write.delete_budget(&proof::<BudgetsWrite>()?, budget.id).await?;
            }
        }
        for limit in self.stored.limits.iter().filter(|limit| limit.owner == Owner::File) {
            let own = in_files(&self.stored, objects, limit.organization_id);
            if !own.is_some_and(|own| own.limits.iter().any(|located| located.value.name == limit.name)) {
                self.write.delete_limit(&proof::<LimitsWrite>()?, limit.id).await?;
            }
        }
        Ok(())
    }

    pub(super) async fn governance(&mut self, file: &FileOrganization) -> Result<(), ApplyError> {
        let known = self.stored.organizations.iter().find(|known| known.name == file.name);
        let Some(organization_id) = known.map(|known| known.id) else { return Ok(()) };
        let budgets = proof::<BudgetsWrite>()?;
        for located in &file.budgets {
            let Some(scope) = self.scope(organization_id, &located.value.scope).await? else { continue };
            let draft = located.value.draft(scope);
            match find_budget(&self.stored, organization_id, &located.value.name).map(|known| known.id) {
                Some(id) => self.write.update_budget(&budgets, id, draft).await?,
                None => self.write.create_budget(&budgets, organization_id, draft).await?,
            };
        }
        let limits = proof::<LimitsWrite>()?;
        for located in &file.limits {
            let Some(scope) = self.scope(organization_id, &located.value.scope).await? else { continue };
            let draft = located.value.draft(scope);
            match find_limit(&self.stored, organization_id, &located.value.name).map(|known| known.id) {
                Some(id) => self.write.update_limit(&limits, id, draft).await?,
                None => self.write.create_limit(&limits, organization_id, draft).await?,
            };
        }
        Ok(())
    }

    /// The scope by ids. `None` for a key that was revoked by hand: nobody can call with it.
    async fn scope(&mut self, id: OrganizationId, file: &FileScope) -> Result<Option<Scope>, ApplyError> {
        let place = match &file.place {
            FilePlace::Organization => Some(Place::Organization),
            FilePlace::Team(name) => find_team(&self.stored, id, name).map(|team| Place::Team(team.id)),
            FilePlace::Project(name) => {
                find_project(&self.stored, id, name).map(|project| Place::Project(project.id))
            }
            FilePlace::Key(name) => {
                let known = self.write.system_find_key_named(id, name).await?;
                known.map(|known| Place::Key(known.key.id))
            }
            FilePlace::Provider(name) => {
                find_provider(&self.stored, id, name).map(|known| Place::Provider(known.object.id))
            }
            FilePlace::Customer(name) => Some(Place::Customer(name.clone())),
            FilePlace::User(id) => Some(Place::User(*id)),
            FilePlace::Group(id) => Some(Place::Group(*id)),
            FilePlace::ServiceAccount(id) => Some(Place::ServiceAccount(*id)),
        };
        Ok(place.map(|place| file.at(place)))
    }
}
