//! Projects, the leaves of the tree.

use schemars::JsonSchema;
use serde::Deserialize;
use tollgate_access::authorize::{TreeRead, TreeWrite};
use tollgate_core::{OrganizationId, ProjectId, TeamId};
use tollgate_state::objects::Project;
use tollgate_store::{ObjectKind, Page};

use super::organizations::Named;
use super::paging::{organization, page};
use crate::call::{Call, Nothing};
use crate::problem::Problem;

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ProjectPath {
    project_id: ProjectId,
}

/// Which projects are wanted.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ProjectsQuery {
    /// May be left out while there is only one organization.
    organization_id: Option<OrganizationId>,
    /// Only those of this team.
    team_id: Option<TeamId>,
    /// `next` of the page before.
    cursor: Option<String>,
    /// Items per page, 1 to 500.
    limit: Option<u32>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewProject {
    team_id: TeamId,
    name: String,
}

pub(crate) async fn list(call: Call<TreeRead, Nothing, ProjectsQuery>) -> Result<Page<Project>, Problem> {
    let (store, query) = (&call.plane.installation()?.store, &call.query);
    let request = page(query.cursor.as_deref(), query.limit)?;
    let organization_id = organization(store, &call.proof, query.organization_id).await?;
    Ok(store.list_projects(&call.proof, organization_id, query.team_id, request).await?)
}

pub(crate) async fn create(call: Call<TreeWrite, Nothing, Nothing, NewProject>) -> Result<Project, Problem> {
    let (store, body) = (&call.plane.installation()?.store, &call.body);
    let of_team = |error| Problem::of_reference(error, &[(ObjectKind::Team, "team_id")]);
    let read = call.proof.actor().authorize::<TreeRead>(call.proof.scope())?;
    let team = store.get_team(&read, body.team_id).await.map_err(of_team)?;
    let created = store.create_project(&call.proof, team.organization_id, team.id, &body.name).await;
    created.map_err(of_team)
}

pub(crate) async fn get(call: Call<TreeRead, ProjectPath>) -> Result<Project, Problem> {
    Ok(call.plane.installation()?.store.get_project(&call.proof, call.path.project_id).await?)
}

pub(crate) async fn rename(call: Call<TreeWrite, ProjectPath, Nothing, Named>) -> Result<Project, Problem> {
    Ok(call
        .plane
        .installation()?
        .store
        .rename_project(&call.proof, call.path.project_id, &call.body.name)
        .await?)
}

pub(crate) async fn delete(call: Call<TreeWrite, ProjectPath>) -> Result<Nothing, Problem> {
    call.plane.installation()?.store.delete_project(&call.proof, call.path.project_id).await?;
    Ok(Nothing {})
}
