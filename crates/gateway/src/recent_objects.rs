//! Object ids that providers handed out a moment ago, for the time until the store has them, and those asked for.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, PoisonError};

use tollgate_core::OrganizationId;
use tollgate_ledger::record::ProviderObjectRecord;
use tollgate_state::ports::ProviderObjectOwner;

/// Far more than are handed out while the shipper is behind by its usual tenth of a second.
const CAPACITY: usize = 16_384;

/// The newest ids; the oldest are forgotten first. Only calls that name stored objects come here.
#[derive(Debug, Default)]
pub struct RecentObjects {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    owners: HashMap<Box<str>, ProviderObjectOwner>,
    order: VecDeque<Box<str>>,
}

impl RecentObjects {
    /// Remembers who was just given an id.
    pub fn remember(&self, object: &ProviderObjectRecord) {
        let owner = ProviderObjectOwner {
            payer: object.principal.payer,
            key_id: object.principal.key_id,
            deployment_id: object.deployment_id,
        };
        self.keep(&object.object_id, owner);
    }

    /// Keeps an owner that is known.
    pub fn keep(&self, object_id: &str, owner: ProviderObjectOwner) {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        if inner.owners.contains_key(object_id) {
            // Ids are the provider's to choose; the first owner keeps it.
            return;
        }
        if inner.order.len() >= CAPACITY
            && let Some(oldest) = inner.order.pop_front()
        {
            inner.owners.remove(&oldest);
        }
        inner.order.push_back(object_id.into());
        inner.owners.insert(object_id.into(), owner);
    }

    /// The owner, if the id was handed out to this organization a moment ago.
    pub fn find(&self, organization_id: OrganizationId, object_id: &str) -> Option<ProviderObjectOwner> {
        let inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        inner.owners.get(object_id).filter(|owner| owner.payer.organization_id == organization_id).cloned()
    }
}
