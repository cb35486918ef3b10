use std::sync::Arc;
use std::time::Duration;

use tollgate_core::{InstanceId, NanoUsd, UnixMicros};
use tollgate_ledger::budget::{LeaseError, LeaseGrant, LeaseRequest, LeaseReturn, LeaseSource};
use tollgate_ledger::journal::Position;
use tollgate_ledger::record::BalanceKey;
use tollgate_state::governance::{Member, Window, WindowKind};
use tollgate_store::{
    AuditFilter, BudgetDraft, LeaseHolder, LostMoney, ObjectKind, PageRequest, Shipment, StoreError,
    StoreLeases, Windows,
};

use crate::charging::{balance, balances, charging, key};
use crate::harness::*;
use crate::records::{at, shipment};

const TERM: Duration = Duration::from_secs(10);
/// That of [`shipment`].
const INSTANCE: InstanceId = InstanceId::from_bytes([5; 16]);
const OTHER: InstanceId = InstanceId::from_bytes([6; 16]);

fn leases(test: &TestStore, instance_id: InstanceId, epoch: u64) -> StoreLeases {
    test.store.leases(LeaseHolder { instance_id, epoch }, TERM)
}

fn wish(balance: &BalanceKey, sequence: u64, at_least: i64, at_most: i64) -> LeaseRequest {
    LeaseRequest {
        balance: Arc::new(balance.clone()),
        sequence,
        counts_from: balance.window_start,
        counts_to: balance.window_start,
        window_end: None,
        keeps: NanoUsd::ZERO,
        ceiling: NanoUsd::new(1_000),
        at_least: NanoUsd::new(at_least),
        at_most: NanoUsd::new(at_most),
    }
}

fn keeping(keeps: i64, wish: LeaseRequest) -> LeaseRequest {
    LeaseRequest { keeps: NanoUsd::new(keeps), ..wish }
}

fn amounts(grant: &LeaseGrant) -> (i64, i64) {
    (grant.granted.get(), grant.left.get())
}

fn seconds_later(test: &TestStore, seconds: i64) {
    test.clock.set(UnixMicros(NOW.0 + seconds * 1_000_000));
}

on_both_databases! {
    async fn a_lease_is_granted_shrunk_and_kept_in_sequence(test) {
        let tree = tree(&test.store).await;
        let budget = budget(&test.store, &tree, 1_000).await;
        let key = key(budget.id, Member::All);
        let source = leases(&test, INSTANCE, 1);
        let grant = source.lease(wish(&key, 0, 10, 2_000)).await.unwrap();
        assert_eq!((amounts(&grant), grant.expires_in), ((500, 500), TERM), "half of what is left");
        let grant = source.lease(keeping(500, wish(&key, 2, 10, 20))).await.unwrap();
        assert_eq!(amounts(&grant), (520, 480), "at most");
        let grant = source.lease(keeping(0, wish(&key, 1, 10, 20))).await.unwrap();
        assert_eq!(amounts(&grant), (520, 480), "an operation that comes late changes nothing");
        let grant = source.lease(keeping(520, wish(&key, 3, 481, 481))).await.unwrap();
        assert_eq!(amounts(&grant), (520, 480), "at least or nothing");
        let grant = source.lease(keeping(510, wish(&key, 4, 490, 490))).await.unwrap();
        assert_eq!(amounts(&grant), (1_000, 0), "to the last nano, with what was not kept");
        assert_eq!(balance(&test, budget.id).await, (0, 1_000));

        let back = |sequence, granted| LeaseReturn {
            balance: Arc::new(key.clone()),
            sequence,
            granted: NanoUsd::new(granted),
        };
        source.give_back(back(4, 0)).await.unwrap();
        assert_eq!(balance(&test, budget.id).await, (0, 1_000), "late");
        source.give_back(back(5, 300)).await.unwrap();
        assert_eq!(balance(&test, budget.id).await, (0, 300));
        source.give_back(back(6, 5_000)).await.unwrap();
        assert_eq!(balance(&test, budget.id).await, (0, 300), "nothing is taken by giving back");
        let renewed = source.renew(vec![Arc::new(key.clone()), Arc::new(crate::charging::key(budget.id, Member::OtherCustomers))]);
        assert_eq!(renewed.await.unwrap().balances, [Arc::new(key)]);
    }

    async fn the_lower_ceiling_of_process_and_store_counts(test) {
        let tree = tree(&test.store).await;
        let budget = budget(&test.store, &tree, 100).await;
        let key = key(budget.id, Member::All);
        let source = leases(&test, INSTANCE, 1);
        let refused = source.lease(wish(&key, 1, 101, 200)).await.unwrap();
        assert_eq!(amounts(&refused), (0, 100));
        let low = LeaseRequest { ceiling: NanoUsd::new(40), ..wish(&key, 2, 40, 200) };
        assert_eq!(amounts(&source.lease(low).await.unwrap()), (40, 0));
        test.store.delete_budget(&admin(), budget.id).await.unwrap();
        assert_eq!(amounts(&source.lease(keeping(40, wish(&key, 3, 1, 1))).await.unwrap()), (40, -40), "no row is no money");
    }

    async fn fifty_requests_at_once_never_pass_the_ceiling(test) {
        let tree = tree(&test.store).await;
        let budget = budget(&test.store, &tree, 1_000).await;
        let key = key(budget.id, Member::All);
        let asked: Vec<_> = (0..50_u8)
            .map(|number| {
                let source = leases(&test, InstanceId::from_bytes([number + 100; 16]), 1);
                let wish = wish(&key, 1, 33, 33);
                tokio::spawn(async move { source.lease(wish).await.unwrap().granted.get() })
            })
            .collect();
        let mut granted = vec![];
        for one in asked {
            granted.push(one.await.unwrap());
        }
        assert_eq!(granted.iter().filter(|one| **one == 33).count(), 30, "{granted:?}");
        assert_eq!(granted.iter().sum::<i64>(), 990);
        assert_eq!(balance(&test, budget.id).await, (0, 990));
    }

    async fn buckets_of_a_rolling_window_share_its_ceiling(test) {
        let store = &test.store;
        let tree = tree(store).await;
        let window = Window { kind: WindowKind::RollingS(3_600), time_zone: "UTC".into() };
        let draft = BudgetDraft { window, ..budget_draft("rolling", 1_000) };
        let budget = store.create_budget(&admin(), tree.organization_id, draft).await.unwrap();
        let bucket = |number: i64| BalanceKey {
            budget_id: budget.id,
            member: Member::All,
            window_start: UnixMicros(NOW.0 + number * 60_000_000),
        };
        let asked: Vec<_> = (0..40_u8)
            .map(|number| {
                let source = leases(&test, InstanceId::from_bytes([number + 100; 16]), 1);
                let request = LeaseRequest { counts_from: bucket(-60).window_start, counts_to: UnixMicros(i64::MAX), ..wish(&bucket(i64::from(number % 4)), 1, 70, 70) };
                tokio::spawn(async move { source.lease(request).await.unwrap().granted.get() })
            })
            .collect();
        let mut granted = 0;
        for one in asked {
            granted += one.await.unwrap();
        }
        assert_eq!(granted, 980);
    }

    async fn what_is_shipped_moves_from_leased_to_spent(test) {
        let store = &test.store;
        let tree = tree(store).await;
        let budget = budget(store, &tree, 1_000).await;
        let key = key(budget.id, Member::All);
        let source = leases(&test, INSTANCE, 1);
        source.lease(wish(&key, 1, 300, 300)).await.unwrap();
        leases(&test, OTHER, 1).lease(wish(&key, 1, 200, 200)).await.unwrap();
        let first = [charging(&tree, &key, [100, 50])];
        store.system_ship(&shipment(Position::START, at(1), &first, &[])).await.unwrap();
        assert_eq!(balance(&test, budget.id).await, (150, 350));
        let grant = source.lease(keeping(300, wish(&key, 2, 0, 0))).await.unwrap();
        assert_eq!(amounts(&grant), (300, 500), "what was spent stays in the grant");
        source.give_back(LeaseReturn { balance: Arc::new(key.clone()), sequence: 3, granted: NanoUsd::new(0) }).await.unwrap();
        assert_eq!(balance(&test, budget.id).await, (150, 200), "what was spent cannot be given back");

        let of_another_run = Shipment { epoch: 2, ..shipment(at(1), at(2), &first, &[]) };
        let more = [charging(&tree, &key, [10, 0])];
        store.system_ship(&Shipment { settlements: &more, ..of_another_run }).await.unwrap();
        assert_eq!(balance(&test, budget.id).await, (160, 200), "spent without a lease");
        assert!(store.verify_ledger(&admin(), Windows::All).await.unwrap().differences.is_empty());
    }

    async fn what_was_spent_without_a_lease_is_consumed_of_a_later_one(test) {
        let store = &test.store;
        let tree = tree(store).await;
        let budget = budget(store, &tree, 1_000).await;
        let (key, other) = (key(budget.id, Member::All), key(budget.id, Member::OtherCustomers));
        let source = leases(&test, INSTANCE, 1);
        source.lease(wish(&other, 1, 1, 1)).await.unwrap();
        let before = [charging(&tree, &key, [100, 0])];
        store.system_ship(&shipment(Position::START, at(1), &before, &[])).await.unwrap();
        let grant = source.lease(keeping(100, wish(&key, 1, 50, 50))).await.unwrap();
        assert_eq!(amounts(&grant), (150, 850));
        let spent: Vec<_> = balances(&test, budget.id).await;
        assert_eq!((spent[0].spent_nano_usd.get(), spent[0].leased_nano_usd.get()), (100, 50));
        let more = [charging(&tree, &key, [80, 0])];
        store.system_ship(&shipment(at(1), at(2), &more, &[])).await.unwrap();
        let spent: Vec<_> = balances(&test, budget.id).await;
        assert_eq!((spent[0].spent_nano_usd.get(), spent[0].leased_nano_usd.get()), (180, 0));
        assert!(store.verify_ledger(&admin(), Windows::All).await.unwrap().differences.is_empty());
    }

    async fn the_end_of_a_run_returns_what_it_did_not_spend(test) {
        let store = &test.store;
        let tree = tree(store).await;
        let budget = budget(store, &tree, 1_000).await;
        let (key, other) = (key(budget.id, Member::All), key(budget.id, Member::OtherCustomers));
        let old = leases(&test, INSTANCE, 1);
        old.lease(wish(&key, 1, 300, 300)).await.unwrap();
        old.lease(wish(&other, 1, 200, 200)).await.unwrap();
        let shipped = [charging(&tree, &key, [100, 0])];
        store.system_ship(&shipment(Position::START, at(1), &shipped, &[])).await.unwrap();
        seconds_later(&test, 3_600);
        leases(&test, INSTANCE, 2).lease(wish(&key, 1, 30, 30)).await.unwrap();
        let leased = balances(&test, budget.id).await.iter().map(|one| one.leased_nano_usd.get()).sum::<i64>();
        assert_eq!(leased, 200 + 200 + 30, "expired leases stay counted");

        let early = store.system_end_epochs(INSTANCE, 2, &[0]).await;
        assert!(matches!(early, Err(StoreError::PositionMismatch { stored }) if stored == at(1)));
        let begun = Position { epoch: 2, offset: 0 };
        store.system_ship(&shipment(at(1), begun, &[], &[])).await.unwrap();
        assert!(store.system_end_epochs(INSTANCE, 2, &[0, 1]).await.is_err(), "another core is behind");
        store.system_end_epochs(INSTANCE, 2, &[0]).await.unwrap();
        store.system_end_epochs(INSTANCE, 2, &[0]).await.unwrap();
        let left: Vec<_> = balances(&test, budget.id).await;
        let found: Vec<_> = left.iter().map(|one| (one.spent_nano_usd.get(), one.leased_nano_usd.get())).collect();
        assert_eq!(found, [(100, 30), (0, 0)]);
        for dead in [old.lease(wish(&key, 9, 1, 1)).await.map(drop), old.renew(vec![Arc::new(key.clone())]).await.map(drop)] {
            assert_eq!(dead, Err(LeaseError::Fenced));
        }
        assert!(store.verify_ledger(&admin(), Windows::All).await.unwrap().differences.is_empty());
    }

    async fn an_ended_run_is_fenced_before_the_next_one_leases(test) {
        let tree = tree(&test.store).await;
        let budget = budget(&test.store, &tree, 1_000).await;
        let key = key(budget.id, Member::All);
        leases(&test, INSTANCE, 1).lease(wish(&key, 1, 300, 300)).await.unwrap();
        test.store.system_end_epochs(INSTANCE, 2, &[]).await.unwrap();
        assert_eq!(balance(&test, budget.id).await, (0, 0));
        assert_eq!(leases(&test, INSTANCE, 1).lease(wish(&key, 2, 1, 1)).await, Err(LeaseError::Fenced));
    }

    async fn a_write_off_waits_for_the_leases_to_run_out_and_names_what_it_did(test) {
        let store = &test.store;
        let tree = tree(store).await;
        let budget = budget(store, &tree, 1_000).await;
        let key = key(budget.id, Member::All);
        for (instance_id, amount) in [(INSTANCE, 300), (OTHER, 200)] {
            leases(&test, instance_id, 1).lease(wish(&key, 1, amount, amount)).await.unwrap();
        }
        let early = store.write_off(&admin(), INSTANCE, LostMoney::Returns, "machine burnt").await;
        assert!(matches!(early, Err(StoreError::LeasesInUse { .. })));
        assert_eq!(balance(&test, budget.id).await, (0, 500));
        seconds_later(&test, 300);
        let lost = store.verify_ledger(&admin(), Windows::Open).await.unwrap();
        assert!(lost.differences.is_empty());
        assert_eq!(lost.lost_leases.iter().map(|one| one.outstanding_nano_usd.get()).sum::<i64>(), 500);

        assert!(store.write_off(&admin(), INSTANCE, LostMoney::Returns, " ").await.is_err());
        let entries = store.write_off(&admin(), INSTANCE, LostMoney::Returns, "machine burnt").await.unwrap();
        let amounts: Vec<_> =
            entries.iter().map(|one| (one.amount_nano_usd.get(), one.released_nano_usd.get())).collect();
        assert_eq!(amounts, [(0, 300)]);
        assert_eq!(balance(&test, budget.id).await, (0, 200));
        store.write_off(&admin(), OTHER, LostMoney::Spent, "machine stolen").await.unwrap();
        assert_eq!(balance(&test, budget.id).await, (200, 0));
        let listed = store.list_ledger_entries(&admin(), Some(budget.id), PageRequest::default()).await.unwrap().items;
        assert_eq!(listed.len(), 2);
        assert!(listed.contains(&entries[0]));
        let filter = AuditFilter { target_kind: Some(ObjectKind::Instance), ..AuditFilter::default() };
        let events = store.list_audit_events(&admin(), None, filter, PageRequest::default()).await.unwrap().items;
        assert_eq!(events.len(), 2);
        let fenced = leases(&test, INSTANCE, 1).lease(wish(&key, 2, 1, 1)).await;
        assert_eq!(fenced, Err(LeaseError::Fenced));
        assert_eq!(leases(&test, INSTANCE, 2).lease(wish(&key, 1, 1, 1)).await.unwrap().granted.get(), 1);
        let clean = store.verify_ledger(&admin(), Windows::All).await.unwrap();
        assert!(clean.differences.is_empty() && clean.lost_leases.is_empty(), "{clean:?}");
        let unknown = store.write_off(&admin(), InstanceId::generate(), LostMoney::Returns, "x").await;
        assert!(matches!(unknown, Err(StoreError::NotFound { kind: ObjectKind::Instance, .. })));
    }

    async fn live_processes_are_counted_and_share_what_is_left(test) {
        let store = &test.store;
        let tree = tree(store).await;
        let budget = budget(store, &tree, 1_000).await;
        let key = key(budget.id, Member::All);
        let window = Duration::from_secs(30);
        assert_eq!(store.system_heartbeat(INSTANCE, 1, window).await.unwrap(), 1);
        assert_eq!(store.system_heartbeat(OTHER, 4, window).await.unwrap(), 2);
        let grant = leases(&test, INSTANCE, 1).lease(wish(&key, 1, 1, 1_000)).await.unwrap();
        assert_eq!(amounts(&grant), (250, 750));
        assert!(matches!(
            store.system_heartbeat(OTHER, 3, window).await,
            Err(StoreError::Fenced { epoch: 3, .. })
        ));
        seconds_later(&test, 31);
        assert_eq!(store.system_heartbeat(INSTANCE, 2, window).await.unwrap(), 1);
        let instances = store.system_instances().await.unwrap();
        let seen: Vec<_> = instances.iter().map(|one| (one.instance_id, one.epoch)).collect();
        assert_eq!(seen, [(INSTANCE, 2), (OTHER, 4)]);
        assert_eq!(instances[0].started_at, instances[0].seen_at);
    }

    async fn shipping_and_leasing_at_once_lose_nothing(test) {
        let store = &test.store;
        let tree = tree(store).await;
        let budget = budget(store, &tree, 1_000).await;
        let keys: Vec<_> = (0..6).map(|number| key(budget.id, Member::Id([number; 16]))).collect();
        let tasks: Vec<_> = (0..4_u8)
            .map(|number| {
                let instance_id = InstanceId::from_bytes([number + 100; 16]);
                let (store, source, keys) = (store.clone(), leases(&test, instance_id, 1), keys.clone());
                let settlements: Vec<_> = keys.iter().rev().map(|key| charging(&tree, key, [2, 1])).collect();
                tokio::spawn(async move {
                    for round in 0..5_u64 {
                        for key in &keys {
                            source.lease(keeping(3 * round as i64, wish(key, round + 1, 3, 3))).await.unwrap();
                        }
                        let settlements: Vec<_> = settlements
                            .iter()
                            .cloned()
                            .map(|mut one| {
                                one.request.request_id = tollgate_core::RequestId::generate();
                                one
                            })
                            .collect();
                        let from = if round == 0 { Position::START } else { at(round) };
                        let shipment = Shipment { instance_id, ..shipment(from, at(round + 1), &settlements, &[]) };
                        store.system_ship(&shipment).await.unwrap();
                    }
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
        let balances = balances(&test, budget.id).await;
        assert_eq!(balances.len(), 6);
        assert!(balances.iter().all(|one| (one.spent_nano_usd.get(), one.leased_nano_usd.get()) == (60, 0)), "{balances:?}");
        let clean = store.verify_ledger(&admin(), Windows::All).await.unwrap();
        assert!(clean.differences.is_empty(), "{clean:?}");
    }
}
