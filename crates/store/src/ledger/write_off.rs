//! What somebody decided about money of a process that does not come back.

use serde::{Deserialize, Serialize};
use tollgate_access::authorize::{LedgerVerify, LedgerWriteOff};
use tollgate_access::{ActorKind, Proof, Scope};
use tollgate_core::{BudgetId, InstanceId, LedgerEntryId, NanoUsd, UnixMicros};
use tollgate_ledger::record::BalanceKey;

use super::balance::BalanceRow;
use super::leases::{Outstanding, release, take_leases};
use crate::audit::Action;
use crate::database::{Query, Row, Transaction, values};
use crate::error::{ObjectKind, StoreError};
use crate::page::{Cursor, Page, PageRequest};
use crate::store::Store;
use crate::write::{Changed, json, json_text};

/// What is assumed of money that a lost process had leased.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LostMoney {
    /// It was not spent, and can be spent again.
    Returns,
    /// It was spent.
    Spent,
}

/// An entry of the ledger beside what usage records charge. Never changed.
#[derive(Debug, Clone, PartialEq, Serialize, schemars::JsonSchema)]
pub struct LedgerEntry {
    pub id: LedgerEntryId,
    pub at: UnixMicros,
    pub actor: ActorKind,
    pub balance: BalanceKey,
    pub instance_id: Option<InstanceId>,
    pub epoch: Option<u64>,
    /// Added to what was spent.
    pub amount_nano_usd: NanoUsd,
    /// Taken from what was leased.
    pub released_nano_usd: NanoUsd,
    pub reason: String,
}

const MAX_REASON_CHARACTERS: usize = 500;
const WRITTEN_OFF_AT_ONCE: u32 = 10_000;

impl Store {
    /// Declares a process lost and takes its leases from it, with one entry for each. Its runs up to now can lease
    /// nothing any more; when its journal turns up after all, what it spent is charged as always.
    ///
    /// # Errors
    ///
    /// [`StoreError::LeasesInUse`] while a lease has not run out: the process may be spending it.
    pub async fn write_off(
        &self,
        proof: &Proof<LedgerWriteOff>,
        instance_id: InstanceId,
        money: LostMoney,
        reason: &str,
    ) -> Result<Vec<LedgerEntry>, StoreError> {
        const LOSE: &str = "UPDATE instances SET lost_epoch = epoch WHERE instance_id = $1 RETURNING epoch";
        check(proof, reason)?;
        let mut write = self.begin_write(proof.actor()).await?;
        let (now, transaction) = (write.now, &mut write.transaction);
        if transaction.row(LOSE, values![instance_id]).await?.is_none() {
            return Err(StoreError::not_found(ObjectKind::Instance, instance_id));
        }
        let leases = take_leases(transaction, instance_id, None, WRITTEN_OFF_AT_ONCE).await?;
        let leases: Vec<Outstanding> =
            leases.into_iter().filter(|lease| lease.amount > NanoUsd::ZERO).collect();
        if let Some(until) = leases.iter().map(|lease| lease.expires_at).max().filter(|until| *until > now) {
            let seconds = (until.0 - now.0).div_euclid(1_000_000) + 1;
            return Err(StoreError::LeasesInUse { instance_id, seconds });
        }
        release(transaction, &leases).await?;
        let mut entries = Vec::with_capacity(leases.len());
        for lease in &leases {
            let amount = if money == LostMoney::Spent { lease.amount } else { NanoUsd::ZERO };
            let entry = LedgerEntry {
                id: LedgerEntryId::generate(),
                at: now,
                actor: proof.actor().kind().clone(),
                balance: lease.balance.key()?,
                instance_id: Some(instance_id),
                epoch: Some(lease.epoch),
                amount_nano_usd: amount,
                released_nano_usd: lease.amount,
                reason: reason.to_owned(),
            };
            post(transaction, &entry, &lease.balance).await?;
            entries.push(entry);
        }
        write
            .record(Changed {
                kind: ObjectKind::Instance,
                id: instance_id.as_uuid(),
                name: &instance_id.to_string(),
                organization_id: None,
                action: Action::WriteOff,
                before: None,
                after: Some(json(&entries)?),
            })
            .await?;
        write.commit().await?;
        Ok(entries)
    }

    /// Entries of one budget or of all, newest first.
    pub async fn list_ledger_entries(
        &self,
        proof: &Proof<LedgerVerify>,
        budget_id: Option<BudgetId>,
        request: PageRequest,
    ) -> Result<Page<LedgerEntry>, StoreError> {
        check_installation(proof.scope())?;
        let mut query = Query::new("SELECT * FROM ledger_entries WHERE TRUE");
        query.filter("budget_id =", budget_id).filter("id <", request.after.map(|cursor| cursor.id));
        query.push(" ORDER BY id DESC LIMIT ").bind(request.rows_to_fetch());
        let rows = self.database.rows(query.sql(), query.values()).await?;
        let items = rows.iter().map(entry).collect::<Result<Vec<_>, _>>()?;
        Ok(request.page(items, |item| Cursor::of_id(item.id.as_uuid())))
    }
}

fn check(proof: &Proof<LedgerWriteOff>, reason: &str) -> Result<(), StoreError> {
    check_installation(proof.scope())?;
    if reason.trim().is_empty() || reason.chars().count() > MAX_REASON_CHARACTERS {
        let reason = format!("must say why, in 1 to {MAX_REASON_CHARACTERS} characters");
        return Err(StoreError::Invalid { field: "reason", reason });
    }
    Ok(())
}

/// A process serves all organizations.
pub(super) fn check_installation(scope: Scope) -> Result<(), StoreError> {
    if scope == Scope::Installation {
        return Ok(());
    }
    let reason = "must not be named: the ledger is the whole installation's".into();
    Err(StoreError::Invalid { field: "organization", reason })
}

async fn post(
    transaction: &mut Transaction,
    entry: &LedgerEntry,
    row: &BalanceRow,
) -> Result<(), StoreError> {
    const INSERT: &str = "INSERT INTO ledger_entries (budget_id, member, window_start, id, at, actor, instance_id, \
        epoch, amount_nano_usd, released_nano_usd, reason) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)";
    const SPEND: &str = "UPDATE budget_balances SET spent_nano_usd = spent_nano_usd + $4 \
        WHERE budget_id = $1 AND member = $2 AND window_start = $3";
    let [budget_id, member, window_start] = row.values();
    let arguments = values![
        budget_id,
        member,
        window_start,
        entry.id,
        entry.at,
        json_text(&entry.actor)?,
        entry.instance_id,
        entry.epoch,
        entry.amount_nano_usd,
        entry.released_nano_usd,
        &entry.reason
    ];
    transaction.execute(INSERT, arguments).await?;
    let [budget_id, member, window_start] = row.values();
    transaction.execute(SPEND, values![budget_id, member, window_start, entry.amount_nano_usd]).await?;
    Ok(())
}

fn entry(row: &Row) -> Result<LedgerEntry, StoreError> {
    Ok(LedgerEntry {
        id: row.id("id")?,
        at: row.time("at")?,
        actor: row.json("actor")?,
        balance: BalanceRow::read(row)?.key()?,
        instance_id: row.optional_id("instance_id")?,
        epoch: row.optional_unsigned("epoch")?,
        amount_nano_usd: row.nano_usd("amount_nano_usd")?,
        released_nano_usd: row.nano_usd("released_nano_usd")?,
        reason: row.get("reason")?,
    })
}
