//! What one core has for itself: nothing here is shared with another thread or locked.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tollgate_ledger::journal::JournalWriter;
use tollgate_upstream::Client;

use crate::live::Gateway;

/// One data-plane thread: a journal, a pool of upstream connections, and the shared gateway.
pub struct Core {
    pub gateway: Arc<Gateway>,
    pub client: Client,
    pub journal: JournalWriter,
    /// For encoding journal records without allocating.
    pub(crate) scratch: RefCell<Vec<u8>>,
    /// State of this core's random numbers for choosing deployments and jitter; nothing secret depends on them.
    random: Cell<u64>,
}

impl Core {
    pub fn new(gateway: Arc<Gateway>, client: Client, journal: JournalWriter, seed: u64) -> Rc<Self> {
        Rc::new(Self {
            gateway,
            client,
            journal,
            scratch: RefCell::new(Vec::with_capacity(2_048)),
            random: Cell::new(seed | 1),
        })
    }

    /// A number below `bound` (xorshift64*), 0 when `bound` is 0.
    pub(crate) fn random_below(&self, bound: u64) -> u64 {
        let mut state = self.random.get();
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        self.random.set(state);
        state.wrapping_mul(0x2545_F491_4F6C_DD1D).checked_rem(bound).unwrap_or(0)
    }
}

/// Bytes of request bodies held at the moment, all cores together.
#[derive(Debug, Default)]
pub struct BodyMemory {
    held_bytes: AtomicUsize,
}

/// A share of [`BodyMemory`], given back on drop.
#[derive(Debug)]
pub struct HeldBytes {
    memory: Arc<BodyMemory>,
    bytes: usize,
}

impl BodyMemory {
    /// Takes a share unless the sum would pass `limit_bytes`.
    pub fn hold(self: &Arc<Self>, bytes: usize, limit_bytes: usize) -> Option<HeldBytes> {
        let before = self.held_bytes.fetch_add(bytes, Ordering::Relaxed);
        let held = HeldBytes { memory: Arc::clone(self), bytes };
        (before.saturating_add(bytes) <= limit_bytes).then_some(held)
    }
}

impl HeldBytes {
    pub const fn bytes(&self) -> usize {
        self.bytes
    }
}

impl Drop for HeldBytes {
    fn drop(&mut self) {
        self.memory.held_bytes.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}
