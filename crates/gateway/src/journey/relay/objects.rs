//! Who owns the ids that a provider hands out, recorded before the answer that tells them is complete.

use tollgate_core::Operation;
use tollgate_ledger::record::{ProviderObjectKind, ProviderObjectRecord};
use tollgate_wire::{Field, HandedOut, HandedOutKind};

use crate::account::Account;
use crate::core::Core;
use crate::journey::attempt::Call;

/// Records the ids under which the provider keeps something of this answer.
pub(super) fn own(
    core: &Core,
    call: &Call,
    answer_id: Option<&str>,
    handed_out: &[HandedOut],
    account: &mut Account,
) {
    if account.was_translated() {
        // The client never sees the provider's id, and nothing was asked to be kept.
        return;
    }
    let is_stored = call.operation == Operation::Response && call.peeked.flag(Field::Store) != Some(false);
    if let Some(id) = answer_id.filter(|_| is_stored) {
        own_one(core, call, id, ProviderObjectKind::Response, account);
    }
    for one in handed_out.iter().filter(|one| is_stored || one.outlives_answer) {
        let kind = match one.kind {
            HandedOutKind::Item => ProviderObjectKind::Item,
            HandedOutKind::Container => ProviderObjectKind::Container,
        };
        own_one(core, call, &one.id, kind, account);
    }
}

fn own_one(core: &Core, call: &Call, object_id: &str, kind: ProviderObjectKind, account: &mut Account) {
    let Some(deployment_id) = account.serving_deployment() else { return };
    let object = ProviderObjectRecord {
        object_id: object_id.chars().take(256).collect(),
        kind,
        principal: call.principal,
        deployment_id,
        request_id: call.request_id,
        created_at: core.gateway.clock.now(),
    };
    core.gateway.recent_objects.remember(&object);
    account.owns_object(object);
}
