//! What hour and day limits have counted, in a form that outlives the process.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use serde::{Deserialize, Serialize};
use tollgate_core::{LimitId, UnixMicros};
use tollgate_state::governance::{LimitObject, Member};

use super::book::{KeptLines, LimitBook};
use super::line::{LimitLine, outlives_restart};
use super::pace::as_nanos;

/// Names the format and its version.
const HEADER: &[u8; 8] = b"tglimit1";
const CHECKSUM_BYTES: usize = 4;

/// Per limit and member, how far its theoretical arrival time lies ahead.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LimitSnapshot {
    limits: Vec<(LimitId, Vec<(Member, i64)>)>,
}

/// The bytes are not a snapshot, or not all of one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DamagedSnapshot {
    #[error("it does not begin as a snapshot of this version does")]
    Header,
    #[error("its checksum is wrong")]
    Checksum,
    #[error("its content cannot be decoded")]
    Content,
}

impl LimitSnapshot {
    /// A header, a CRC32C of what follows, and the counts in postcard's encoding.
    pub fn to_bytes(&self) -> Vec<u8> {
        // Encoding plain data into memory cannot fail; an empty body would be refused as damaged.
        let body = postcard::to_allocvec(self).unwrap_or_default();
        let checksum = crc32c::crc32c(&body).to_le_bytes();
        [HEADER.as_slice(), &checksum, &body].concat()
    }

    pub fn from_bytes(bytes: &[u8]) -> Result<Self, DamagedSnapshot> {
        let rest = bytes.strip_prefix(HEADER).ok_or(DamagedSnapshot::Header)?;
        let (checksum, body) = rest.split_first_chunk::<CHECKSUM_BYTES>().ok_or(DamagedSnapshot::Checksum)?;
        if crc32c::crc32c(body) != u32::from_le_bytes(*checksum) {
            return Err(DamagedSnapshot::Checksum);
        }
        postcard::from_bytes(body).map_err(|_| DamagedSnapshot::Content)
    }

    /// How many counts it has.
    pub fn counts(&self) -> usize {
        self.limits.iter().map(|(_, members)| members.len()).sum()
    }
}

impl LimitBook {
    /// What hour and day limits have counted. Shorter ones are over when a process is back; what is held at the same
    /// time ends with the process.
    pub fn snapshot(&self, now: UnixMicros) -> LimitSnapshot {
        let now_ns = as_nanos(now);
        let kept = self.kept.lock();
        let lasting = |(line, limit): &(Arc<LimitLine>, Arc<LimitObject>)| {
            outlives_restart(limit.meter, limit.per).then(|| Arc::clone(line))
        };
        let lines: Vec<Arc<LimitLine>> = kept.lines.values().filter_map(lasting).collect();
        let waiting = kept.restored.iter().map(|(id, members)| (*id, members.clone()));
        let mut limits: Vec<(LimitId, Vec<(Member, i64)>)> = waiting.collect();
        drop(kept);
        for line in lines {
            let mut members = Vec::new();
            line.visit_ahead(now_ns, |member, arrival_ns| members.push((member.clone(), arrival_ns)));
            limits.push((line.limit_id(), members));
        }
        for (_, members) in &mut limits {
            members.retain(|(_, arrival_ns)| *arrival_ns > now_ns);
        }
        limits.retain(|(_, members)| !members.is_empty());
        LimitSnapshot { limits }
    }

    /// At start, before anything is admitted. Never takes back what was counted since.
    pub fn restore(&self, snapshot: LimitSnapshot) {
        let mut kept = self.kept.lock();
        let KeptLines { lines, restored } = &mut *kept;
        for (limit_id, members) in snapshot.limits {
            match lines.get(&limit_id) {
                Some((line, limit)) => {
                    members.iter().for_each(|(member, arrival_ns)| line.restore(limit, member, *arrival_ns));
                }
                None => restored.entry(limit_id).or_default().extend(members),
            }
        }
    }

    /// At start and before the first publish, when nobody knows what hour and day limits had counted: they begin with
    /// their burst spent. Calls are admitted at the limit's rate from now on, so nobody gets a burst twice and nobody
    /// is locked out for longer than the burst takes to come back.
    pub fn begin_without_burst(&self, now: UnixMicros) {
        self.common.began_blind_ns.store(as_nanos(now).max(1), Ordering::Release);
    }

    /// Whether anything of a snapshot has changed since this was last asked.
    pub(super) fn take_changed(&self) -> bool {
        self.common.changed.swap(false, Ordering::AcqRel)
    }

    pub(super) fn mark_changed(&self) {
        self.common.changed.store(true, Ordering::Release);
    }
}
