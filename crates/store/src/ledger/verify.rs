//! Whether balances are what usage records and entries say, and which leases wait for a process that is gone.
//!
//! Everything is read in one state of the database, in slices of balances, so that neither the number of records nor
//! that of members needs memory: each slice costs one pass over the records.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use serde::Serialize;
use tollgate_access::{Proof, authorize::LedgerVerify};
use tollgate_core::{BudgetId, InstanceId, NanoUsd, UnixMicros};
use tollgate_ledger::record::BalanceKey;

use super::balance::{BalanceRow, SPENT_CAP_NANO_USD};
use super::charges_text::read_charges;
use super::instances::before;
use super::leases::outstanding;
use super::write_off::check_installation;
use crate::database::{Query, Row, Transaction, values};
use crate::error::StoreError;
use crate::ship::DAY_US;
use crate::store::Store;

/// Which windows are verified.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Windows {
    /// Those of budgets that are not deleted, as far as they may still be open.
    Open,
    All,
}

/// What was found.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct Verification {
    pub balances: u64,
    /// With charges.
    pub usage_records: u64,
    /// At most [`MAX_FINDINGS`].
    pub differences: Vec<Difference>,
    /// At most [`MAX_FINDINGS`].
    pub lost_leases: Vec<LostLease>,
}

/// A balance that is not what its parts make it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct Difference {
    pub balance: BalanceKey,
    pub column: BalanceColumn,
    pub stored_nano_usd: NanoUsd,
    pub recomputed_nano_usd: NanoUsd,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum BalanceColumn {
    Spent,
    Leased,
}

/// Money that waits for the journal of a process, or for a write-off.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct LostLease {
    pub balance: BalanceKey,
    pub instance_id: InstanceId,
    pub epoch: u64,
    pub outstanding_nano_usd: NanoUsd,
    pub expired_at: UnixMicros,
    /// When any run of the process was there last.
    pub seen_at: Option<UnixMicros>,
}

/// So many are enough to act on.
pub const MAX_FINDINGS: usize = 1_000;
const BALANCES_AT_ONCE: usize = 50_000;
/// A process that was not there for so long after its lease ran out is gone.
const LOST_AFTER: Duration = Duration::from_secs(60);

impl Store {
    pub async fn verify_ledger(
        &self,
        proof: &Proof<LedgerVerify>,
        windows: Windows,
    ) -> Result<Verification, StoreError> {
        self.verify_in_slices(proof, windows, BALANCES_AT_ONCE).await
    }

    /// As [`Self::verify_ledger`], with so many balances in memory at once.
    pub async fn verify_in_slices(
        &self,
        proof: &Proof<LedgerVerify>,
        windows: Windows,
        balances_at_once: usize,
    ) -> Result<Verification, StoreError> {
        check_installation(proof.scope())?;
        let now = self.now();
        let mut transaction = self.database.begin_read().await?;
        let range = Range::read(&mut transaction, windows, now).await?;
        let mut found = Verification::default();
        let mut after = None;
        loop {
            let mut slice = Slice::read(&mut transaction, &range, after, balances_at_once.max(1)).await?;
            found.usage_records = slice.add_charges(&mut transaction, &range).await?;
            slice.add_entries(&mut transaction, &range).await?;
            slice.add_leases(&mut transaction, &range).await?;
            found.balances += slice.stored;
            after = slice.last.clone();
            slice.compare(&mut found.differences)?;
            if after.is_none() {
                break;
            }
        }
        found.lost_leases = lost_leases(&mut transaction, now).await?;
        Ok(found)
    }
}

/// Which balances are looked at.
struct Range {
    /// By budget, where the oldest window begins; `None` for all of all.
    open: Option<HashMap<BudgetId, UnixMicros>>,
}

impl Range {
    async fn read(
        transaction: &mut Transaction,
        windows: Windows,
        now: UnixMicros,
    ) -> Result<Self, StoreError> {
        const BUDGETS: &str = "SELECT id, longest_window_us FROM budgets WHERE deleted_at IS NULL";
        if windows == Windows::All {
            return Ok(Self { open: None });
        }
        let mut open = HashMap::new();
        for row in transaction.rows(BUDGETS, values![]).await? {
            let longest: Option<i64> = row.get("longest_window_us")?;
            let from = longest.map_or(i64::MIN, |longest| now.0.saturating_sub(longest));
            open.insert(row.id("id")?, UnixMicros(from));
        }
        Ok(Self { open: Some(open) })
    }

    fn contains(&self, row: &BalanceRow) -> bool {
        let Some(open) = &self.open else { return true };
        open.get(&row.budget_id).is_some_and(|from| row.window_start > *from)
    }

    /// No attempt before this charges a window of the range. Windows are told at admission, a little before or after.
    fn records_from(&self) -> UnixMicros {
        let oldest = self.open.as_ref().map(|open| open.values().min().map_or(i64::MAX, |from| from.0));
        UnixMicros(oldest.unwrap_or(i64::MIN).saturating_sub(DAY_US))
    }
}

#[derive(Debug, Default)]
struct Sums {
    stored_spent: NanoUsd,
    stored_leased: NanoUsd,
    spent: NanoUsd,
    leased: NanoUsd,
}

/// Consecutive balances.
struct Slice {
    after: Option<BalanceRow>,
    /// The last one of the slice; `None` where the slice has no end.
    last: Option<BalanceRow>,
    sums: BTreeMap<BalanceRow, Sums>,
    stored: u64,
}

impl Slice {
    async fn read(
        transaction: &mut Transaction,
        range: &Range,
        after: Option<BalanceRow>,
        size: usize,
    ) -> Result<Self, StoreError> {
        let mut query = Query::new("SELECT * FROM budget_balances");
        if let Some(after) = &after {
            let [budget_id, member, window_start] = after.values();
            query.push(" WHERE (budget_id, member, window_start) > (").bind(budget_id);
            query.push(", ").bind(member).push(", ").bind(window_start).push(")");
        }
        query.push(" ORDER BY budget_id, member, window_start LIMIT ").bind(size);
        let (mut sums, mut read, mut last) = (BTreeMap::new(), 0, None);
        let sql = query.sql();
        transaction
            .visit_each(sql, query.values(), |row| {
                let balance = BalanceRow::read(row)?;
                read += 1;
                if range.contains(&balance) {
                    let stored = Sums {
                        stored_spent: row.nano_usd("spent_nano_usd")?,
                        stored_leased: row.nano_usd("leased_nano_usd")?,
                        spent: row.nano_usd("archived_nano_usd")?,
                        leased: NanoUsd::ZERO,
                    };
                    sums.insert(balance.clone(), stored);
                }
                last = Some(balance);
                Ok(())
            })
            .await?;
        let stored = sums.len() as u64;
        Ok(Self { after, last: last.filter(|_| read == size), sums, stored })
    }

    /// The sums of a balance, if it is of this slice. One that has charges and no row is a finding; there is room for as
    /// many as are told.
    fn sums(&mut self, range: &Range, row: BalanceRow) -> Option<&mut Sums> {
        let inside = self.after.as_ref().is_none_or(|after| row > *after)
            && self.last.as_ref().is_none_or(|last| row <= *last)
            && range.contains(&row);
        let room = self.sums.len() < self.stored as usize + MAX_FINDINGS;
        if !inside || !(room || self.sums.contains_key(&row)) {
            return None;
        }
        Some(self.sums.entry(row).or_default())
    }

    /// Says how many records there were.
    async fn add_charges(&mut self, transaction: &mut Transaction, range: &Range) -> Result<u64, StoreError> {
        const CHARGES: &str =
            "SELECT charges FROM usage_records WHERE charges IS NOT NULL AND started_at >= $1";
        let mut records = 0;
        transaction
            .visit_each(CHARGES, values![range.records_from()], |row| {
                records += 1;
                for charge in read_charges(Some(&row.get::<String>("charges")?))? {
                    if let Some(sums) = self.sums(range, BalanceRow::of(&charge.balance)) {
                        sums.spent += charge.amount_nano_usd.max(NanoUsd::ZERO);
                    }
                }
                Ok(())
            })
            .await?;
        Ok(records)
    }

    async fn add_entries(&mut self, transaction: &mut Transaction, range: &Range) -> Result<(), StoreError> {
        const ENTRIES: &str = "SELECT * FROM ledger_entries";
        transaction
            .visit_each(ENTRIES, values![], |row| {
                if let Some(sums) = self.sums(range, BalanceRow::read(row)?) {
                    sums.spent += row.nano_usd("amount_nano_usd")?;
                }
                Ok(())
            })
            .await
    }

    async fn add_leases(&mut self, transaction: &mut Transaction, range: &Range) -> Result<(), StoreError> {
        const LEASES: &str = "SELECT * FROM budget_leases WHERE granted_nano_usd > consumed_nano_usd";
        transaction
            .visit_each(LEASES, values![], |row| {
                if let Some(sums) = self.sums(range, BalanceRow::read(row)?) {
                    sums.leased += outstanding(row)?;
                }
                Ok(())
            })
            .await
    }

    fn compare(self, differences: &mut Vec<Difference>) -> Result<(), StoreError> {
        for (row, sums) in self.sums {
            let spent = sums.spent.min(NanoUsd::new(SPENT_CAP_NANO_USD));
            let compared = [
                (BalanceColumn::Spent, sums.stored_spent, spent),
                (BalanceColumn::Leased, sums.stored_leased, sums.leased),
            ];
            for (column, stored_nano_usd, recomputed_nano_usd) in compared {
                if stored_nano_usd != recomputed_nano_usd && differences.len() < MAX_FINDINGS {
                    let balance = row.key()?;
                    differences.push(Difference { balance, column, stored_nano_usd, recomputed_nano_usd });
                }
            }
        }
        Ok(())
    }
}

async fn lost_leases(transaction: &mut Transaction, now: UnixMicros) -> Result<Vec<LostLease>, StoreError> {
    const LOST: &str = "SELECT budget_leases.*, \
        instances.seen_at AS seen_at FROM budget_leases \
        LEFT JOIN instances ON instances.instance_id = budget_leases.instance_id \
        WHERE granted_nano_usd > consumed_nano_usd AND expires_at < $1 \
        AND (instances.seen_at IS NULL OR instances.seen_at < $1 OR instances.epoch <> budget_leases.epoch) \
        ORDER BY expires_at, budget_id, member, window_start LIMIT $2";
    let rows = transaction.rows(LOST, values![before(now, LOST_AFTER), MAX_FINDINGS]).await?;
    rows.iter().map(lost_lease).collect()
}

fn lost_lease(row: &Row) -> Result<LostLease, StoreError> {
    Ok(LostLease {
        balance: BalanceRow::read(row)?.key()?,
        instance_id: row.id("instance_id")?,
        epoch: row.unsigned("epoch")?,
        outstanding_nano_usd: outstanding(row)?,
        expired_at: row.time("expires_at")?,
        seen_at: row.optional_time("seen_at")?,
    })
}
