use std::sync::Arc;
use std::time::Duration;

use tollgate_core::{InstanceId, NanoUsd, WebhookId};
use tollgate_ledger::budget::{LeaseRequest, LeaseSource};
use tollgate_ledger::journal::Position;
use tollgate_ledger::record::{ProviderObjectKind, ProviderObjectRecord};
use tollgate_state::governance::{Member, Place};
use tollgate_state::objects::KeyOwner;
use tollgate_store::{Keys, LeaseHolder, LostMoney, PageRequest, Store, StoreError, Windows};

use crate::budgets::{limit_draft, webhook_draft};
use crate::charging::{charging, key};
use crate::harness::*;
use crate::records::{DEPLOYMENT, at, bare, full, principal, shipment};
use crate::shipping::totals;

/// At least one row in every table, and a NULL in every column that may have one.
async fn fill(store: &Store) -> Tree {
    let tree = tree(store).await;
    let organization_id = tree.organization_id;
    let project = store.create_project(&admin(), organization_id, tree.team_id, "search").await.unwrap();
    let draft = model_draft("gpt-5.5", vec![deployment_draft(tree.provider.object.id, "gpt-5.5")]);
    store.create_model(&admin(), organization_id, draft).await.unwrap();
    let of_team = new_key(KeyOwner::Team(tree.team_id), "one", b"aaaaaaaaaaaa");
    let of_team = store.create_key(&admin(), organization_id, of_team).await.unwrap();
    store.revoke_key(&admin(), of_team.id).await.unwrap();
    let of_project = new_key(KeyOwner::Project(project.id), "two", b"bbbbbbbbbbbb");
    store.create_key(&admin(), organization_id, of_project).await.unwrap();
    let actor = tollgate_access::Actor::system("test");
    store.system_create_admin_token(&actor, "one", &[1; 32], None, false).await.unwrap();
    store.system_set_setting("pepper", &"sealed").await.unwrap();
    fill_ledger(store, &tree).await;
    let settlements: Vec<_> = (0..120).map(|_| full(&tree, NOW)).chain([bare(&tree, NOW)]).collect();
    let object = ProviderObjectRecord {
        object_id: "resp_1".into(),
        kind: ProviderObjectKind::Response,
        principal: principal(&tree),
        deployment_id: DEPLOYMENT,
        request_id: settlements[0].request.request_id,
        created_at: NOW,
    };
    store.system_ship(&shipment(at(1), at(7), &settlements, &[object])).await.unwrap();
    tree
}

/// Budgets, what was spent of them, leases, entries, alerts and deliveries.
async fn fill_ledger(store: &Store, tree: &Tree) {
    let budget = budget(store, tree, 1_000).await;
    let limit = limit_draft("limit", at_place(Place::Team(tree.team_id)));
    store.create_limit(&admin(), tree.organization_id, limit).await.unwrap();
    let webhook = webhook_draft("hook", vec![]);
    store.create_webhook(&admin(), tree.organization_id, WebhookId::generate(), webhook).await.unwrap();
    let key = key(budget.id, Member::Customer("Zoë".into()));
    let settlements = [charging(tree, &key, [700, 1])];
    store.system_ship(&shipment(Position::START, at(1), &settlements, &[])).await.unwrap();
    for (byte, term) in [(8, Duration::ZERO), (9, Duration::from_secs(3_600))] {
        let holder = LeaseHolder { instance_id: InstanceId::from_bytes([byte; 16]), epoch: 1 };
        let request = LeaseRequest {
            balance: Arc::new(key.clone()),
            sequence: 1,
            counts_from: key.window_start,
            counts_to: key.window_start,
            window_end: None,
            keeps: NanoUsd::ZERO,
            ceiling: NanoUsd::new(1_000),
            at_least: NanoUsd::new(10),
            at_most: NanoUsd::new(10),
        };
        store.leases(holder, term).lease(request).await.unwrap();
    }
    let lost = InstanceId::from_bytes([8; 16]);
    store.write_off(&admin(), lost, LostMoney::Spent, "lost").await.unwrap();
}

on_both_databases! {
    /// From SQLite into each database.
    async fn a_copy_is_equal_and_only_made_into_an_empty_store(test) {
        let path = test.directory.path().join("source.db");
        let source = Store::open(path.to_str().unwrap()).await.unwrap();
        let tree = fill(&source).await;
        let target = &test.store;
        let rows = source.copy_to(target).await.unwrap();
        assert!(rows > 121 + 240, "{rows}");

        let (one, two) = (
            source.system_load_configuration(Keys::Include).await.unwrap(),
            target.system_load_configuration(Keys::Include).await.unwrap(),
        );
        assert_eq!(format!("{one:?}"), format!("{two:?}"));
        assert_eq!(
            source.system_changes_since(0).await.unwrap(),
            target.system_changes_since(0).await.unwrap()
        );
        assert_eq!(totals(&source, tree.organization_id).await, totals(target, tree.organization_id).await);
        let request = PageRequest { after: None, limit: 500 };
        let filter = tollgate_store::RequestFilter::default();
        let one = source.list_requests(&admin(), tree.organization_id, &filter, request).await.unwrap();
        let two = target.list_requests(&admin(), tree.organization_id, &filter, request).await.unwrap();
        assert!(one == two && one.items.len() == 122);
        let verified = target.verify_ledger(&admin(), Windows::All).await.unwrap();
        assert!(verified.differences.is_empty() && verified.balances == 1, "{verified:?}");
        let entries = target.list_ledger_entries(&admin(), None, PageRequest::default()).await.unwrap().items;
        assert_eq!((entries.len(), entries[0].amount_nano_usd.get()), (1, 10));
        let hold = Duration::from_secs(1);
        assert_eq!(target.system_claim_deliveries(10, hold).await.unwrap().len(), 1, "it is told there");
        let next = full(&tree, NOW);
        target.system_ship(&shipment(at(7), at(8), &[next], &[])).await.expect("shipping goes on where it was");

        let again = source.copy_to(target).await;
        assert!(matches!(again, Err(StoreError::TargetNotEmpty { table: "versions" })));
        source.close().await;
    }
}
