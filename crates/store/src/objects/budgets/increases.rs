//! More money until a certain time.

use tollgate_access::Proof;
use tollgate_access::authorize::BudgetsWrite;
use tollgate_core::{BudgetId, IncreaseId, NanoUsd, UnixMicros};
use tollgate_state::governance::{BudgetIncrease, BudgetObject};

use super::covered_budget;
use super::draft::check_amount;
use crate::audit::Action;
use crate::error::{ObjectKind, StoreError};
use crate::store::Store;
use crate::write::Write;

/// How many a budget keeps, ended ones included; the oldest that have ended make room.
const MAX_INCREASES: usize = 100;
const MAX_REASON_CHARACTERS: usize = 500;

/// An increase as it shall be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewIncrease {
    pub amount_nano_usd: NanoUsd,
    pub expires_at: UnixMicros,
    /// Who allowed it, as the audit trail names them.
    pub author: String,
    pub reason: String,
}

impl Store {
    /// Raises what may be spent from now until `expires_at`. Also for budgets that files own: an increase is not part of
    /// what files say.
    pub async fn add_budget_increase(
        &self,
        proof: &Proof<BudgetsWrite>,
        id: BudgetId,
        new: NewIncrease,
    ) -> Result<BudgetObject, StoreError> {
        let mut write = self.begin_write(proof.actor()).await?;
        check(&new, write.now)?;
        let before = covered_budget(&mut write.transaction, proof, id).await?;
        let mut after = before.clone();
        make_room(&mut after.increases, write.now)?;
        after.increases.push(BudgetIncrease {
            id: IncreaseId::generate(),
            amount_nano_usd: new.amount_nano_usd,
            created_at: write.now,
            expires_at: new.expires_at,
            author: new.author,
            reason: new.reason,
        });
        write.change_increases(before, after).await
    }

    /// Ends an increase now.
    pub async fn remove_budget_increase(
        &self,
        proof: &Proof<BudgetsWrite>,
        id: BudgetId,
        increase_id: IncreaseId,
    ) -> Result<BudgetObject, StoreError> {
        let mut write = self.begin_write(proof.actor()).await?;
        let before = covered_budget(&mut write.transaction, proof, id).await?;
        let mut after = before.clone();
        after.increases.retain(|one| one.id != increase_id);
        if after.increases.len() == before.increases.len() {
            return Err(StoreError::not_found(ObjectKind::Increase, increase_id));
        }
        write.change_increases(before, after).await
    }
}

impl Write {
    async fn change_increases(
        mut self,
        before: BudgetObject,
        mut after: BudgetObject,
    ) -> Result<BudgetObject, StoreError> {
        after.updated_at = self.now;
        self.put_budget(&after).await?;
        self.record_budget(Action::Update, Some(&before), Some(&after)).await?;
        self.commit().await?;
        Ok(after)
    }
}

fn check(new: &NewIncrease, now: UnixMicros) -> Result<(), StoreError> {
    let invalid = |field, reason: &str| Err(StoreError::Invalid { field, reason: reason.to_owned() });
    check_amount("amount_nano_usd", new.amount_nano_usd)?;
    if new.expires_at <= now {
        return invalid("expires_at", "must be in the future");
    }
    if new.reason.chars().count() > MAX_REASON_CHARACTERS {
        return invalid("reason", "must not be longer than 500 characters");
    }
    Ok(())
}

fn make_room(increases: &mut Vec<BudgetIncrease>, now: UnixMicros) -> Result<(), StoreError> {
    if increases.len() < MAX_INCREASES {
        return Ok(());
    }
    let Some(ended) = increases.iter().position(|one| one.expires_at <= now) else {
        let reason = format!("a budget has at most {MAX_INCREASES}; remove one first");
        return Err(StoreError::Invalid { field: "increases", reason });
    };
    increases.remove(ended);
    Ok(())
}
