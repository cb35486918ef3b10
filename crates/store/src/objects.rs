//! The governed objects: read with a proof, written with a proof, an audit event and a new version.

pub(crate) mod budgets;
pub(crate) mod dependents;
pub(crate) mod keys;
pub(crate) mod limits;
pub(crate) mod models;
pub(crate) mod organizations;
pub(crate) mod places;
pub(crate) mod projects;
pub(crate) mod providers;
pub(crate) mod teams;
pub(crate) mod webhooks;
