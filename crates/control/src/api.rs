//! The admin API: handlers by object, and the table that lists them.

pub(crate) mod alerts;
pub(crate) mod audit;
pub(crate) mod budgets;
pub(crate) mod catalog;
pub(crate) mod draft_check;
pub(crate) mod keys;
pub(crate) mod ledger;
pub(crate) mod limits;
pub(crate) mod metrics;
pub(crate) mod models;
pub(crate) mod organizations;
pub(crate) mod paging;
pub(crate) mod patch;
pub(crate) mod projects;
pub(crate) mod provider_probe;
pub(crate) mod providers;
pub(crate) mod requests;
pub(crate) mod system;
pub(crate) mod teams;
pub(crate) mod usage;
pub(crate) mod webhooks;

use crate::route::{Guard, Route, act, create, delete, get, update};

/// Every route of the control plane.
pub(crate) fn table() -> Vec<Route> {
    let mut routes = tree();
    routes.extend(serving());
    routes.extend(governing());
    routes.extend(alerting());
    routes.extend(reading());
    routes
}

fn tree() -> Vec<Route> {
    const ORGANIZATION: &str = "/api/v1/organizations/{organization_id}";
    const TEAM: &str = "/api/v1/teams/{team_id}";
    const PROJECT: &str = "/api/v1/projects/{project_id}";
    vec![
        get("/api/v1/organizations", "listOrganizations", "List organizations").by(organizations::list),
        create("/api/v1/organizations", "createOrganization", "Make an organization")
            .by(organizations::create),
        get(ORGANIZATION, "getOrganization", "Read an organization").by(organizations::get),
        update(ORGANIZATION, "renameOrganization", "Rename an organization").by(organizations::rename),
        delete(ORGANIZATION, "deleteOrganization", "Delete an empty organization").by(organizations::delete),
        get("/api/v1/teams", "listTeams", "List the teams of an organization").by(teams::list),
        create("/api/v1/teams", "createTeam", "Make a team").by(teams::create),
        get(TEAM, "getTeam", "Read a team").by(teams::get),
        update(TEAM, "renameTeam", "Rename a team").by(teams::rename),
        delete(TEAM, "deleteTeam", "Delete a team without projects and keys").by(teams::delete),
        get("/api/v1/projects", "listProjects", "List projects").by(projects::list),
        create("/api/v1/projects", "createProject", "Make a project within a team").by(projects::create),
        get(PROJECT, "getProject", "Read a project").by(projects::get),
        update(PROJECT, "renameProject", "Rename a project").by(projects::rename),
        delete(PROJECT, "deleteProject", "Delete a project without keys").by(projects::delete),
    ]
}

fn serving() -> Vec<Route> {
    const PROVIDER: &str = "/api/v1/providers/{provider_id}";
    const MODEL: &str = "/api/v1/models/{model_id}";
    const KEY: &str = "/api/v1/keys/{key_id}";
    vec![
        get("/api/v1/provider-kinds", "listProviderKinds", "List the kinds of providers that Tollgate knows")
            .by(providers::kinds),
        get("/api/v1/providers", "listProviders", "List providers").by(providers::list),
        create("/api/v1/providers", "createProvider", "Make a provider").by(providers::create),
        get(PROVIDER, "getProvider", "Read a provider").by(providers::get),
        update(PROVIDER, "updateProvider", "Change a provider").by(providers::update),
        delete(PROVIDER, "deleteProvider", "Delete a provider that no model uses").by(providers::delete),
        act("/api/v1/providers/{provider_id}/test", "testProvider", "Call a provider and say what is wrong")
            .by(provider_probe::test),
        act(
            "/api/v1/providers/{provider_id}/discover",
            "discoverModels",
            "Ask a provider for its models and keep them",
        )
        .by(provider_probe::discover),
        get("/api/v1/models", "listModels", "List models with their deployments").by(models::list),
        create("/api/v1/models", "createModel", "Make a model").by(models::create),
        get(MODEL, "getModel", "Read a model").by(models::get),
        update(MODEL, "updateModel", "Change a model").by(models::update),
        delete(MODEL, "deleteModel", "Delete a model").by(models::delete),
        get("/api/v1/models/{model_id}/health", "getModelHealth", "See how a model's deployments are doing")
            .by(models::health),
        get("/api/v1/keys", "listKeys", "List keys").by(keys::list),
        create("/api/v1/keys", "createKey", "Make a key; its secret is in this answer only").by(keys::create),
        get(KEY, "getKey", "Read a key").by(keys::get),
        update(KEY, "updateKey", "Change a key's name, grants or expiry").by(keys::update),
        act("/api/v1/keys/{key_id}/revoke", "revokeKey", "Kill a key for good").by(keys::revoke),
        act(
            "/api/v1/keys/{key_id}/rotate",
            "rotateKey",
            "Give a key a new secret; the old one lives on for a while",
        )
        .by(keys::rotate),
    ]
}

fn governing() -> Vec<Route> {
    const BUDGET: &str = "/api/v1/budgets/{budget_id}";
    const LIMIT: &str = "/api/v1/limits/{limit_id}";
    vec![
        get("/api/v1/budgets", "listBudgets", "List budgets").by(budgets::list),
        create("/api/v1/budgets", "createBudget", "Make a budget").by(budgets::create),
        get(BUDGET, "getBudget", "Read a budget").by(budgets::get),
        update(BUDGET, "updateBudget", "Change a budget").by(budgets::update),
        delete(BUDGET, "deleteBudget", "Delete a budget").by(budgets::delete),
        get(
            "/api/v1/budgets/{budget_id}/state",
            "getBudgetState",
            "See what a budget has counted in its present window, by member",
        )
        .by(budgets::state),
        create("/api/v1/budgets/{budget_id}/increases", "raiseBudget", "Allow more until a certain time")
            .by(budgets::raise),
        delete(
            "/api/v1/budgets/{budget_id}/increases/{increase_id}",
            "withdrawIncrease",
            "End an increase now",
        )
        .by(budgets::withdraw),
        get("/api/v1/limits", "listLimits", "List limits").by(limits::list),
        create("/api/v1/limits", "createLimit", "Make a limit").by(limits::create),
        get(LIMIT, "getLimit", "Read a limit").by(limits::get),
        update(LIMIT, "updateLimit", "Change a limit").by(limits::update),
        get(
            "/api/v1/limits/{limit_id}/state",
            "getLimitState",
            "See what is left of a limit in the process that answers, by member",
        )
        .by(limits::state),
        delete(LIMIT, "deleteLimit", "Delete a limit").by(limits::delete),
    ]
}

fn alerting() -> Vec<Route> {
    const WEBHOOK: &str = "/api/v1/webhooks/{webhook_id}";
    vec![
        get("/api/v1/webhooks", "listWebhooks", "List the addresses that alerts are sent to")
            .by(webhooks::list),
        create("/api/v1/webhooks", "createWebhook", "Make a webhook; its secret is in this answer only")
            .by(webhooks::create),
        get(WEBHOOK, "getWebhook", "Read a webhook").by(webhooks::get),
        update(WEBHOOK, "updateWebhook", "Change a webhook").by(webhooks::update),
        delete(WEBHOOK, "deleteWebhook", "Delete a webhook").by(webhooks::delete),
        act(
            "/api/v1/webhooks/{webhook_id}/test",
            "testWebhook",
            "Send a test event and say what became of it",
        )
        .by(webhooks::test),
        get(
            "/api/v1/webhooks/{webhook_id}/deliveries",
            "listDeliveries",
            "List what became of alerts that were sent to a webhook, newest first",
        )
        .by(webhooks::deliveries),
        get("/api/v1/alerts", "listAlerts", "List alerts, newest first").by(alerts::list),
        act(
            "/api/v1/ledger/verify",
            "verifyLedger",
            "Recompute balances from usage records and say what differs",
        )
        .by(ledger::verify),
        act(
            "/api/v1/ledger/write-off",
            "writeOffLeases",
            "Give up the money that a process held which does not come back",
        )
        .by(ledger::write_off),
    ]
}

fn reading() -> Vec<Route> {
    vec![
        get("/api/v1/usage", "getUsage", "Sum up usage and cost").by(usage::report),
        get("/api/v1/requests", "listRequests", "List request records, newest first").by(requests::list),
        get("/api/v1/requests/{request_id}", "getRequest", "Read a request with its attempts and decisions")
            .by(requests::get),
        get("/api/v1/catalog", "listCatalog", "List the model facts and prices that ship with Tollgate")
            .by(catalog::list),
        get("/api/v1/audit-events", "listAuditEvents", "List who changed what, newest first").by(audit::list),
        get("/api/v1/system", "getSystem", "See versions, publishing, store and journal").by(system::get),
        get("/api/v1/openapi.json", "getOpenApi", "This description").raw(Guard::Open, system::openapi),
        get("/metrics", "getMetrics", "Metrics in the Prometheus text format")
            .raw(metrics::GUARD, metrics::show),
        get("/", "getRoot", "The console, or where to find the API").raw(Guard::Open, system::root),
    ]
}

#[cfg(test)]
mod tests;
