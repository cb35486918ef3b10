//! Who may change and read what: actors, permissions as values, the secrets that prove identity.
//!
//! The data plane asks here whether a key's text belongs to a credential; the control plane asks for a
//! [`authorize::Proof`] before it touches the store.

pub mod admin_credential;
pub mod authorize;
pub mod peppers;
pub mod root_key;
pub mod seal;
pub mod token;

pub use authorize::{Actor, ActorKind, Permission, Proof, Scope};
pub use root_key::{Purpose, RootKey};
pub use seal::{Place, SealError, Sealed, Sealer};
