//! Which budgets and limits apply to a call: found by place, without looking at those of others.

use std::collections::HashMap;
use std::sync::Arc;

use tollgate_core::{DeploymentId, GroupId, KeyId, OrganizationId, ProviderId};

use super::budget::BudgetObject;
use super::limit::LimitObject;
use super::member::Member;
use super::scope::{Each, ModelSelector, Place, Scope};
use crate::principal::{Principal, Subject};

/// All enabled budgets and limits of a snapshot. Shared by snapshots that differ in other things.
#[derive(Debug, Default)]
pub struct Governance {
    by_place: HashMap<(OrganizationId, Place), AtPlace>,
    budgets: Vec<Arc<BudgetObject>>,
    limits: Vec<Arc<LimitObject>>,
}

/// Positions of what applies at one place.
#[derive(Debug, Default)]
struct AtPlace {
    budgets: Vec<usize>,
    limits: Vec<usize>,
}

/// What a call is, as far as budgets and limits ask.
#[derive(Debug, Clone, Copy)]
pub struct CallFacts<'call> {
    pub principal: &'call Principal,
    pub groups: &'call [GroupId],
    /// The end user that the application named.
    pub customer: Option<&'call str>,
    /// Public name and tags of the model, once known.
    pub model: Option<(&'call str, &'call [Box<str>])>,
    /// Where an attempt goes, once chosen.
    pub upstream: Option<Upstream>,
}

/// Where an attempt goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Upstream {
    pub provider_id: ProviderId,
    pub deployment_id: DeploymentId,
}

impl Governance {
    /// Only enabled ones count. The position of each in [`Self::budgets`] and [`Self::limits`] is its slot.
    pub fn new(budgets: &[BudgetObject], limits: &[LimitObject]) -> Self {
        let mut this = Self::default();
        for budget in budgets.iter().filter(|budget| budget.enabled) {
            let place = (budget.organization_id, budget.scope.place.clone());
            this.by_place.entry(place).or_default().budgets.push(this.budgets.len());
            this.budgets.push(Arc::new(budget.clone()));
        }
        for limit in limits.iter().filter(|limit| limit.enabled) {
            let place = (limit.organization_id, limit.scope.place.clone());
            this.by_place.entry(place).or_default().limits.push(this.limits.len());
            this.limits.push(Arc::new(limit.clone()));
        }
        this
    }

    /// Whether the other has the same budgets and limits.
    pub fn is_same(&self, other: &Self) -> bool {
        self.budgets == other.budgets && self.limits == other.limits
    }

    /// By slot.
    pub fn budgets(&self) -> &[Arc<BudgetObject>] {
        &self.budgets
    }

    /// By slot.
    pub fn limits(&self) -> &[Arc<LimitObject>] {
        &self.limits
    }

    /// Visits the slot and member of every budget that counts the call, in a fixed order of places.
    pub fn budgets_of(&self, facts: &CallFacts<'_>, mut visit: impl FnMut(usize, Member)) {
        self.at_places(facts, |at| {
            for &slot in &at.budgets {
                if let Some(member) = self.budgets.get(slot).and_then(|one| member_of(&one.scope, facts)) {
                    visit(slot, member);
                }
            }
        });
    }

    /// Visits the slot and member of every limit that counts the call.
    pub fn limits_of(&self, facts: &CallFacts<'_>, mut visit: impl FnMut(usize, Member)) {
        self.at_places(facts, |at| {
            for &slot in &at.limits {
                if let Some(member) = self.limits.get(slot).and_then(|one| member_of(&one.scope, facts)) {
                    visit(slot, member);
                }
            }
        });
    }

    fn at_places(&self, facts: &CallFacts<'_>, mut visit: impl FnMut(&AtPlace)) {
        if self.by_place.is_empty() {
            return;
        }
        let payer = facts.principal.payer;
        let mut at = |place: Place| {
            if let Some(found) = self.by_place.get(&(payer.organization_id, place)) {
                visit(found);
            }
        };
        at(Place::Organization);
        if let Some(team_id) = payer.team_id {
            at(Place::Team(team_id));
        }
        if let Some(project_id) = payer.project_id {
            at(Place::Project(project_id));
        }
        for group_id in facts.groups {
            at(Place::Group(*group_id));
        }
        match facts.principal.subject {
            Subject::None => {}
            Subject::User(user_id) => at(Place::User(user_id)),
            Subject::ServiceAccount(id) => at(Place::ServiceAccount(id)),
        }
        if let Some(key_id) = facts.principal.key_id {
            at(Place::Key(key_id));
        }
        if let Some(customer) = facts.customer {
            at(Place::Customer(customer.into()));
        }
        if let Some(upstream) = facts.upstream {
            at(Place::Provider(upstream.provider_id));
            at(Place::Deployment(upstream.deployment_id));
        }
    }
}

/// Whose count the call goes to; `None` when the scope does not count it.
fn member_of(scope: &Scope, facts: &CallFacts<'_>) -> Option<Member> {
    if let Some(selector) = &scope.model {
        let (name, tags) = facts.model?;
        let selected = match selector {
            ModelSelector::Name(pattern) => pattern.matches(name),
            ModelSelector::Tag(tag) => tags.contains(tag),
        };
        if !selected {
            return None;
        }
    }
    let Some(each) = scope.each else { return Some(Member::All) };
    let principal = facts.principal;
    let payer = principal.payer;
    match each {
        Each::Team => payer.team_id.map(|id| Member::Id(id.into_bytes())),
        Each::Project => payer.project_id.map(|id| Member::Id(id.into_bytes())),
        Each::Key => principal.key_id.map(|id: KeyId| Member::Id(id.into_bytes())),
        Each::User => match principal.subject {
            Subject::User(id) => Some(Member::Id(id.into_bytes())),
            _ => None,
        },
        Each::ServiceAccount => match principal.subject {
            Subject::ServiceAccount(id) => Some(Member::Id(id.into_bytes())),
            _ => None,
        },
        // Who names nobody is not free of what every customer is held to.
        Each::Customer => {
            Some(facts.customer.map_or(Member::OtherCustomers, |name| Member::Customer(name.into())))
        }
    }
}

#[cfg(test)]
mod tests;
