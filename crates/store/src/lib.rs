//! The only SQL: everything Tollgate keeps, in SQLite or PostgreSQL, behind typed functions.
//!
//! Functions that serve an actor take a proof that the actor may; those named `system_…` serve the process itself.
//! Each control-plane write is one transaction: the change, its audit event, and the version counter that tells
//! publishers what to read again.

mod admin_tokens;
mod alerts;
mod audit;
mod configuration;
mod copy;
mod database;
mod error;
mod ledger;
mod objects;
mod page;
mod reads;
mod retention;
mod schema;
mod settings;
mod ship;
mod store;
mod write;

pub use admin_tokens::AdminToken;
pub use alerts::{Alert, AlertEvent, DeliveryOutcome, DeliveryState, DueDelivery, NewAlert};
pub use audit::{Action, AuditEvent, AuditFilter};
pub use configuration::{Change, Changes, KeyWithCredentials, Keys, StoredConfiguration};
pub use error::{ObjectKind, StoreError};
pub use ledger::balances::{BalanceFilter, StoredBalance, WindowTotals};
pub use ledger::instances::Instance;
pub use ledger::leases::{LeaseHolder, StoreLeases};
pub use ledger::verify::{BalanceColumn, Difference, LostLease, MAX_FINDINGS, Verification, Windows};
pub use ledger::write_off::{LedgerEntry, LostMoney};
pub use objects::budgets::{BudgetDraft, NewIncrease};
pub use objects::keys::{KeyFilter, KeyUpdate, NewCredential, NewKey};
pub use objects::limits::LimitDraft;
pub use objects::models::{DeploymentDraft, ModelDraft};
pub use objects::providers::{ProviderDraft, SecretChange, StoredProvider};
pub use objects::webhooks::{StoredWebhook, WebhookDraft};
pub use page::{Cursor, MAX_PAGE, Page, PageRequest};
pub use reads::request::{RequestDetail, StoredRequest};
pub use reads::requests::{RequestFilter, StatusClass};
pub use reads::usage::{Dimension, UsageFilter, UsageGroup, UsageQuery, UsageReport, UsageTotals};
pub use store::Store;
pub use tollgate_ledger::shipper::{Shipment, Shipped, ShippingPosition};
pub use write::Write;
