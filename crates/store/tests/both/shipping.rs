use tollgate_core::{InstanceId, NanoUsd, OrganizationId, RequestId, UnixMicros};
use tollgate_ledger::journal::Position;
use tollgate_ledger::record::{ProviderObjectKind, ProviderObjectRecord, UsageRecord};
use tollgate_store::{Shipped, ShippingPosition, StoreError, UsageFilter, UsageQuery, UsageTotals};

use crate::harness::*;
use crate::records::{DEPLOYMENT, OTHER_DEPLOYMENT, at, bare, full, principal, shipment};

pub(crate) async fn totals(store: &tollgate_store::Store, organization_id: OrganizationId) -> UsageTotals {
    let query = UsageQuery {
        from: UnixMicros(0),
        to: UnixMicros(i64::MAX),
        group_by: vec![],
        filter: UsageFilter::default(),
    };
    store.usage(&admin(), organization_id, &query).await.unwrap().groups[0].totals
}

fn position(number: u64) -> Position {
    if number == 0 { Position::START } else { at(number) }
}

on_both_databases! {
    async fn what_was_shipped_is_read_back_unchanged(test) {
        let store = &test.store;
        let tree = tree(store).await;
        let settlements = [full(&tree, NOW), bare(&tree, NOW)];
        let shipped = store.system_ship(&shipment(Position::START, at(7), &settlements, &[])).await.unwrap();
        assert_eq!(shipped, Shipped { requests: 2, attempts: 2, duplicates: 0 });
        for settlement in &settlements {
            let read = store.get_request(&admin(), settlement.request.request_id).await.unwrap();
            assert_eq!(read.request.record, settlement.request);
            assert_eq!(read.attempts, settlement.attempts);
            assert_eq!(read.request.attempts as usize, settlement.attempts.len());
        }
        let read = store.get_request(&admin(), settlements[0].request.request_id).await.unwrap().request;
        assert_eq!(read.team_name.as_deref(), Some("research"));
        assert_eq!(read.provider_name.as_deref(), Some("upstream"));
        assert_eq!((read.key_name, read.project_name), (None, None), "the tests invented these ids");
        let unknown = store.get_request(&admin(), RequestId::generate()).await;
        assert!(matches!(unknown, Err(StoreError::NotFound { .. })));
        let foreign = admin_of(OrganizationId::generate());
        assert!(store.get_request(&foreign, settlements[0].request.request_id).await.is_err());
    }

    async fn a_shipment_applies_only_at_the_stored_position(test) {
        let store = &test.store;
        let tree = tree(store).await;
        let (first, second) = ([full(&tree, NOW)], [full(&tree, NOW)]);
        store.system_ship(&shipment(Position::START, at(7), &first, &[])).await.unwrap();
        for wrong in [Position::START, at(6), at(8), Position { epoch: 2, offset: 7 }] {
            let refused = store.system_ship(&shipment(wrong, at(9), &second, &[])).await;
            assert!(matches!(refused, Err(StoreError::PositionMismatch { stored }) if stored == at(7)), "{wrong:?}");
        }
        assert_eq!(totals(store, tree.organization_id).await.requests, 1);
        store.system_ship(&shipment(at(7), at(9), &second, &[])).await.unwrap();
        assert_eq!(totals(store, tree.organization_id).await.requests, 2);

        let other = tollgate_store::Shipment { core: 3, ..shipment(Position::START, at(4), &[], &[]) };
        store.system_ship(&other).await.expect("each core has its own position");
        let positions = store.system_shipping_positions(InstanceId::from_bytes([5; 16])).await.unwrap();
        let expected = [
            ShippingPosition { core: 0, position: at(9), floor: at(7) },
            ShippingPosition { core: 3, position: at(4), floor: Position::START },
        ];
        assert_eq!(positions, expected);
        assert!(store.system_shipping_positions(InstanceId::generate()).await.unwrap().is_empty());
        let unknown = tollgate_store::Shipment { core: 9, ..shipment(at(1), at(4), &[], &[]) };
        let refused = store.system_ship(&unknown).await;
        assert!(matches!(refused, Err(StoreError::PositionMismatch { stored }) if stored == Position::START));
    }

    async fn a_repeated_journal_counts_once(test) {
        let store = &test.store;
        let tree = tree(store).await;
        let known: Vec<_> = (0..3).map(|_| full(&tree, NOW)).collect();
        store.system_ship(&shipment(Position::START, at(7), &known, &[])).await.unwrap();
        let before = totals(store, tree.organization_id).await;

        let new = full(&tree, NOW);
        let repeated = [known[1].clone(), new.clone(), known[2].clone(), new];
        let shipped = store.system_ship(&shipment(at(7), at(20), &repeated, &[])).await.unwrap();
        assert_eq!(shipped, Shipped { requests: 1, attempts: 2, duplicates: 3 });
        let after = totals(store, tree.organization_id).await;
        assert_eq!((before.requests, after.requests), (3, 4));
        assert_eq!(after.cost_nanos_usd, NanoUsd::new(4 * 1_050));
    }

    async fn large_shipments_are_complete(test) {
        let store = &test.store;
        let tree = tree(store).await;
        let settlements: Vec<_> = (0..337).map(|number| full(&tree, UnixMicros(NOW.0 + number))).collect();
        let shipped = store.system_ship(&shipment(Position::START, at(1), &settlements, &[])).await.unwrap();
        assert_eq!(shipped, Shipped { requests: 337, attempts: 674, duplicates: 0 });
        for settlement in [&settlements[0], &settlements[200], &settlements[336]] {
            let read = store.get_request(&admin(), settlement.request.request_id).await.unwrap();
            assert_eq!((read.request.record, read.attempts), (settlement.request.clone(), settlement.attempts.clone()));
        }
    }

    async fn no_content_of_a_record_stops_the_shipping(test) {
        let store = &test.store;
        let tree = tree(store).await;
        let mut strange = full(&tree, NOW);
        strange.request.customer = Some("a\0b".into());
        strange.request.tags = vec![("nul".into(), "\0".into())];
        strange.request.latency_us = u64::MAX;
        strange.request.cost = Some(NanoUsd::MAX);
        strange.attempts[0].usage.input = u64::MAX;
        strange.attempts[0].cost = Some(NanoUsd::MAX);
        for number in 0..3 {
            let mut again = strange.clone();
            again.request.request_id = RequestId::generate();
            store.system_ship(&shipment(position(number), position(number + 1), &[again.clone()], &[])).await.unwrap();
            let read = store.get_request(&admin(), again.request.request_id).await.unwrap();
            assert_eq!(read.request.record.customer.as_deref(), Some("a\u{fffd}b"));
            assert_eq!(read.request.record.tags, again.request.tags);
            assert_eq!(read.attempts[0].cost, Some(NanoUsd::MAX));
        }
        assert_eq!(totals(store, tree.organization_id).await.requests, 3);
    }

    async fn absurd_costs_without_end_stop_neither_shipping_nor_sums(test) {
        let store = &test.store;
        let tree = tree(store).await;
        let mut absurd = full(&tree, NOW);
        absurd.attempts[0].cost = Some(NanoUsd::MAX);
        absurd.attempts[0].usage.input = u64::MAX;
        let attempts = (0..100).map(|number| UsageRecord { attempt: number, ..absurd.attempts[0].clone() });
        absurd.attempts = attempts.collect();
        // Ten thousand million-dollar attempts in one row, then a hundred of them in each of a hundred rows.
        for number in 0..200 {
            let mut again = absurd.clone();
            again.request.request_id = RequestId::generate();
            again.request.model = format!("model-{}", number.max(100)).into();
            store.system_ship(&shipment(position(number), position(number + 1), &[again], &[])).await.unwrap();
        }
        let sums = totals(store, tree.organization_id).await;
        assert_eq!(sums.requests, 200);
        assert_eq!(sums.cost_nanos_usd, NanoUsd::MAX);
    }

    async fn two_shippers_of_one_journal_ship_it_once(test) {
        let store = &test.store;
        let tree = tree(store).await;
        let settlements = [full(&tree, NOW)];
        let ship = |store: tollgate_store::Store| {
            let settlements = settlements.clone();
            tokio::spawn(async move { store.system_ship(&shipment(Position::START, at(7), &settlements, &[])).await })
        };
        let (one, two) = (ship(store.clone()), ship(store.clone()));
        let results = [one.await.unwrap(), two.await.unwrap()];
        assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 1, "{results:?}");
        let refused = results.into_iter().find_map(Result::err).unwrap();
        assert!(matches!(refused, StoreError::PositionMismatch { stored } if stored == at(7)));
        assert_eq!(totals(store, tree.organization_id).await.requests, 1);
    }

    async fn ids_of_providers_belong_to_who_got_them_first(test) {
        let store = &test.store;
        let tree = tree(store).await;
        let object = ProviderObjectRecord {
            object_id: "resp_1".into(),
            kind: ProviderObjectKind::Response,
            principal: principal(&tree),
            deployment_id: DEPLOYMENT,
            request_id: RequestId::generate(),
            created_at: NOW,
        };
        let again = ProviderObjectRecord { deployment_id: OTHER_DEPLOYMENT, ..object.clone() };
        store.system_ship(&shipment(Position::START, at(1), &[], &[object])).await.unwrap();
        store.system_ship(&shipment(at(1), at(2), &[], &[again])).await.unwrap();
        let owner = store.system_find_provider_object(tree.organization_id, "resp_1").await.unwrap().unwrap();
        assert_eq!((owner.payer, owner.deployment_id), (principal(&tree).payer, DEPLOYMENT));
        assert_eq!(owner.key_id, principal(&tree).key_id);
        assert_eq!(store.system_find_provider_object(OrganizationId::generate(), "resp_1").await.unwrap(), None);
    }
}
