//! What the data plane needs to know, as an immutable snapshot, and who may use what.
//!
//! Pure: the control plane reads [`objects`] from its store, builds a [`Snapshot`] and publishes it; the data
//! plane looks things up in it. A request keeps the snapshot it began with.

pub mod build;
pub mod governance;
pub mod grants;
pub mod objects;
pub mod ports;
pub mod principal;
pub mod snapshot;

pub use grants::{Grants, Refusal};
pub use principal::{Payer, Principal, Subject};
pub use snapshot::{
    ActiveCredential, ActiveKey, CredentialLookup, Deployment, Model, OrganizationView, Provider, Snapshot,
};
