//! Forgetting old records; the hourly and daily sums stay.

use std::collections::BTreeMap;

use tollgate_core::{NanoUsd, UnixMicros};
use uuid::Uuid;

use crate::database::{Transaction, values};
use crate::error::StoreError;
use crate::ledger::balance::{BalanceRow, SPENT_CAP_NANO_USD};
use crate::ledger::charges_text::read_charges;
use crate::store::Store;

impl Store {
    /// Deletes up to `limit` requests (with their attempts) that started before `time` and says how many; call again
    /// until it is none. Small limits keep the writer free for others in between.
    pub async fn system_delete_records_before(
        &self,
        time: UnixMicros,
        limit: u32,
    ) -> Result<u64, StoreError> {
        const ATTEMPTS: &str = "DELETE FROM usage_records WHERE request_id IN (SELECT request_id \
            FROM request_records WHERE organization_id = $1 AND started_at < $2 ORDER BY started_at, request_id \
            LIMIT $3)";
        const REQUESTS: &str = "DELETE FROM request_records WHERE request_id IN (SELECT request_id \
            FROM request_records WHERE organization_id = $1 AND started_at < $2 ORDER BY started_at, request_id \
            LIMIT $3)";
        let organizations = self.database.rows("SELECT id FROM organizations ORDER BY id", values![]).await?;
        let mut deleted = 0;
        for row in organizations {
            let remaining = u64::from(limit).saturating_sub(deleted);
            if remaining == 0 {
                break;
            }
            let organization_id: Uuid = row.get("id")?;
            let mut transaction = self.database.begin().await?;
            archive_charges(&mut transaction, organization_id, time, remaining).await?;
            transaction.execute(ATTEMPTS, values![organization_id, time, remaining]).await?;
            let requests = transaction.execute(REQUESTS, values![organization_id, time, remaining]).await?;
            if requests > 0 {
                transaction.commit().await?;
            }
            deleted += requests;
        }
        Ok(deleted)
    }

    /// Forgets up to `limit` balances of windows that ended before `time`, and leases of them of which nothing is left.
    /// Records must not be kept longer than balances: a record without its balance is a difference.
    pub async fn system_delete_balances_before(
        &self,
        time: UnixMicros,
        limit: u32,
    ) -> Result<u64, StoreError> {
        const LEASES: &str = "DELETE FROM budget_leases WHERE granted_nano_usd <= consumed_nano_usd \
            AND expires_at < $1 AND NOT EXISTS (SELECT 1 FROM budget_balances \
            WHERE budget_balances.budget_id = budget_leases.budget_id \
            AND budget_balances.member = budget_leases.member \
            AND budget_balances.window_start = budget_leases.window_start)";
        const BALANCES: &str = "DELETE FROM budget_balances WHERE leased_nano_usd = 0 \
            AND (budget_id, member, window_start) IN (SELECT budget_id, member, window_start FROM budget_balances \
            LEFT JOIN budgets ON budgets.id = budget_balances.budget_id \
            WHERE leased_nano_usd = 0 AND (budgets.longest_window_us < $1 - window_start \
            OR budgets.deleted_at < $1) LIMIT $2)";
        let mut transaction = self.database.begin().await?;
        let deleted = transaction.execute(BALANCES, values![time, limit]).await?;
        transaction.execute(LEASES, values![time]).await?;
        transaction.commit().await?;
        Ok(deleted)
    }
}

/// What the usage records that are about to be deleted charged stays with the balances, which would otherwise differ
/// from their records.
async fn archive_charges(
    transaction: &mut Transaction,
    organization_id: Uuid,
    time: UnixMicros,
    limit: u64,
) -> Result<(), StoreError> {
    const CHARGES: &str = "SELECT charges FROM usage_records WHERE charges IS NOT NULL AND request_id IN \
        (SELECT request_id FROM request_records WHERE organization_id = $1 AND started_at < $2 \
        ORDER BY started_at, request_id LIMIT $3)";
    const ARCHIVE: &str = "UPDATE budget_balances SET archived_nano_usd = CASE \
        WHEN archived_nano_usd > $5 - $4 THEN $5 ELSE archived_nano_usd + $4 END \
        WHERE budget_id = $1 AND member = $2 AND window_start = $3";
    let mut sums: BTreeMap<BalanceRow, NanoUsd> = BTreeMap::new();
    transaction
        .visit_each(CHARGES, values![organization_id, time, limit], |row| {
            for charge in read_charges(Some(&row.get::<String>("charges")?))? {
                let sum = sums.entry(BalanceRow::of(&charge.balance)).or_default();
                *sum += charge.amount_nano_usd.max(NanoUsd::ZERO);
            }
            Ok(())
        })
        .await?;
    for (row, sum) in &sums {
        let [budget_id, member, window_start] = row.values();
        let sum = (*sum).min(NanoUsd::new(SPENT_CAP_NANO_USD));
        let arguments = values![budget_id, member, window_start, sum, SPENT_CAP_NANO_USD];
        transaction.execute(ARCHIVE, arguments).await?;
    }
    Ok(())
}
