use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tollgate_core::{NanoUsd, UnixMicros, WebhookId};
use tollgate_ledger::journal::Position;
use tollgate_ledger::record::Settlement;
use tollgate_state::governance::{Member, Window, WindowKind};
use tollgate_store::{
    Alert, AlertEvent, BudgetDraft, DeliveryOutcome, NewAlert, NewIncrease, PageRequest, Shipment,
};

use crate::budgets::webhook_draft;
use crate::charging::{charging, key};
use crate::harness::*;
use crate::records::{at, bare, shipment};

const HOLD: Duration = Duration::from_secs(60);

async fn alerts(test: &TestStore, tree: &Tree) -> Vec<Alert> {
    let request = PageRequest { after: None, limit: 500 };
    let mut items =
        test.store.list_alerts(&admin(), tree.organization_id, None, request).await.unwrap().items;
    items.reverse();
    items
}

async fn percents(test: &TestStore, tree: &Tree) -> Vec<u64> {
    let alerts = alerts(test, tree).await;
    alerts.iter().filter_map(|alert| alert.body["threshold_percent"].as_u64()).collect()
}

async fn ship(test: &TestStore, number: u64, settlement: Settlement) {
    let from = if number == 0 { Position::START } else { at(number) };
    test.store.system_ship(&shipment(from, at(number + 1), &[settlement], &[])).await.unwrap();
}

on_both_databases! {
    async fn a_threshold_is_told_once_when_it_is_crossed(test) {
        let tree = tree(&test.store).await;
        let budget = budget(&test.store, &tree, 1_000).await;
        let key = key(budget.id, Member::All);
        ship(&test, 0, charging(&tree, &key, [400, 99])).await;
        assert!(alerts(&test, &tree).await.is_empty());
        ship(&test, 1, charging(&tree, &key, [1, 0])).await;
        let first = alerts(&test, &tree).await;
        assert_eq!((first.len(), first[0].event, first[0].budget_id), (1, AlertEvent::BudgetThreshold, Some(budget.id)));
        let expected = json!({
            "budget": "all", "budget_id": budget.id, "member": "all", "window_start": 0,
            "threshold_percent": 50, "amount_nano_usd": 1_000, "spent_nano_usd": 500,
        });
        assert_eq!(first[0].body, expected);
        ship(&test, 2, charging(&tree, &key, [1, 1])).await;
        ship(&test, 3, charging(&tree, &key, [500, 0])).await;
        assert_eq!(percents(&test, &tree).await, [50, 80, 100]);

        // Above it, below it because of more money, above it again: once per window all the same.
        let increase = NewIncrease {
            amount_nano_usd: NanoUsd::new(1_000),
            expires_at: UnixMicros(NOW.0 + 1_000_000),
            author: "zoe".into(),
            reason: String::new(),
        };
        test.store.add_budget_increase(&admin(), budget.id, increase).await.unwrap();
        ship(&test, 4, charging(&tree, &key, [1_000, 0])).await;
        assert_eq!(percents(&test, &tree).await, [50, 80, 100]);
        let other = crate::charging::key(budget.id, Member::OtherCustomers);
        ship(&test, 5, charging(&tree, &other, [1_600, 0])).await;
        assert_eq!(percents(&test, &tree).await, [50, 80, 100, 50, 80], "each member has its own; of the raised amount");
    }

    async fn two_processes_that_cross_together_tell_it_once(test) {
        let tree = tree(&test.store).await;
        let budget = budget(&test.store, &tree, 1_000).await;
        let key = key(budget.id, Member::All);
        let tasks: Vec<_> = (0..8_u16)
            .map(|core| {
                let (store, settlement) = (test.store.clone(), charging(&tree, &key, [200, 50]));
                tokio::spawn(async move {
                    let shipment = Shipment { core, ..shipment(Position::START, at(1), &[], &[]) };
                    store.system_ship(&Shipment { settlements: &[settlement], ..shipment }).await.unwrap();
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
        assert_eq!(percents(&test, &tree).await, [50, 80, 100]);
    }

    async fn exhaustion_is_told_once_per_window_and_member(test) {
        let tree = tree(&test.store).await;
        let budget = budget(&test.store, &tree, 1_000).await;
        let refused = |member| {
            let mut settlement = bare(&tree, NOW);
            settlement.request.refused_by = Some(Arc::new(key(budget.id, member)));
            settlement
        };
        ship(&test, 0, refused(Member::All)).await;
        assert!(alerts(&test, &tree).await.is_empty(), "one call that was too large exhausts nothing");
        for (number, member) in [(1, Member::All), (2, Member::OtherCustomers)] {
            ship(&test, number, charging(&tree, &key(budget.id, member), [400, 0])).await;
        }
        for number in 3..6 {
            ship(&test, number, refused(Member::All)).await;
        }
        ship(&test, 6, refused(Member::OtherCustomers)).await;
        let told = alerts(&test, &tree).await;
        assert!(told.iter().all(|alert| alert.event == AlertEvent::BudgetExhausted));
        assert_eq!(told.iter().map(|alert| alert.body["member"].as_str().unwrap()).collect::<Vec<_>>(), ["all", "others"]);
    }

    async fn a_rolling_window_counts_its_buckets_together(test) {
        let tree = tree(&test.store).await;
        let window = Window { kind: WindowKind::RollingS(3_600), time_zone: "UTC".into() };
        let draft = BudgetDraft { window, ..budget_draft("rolling", 1_000) };
        let budget = test.store.create_budget(&admin(), tree.organization_id, draft).await.unwrap();
        let hour = 3_600_000_000;
        let start = NOW.0 - NOW.0.rem_euclid(hour);
        for number in 0..4 {
            let mut key = key(budget.id, Member::All);
            key.window_start = UnixMicros(start + number * 60_000_000);
            ship(&test, number as u64, charging(&tree, &key, [200, 0])).await;
        }
        assert_eq!(percents(&test, &tree).await, [50, 80]);
    }

    async fn webhooks_hear_what_they_chose_and_each_delivery_is_one_process_s(test) {
        let store = &test.store;
        let tree = tree(store).await;
        let ids = [WebhookId::generate(), WebhookId::generate(), WebhookId::generate()];
        let drafts = [
            webhook_draft("all", vec![]),
            webhook_draft("exhausted", vec![AlertEvent::BudgetExhausted]),
            tollgate_store::WebhookDraft { enabled: false, ..webhook_draft("off", vec![]) },
        ];
        for (id, draft) in ids.into_iter().zip(drafts) {
            store.create_webhook(&admin(), tree.organization_id, id, draft).await.unwrap();
        }
        let alert = NewAlert::new(Some(tree.organization_id), AlertEvent::LeaseLost, json!({"instance": 1}));
        let id = store.system_raise_alert(&alert).await.unwrap().unwrap();
        let claims: Vec<_> = (0..8)
            .map(|_| {
                let store = store.clone();
                tokio::spawn(async move { store.system_claim_deliveries(10, HOLD).await.unwrap() })
            })
            .collect();
        let mut claimed = vec![];
        for claim in claims {
            claimed.extend(claim.await.unwrap());
        }
        assert_eq!(claimed.len(), 1);
        assert_eq!((claimed[0].alert.id, claimed[0].webhook.id, claimed[0].attempts), (id, ids[0], 1));
        assert_eq!(claimed[0].webhook.sealed_secret.as_deref(), Some(&[1, 2, 3][..]));

        let retry = DeliveryOutcome::Retry { at: UnixMicros(NOW.0 + 5), error: "503".into() };
        store.system_finish_delivery(id, ids[0], &retry).await.unwrap();
        assert!(store.system_claim_deliveries(10, HOLD).await.unwrap().is_empty());
        test.clock.set(UnixMicros(NOW.0 + 5));
        assert_eq!(store.system_claim_deliveries(10, HOLD).await.unwrap()[0].attempts, 2);
        test.clock.set(UnixMicros(NOW.0 + 5 + 60_000_000));
        assert_eq!(store.system_claim_deliveries(10, HOLD).await.unwrap()[0].attempts, 3, "its process died");
        store.system_finish_delivery(id, ids[0], &DeliveryOutcome::Delivered).await.unwrap();
        test.clock.set(UnixMicros(NOW.0 + 3_600_000_000));
        assert!(store.system_claim_deliveries(10, HOLD).await.unwrap().is_empty());
        let states = store.list_deliveries(&admin(), ids[0], PageRequest::default()).await.unwrap().items;
        assert_eq!((states[0].attempts, states[0].next_at, states[0].delivered_at.is_some()), (3, None, true));

        let given_up = store.system_raise_alert(&alert).await.unwrap().unwrap();
        let error = DeliveryOutcome::GivenUp { error: "410".into() };
        store.system_finish_delivery(given_up, ids[0], &error).await.unwrap();
        store.system_raise_alert(&alert).await.unwrap().unwrap();
        store.delete_webhook(&admin(), ids[0]).await.unwrap();
        assert!(store.system_claim_deliveries(10, HOLD).await.unwrap().is_empty(), "nobody is there to hear");

        let logged = store.system_claim_alerts_to_log(2).await.unwrap();
        assert_eq!((logged.len(), logged[0].id), (2, id));
        assert_eq!(store.system_claim_alerts_to_log(2).await.unwrap().len(), 1);
        assert!(store.system_claim_alerts_to_log(2).await.unwrap().is_empty());
        assert_eq!(store.system_delete_alerts_before(UnixMicros(NOW.0 + 1), 100).await.unwrap(), 1);
        assert_eq!(alerts(&test, &tree).await.len(), 2);
    }

    async fn a_difference_is_told_once_for_its_balance(test) {
        let tree = tree(&test.store).await;
        let budget = budget(&test.store, &tree, 1_000).await;
        let key = key(budget.id, Member::All);
        let alert = NewAlert::new(Some(tree.organization_id), AlertEvent::LedgerDifference, json!({})).once_for(&key);
        assert!(test.store.system_raise_alert(&alert).await.unwrap().is_some());
        assert!(test.store.system_raise_alert(&alert).await.unwrap().is_none());
    }
}
