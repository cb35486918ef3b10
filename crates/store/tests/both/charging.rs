use std::sync::Arc;

use tollgate_core::{BudgetId, NanoUsd, RequestId, UnixMicros};
use tollgate_ledger::journal::Position;
use tollgate_ledger::record::{BalanceKey, Charge, Settlement};
use tollgate_state::governance::{Member, Window, WindowKind};
use tollgate_store::{BalanceFilter, BudgetDraft, StoredBalance};

use crate::harness::*;
use crate::records::{at, bare, full, shipment};

pub(crate) fn key(budget_id: BudgetId, member: Member) -> BalanceKey {
    BalanceKey { budget_id, member, window_start: UnixMicros(0) }
}

/// A request whose two attempts charge these amounts to a balance.
pub(crate) fn charging(tree: &Tree, balance: &BalanceKey, amounts: [i64; 2]) -> Settlement {
    let mut settlement = full(tree, NOW);
    for (attempt, amount) in settlement.attempts.iter_mut().zip(amounts) {
        let amount_nano_usd = NanoUsd::new(amount);
        attempt.charges = vec![Charge { balance: Arc::new(balance.clone()), amount_nano_usd }];
    }
    settlement
}

pub(crate) async fn balances(test: &TestStore, budget_id: BudgetId) -> Vec<StoredBalance> {
    let filter = BalanceFilter { limit: 500, ..BalanceFilter::default() };
    test.store.list_balances(&admin(), budget_id, &filter).await.unwrap()
}

/// Spent and leased of the only balance.
pub(crate) async fn balance(test: &TestStore, budget_id: BudgetId) -> (i64, i64) {
    let balances = balances(test, budget_id).await;
    assert_eq!(balances.len(), 1, "{balances:?}");
    (balances[0].spent_nano_usd.get(), balances[0].leased_nano_usd.get())
}

on_both_databases! {
    async fn charges_and_refusals_are_read_back_unchanged(test) {
        let store = &test.store;
        let tree = tree(store).await;
        let budget = budget(store, &tree, 1_000).await;
        let members = [Member::All, Member::Id([7; 16]), Member::Customer("a:\"b ü".into()), Member::OtherCustomers];
        let mut settlement = full(&tree, NOW);
        settlement.attempts[1].charges = members
            .iter()
            .map(|member| Charge { balance: Arc::new(key(budget.id, member.clone())), amount_nano_usd: NanoUsd::new(3) })
            .collect();
        let mut refused = bare(&tree, NOW);
        refused.request.refused_by = Some(Arc::new(key(budget.id, members[2].clone())));
        let settlements = [settlement, refused];
        store.system_ship(&shipment(Position::START, at(1), &settlements, &[])).await.unwrap();
        for settlement in &settlements {
            let read = store.get_request(&admin(), settlement.request.request_id).await.unwrap();
            assert_eq!(read.request.record, settlement.request);
            assert_eq!(read.attempts, settlement.attempts);
        }
        let mut found: Vec<_> = balances(&test, budget.id).await.into_iter().map(|one| one.balance.member).collect();
        found.sort();
        assert_eq!(found, members);
    }

    async fn each_charge_counts_exactly_once_however_often_it_is_shipped(test) {
        let store = &test.store;
        let tree = tree(store).await;
        let budget = budget(store, &tree, 1_000_000).await;
        let balance_key = key(budget.id, Member::All);
        let known: Vec<_> = (0..3).map(|_| charging(&tree, &balance_key, [10, 5])).collect();
        store.system_ship(&shipment(Position::START, at(7), &known, &[])).await.unwrap();
        assert_eq!(balance(&test, budget.id).await, (45, 0));

        assert!(store.system_ship(&shipment(Position::START, at(7), &known, &[])).await.is_err());
        assert_eq!(balance(&test, budget.id).await, (45, 0), "the batch again");

        let new = charging(&tree, &balance_key, [100, 0]);
        let repeated = [known[1].clone(), new.clone(), known[2].clone(), new];
        let shipped = store.system_ship(&shipment(at(7), at(20), &repeated, &[])).await.unwrap();
        assert_eq!(shipped.duplicates, 3);
        assert_eq!(balance(&test, budget.id).await, (145, 0), "a repeated journal");

        let ship = |store: tollgate_store::Store, settlement: Settlement| {
            tokio::spawn(async move { store.system_ship(&shipment(at(20), at(21), &[settlement], &[])).await })
        };
        let last = charging(&tree, &balance_key, [1, 1]);
        let (one, two) = (ship(store.clone(), last.clone()), ship(store.clone(), last));
        assert!(one.await.unwrap().is_ok() ^ two.await.unwrap().is_ok());
        assert_eq!(balance(&test, budget.id).await, (147, 0), "two shippers");
    }

    async fn no_charge_stops_the_shipping_or_lowers_a_balance(test) {
        let store = &test.store;
        let tree = tree(store).await;
        let budget = budget(store, &tree, 1_000_000).await;
        let nul = |text: &str| key(budget.id, Member::Customer(text.into()));
        let absurd = [
            charging(&tree, &nul("a\0"), [i64::MAX, i64::MAX]),
            charging(&tree, &nul("a\u{fffd}"), [i64::MAX, 1]),
            charging(&tree, &nul("b"), [-5, 3]),
            charging(&tree, &key(BudgetId::generate(), Member::All), [1, 2]),
        ];
        store.system_ship(&shipment(Position::START, at(1), &absurd, &[])).await.unwrap();
        let again = absurd.map(|mut settlement| {
            settlement.request.request_id = RequestId::generate();
            settlement
        });
        store.system_ship(&shipment(at(1), at(2), &again, &[])).await.unwrap();
        let spent: Vec<_> = balances(&test, budget.id).await.iter().map(|one| one.spent_nano_usd.get()).collect();
        assert_eq!(spent, [100_000_000_000_000_000, 6]);
    }

    async fn many_balances_of_one_shipment_are_all_charged(test) {
        let store = &test.store;
        let tree = tree(store).await;
        let budget = budget(store, &tree, 1_000_000).await;
        let settlements: Vec<_> = (0..700_u16)
            .map(|number| {
                let mut id = [0; 16];
                id[..2].copy_from_slice(&(number % 300).to_be_bytes());
                charging(&tree, &key(budget.id, Member::Id(id)), [1, 1])
            })
            .collect();
        store.system_ship(&shipment(Position::START, at(1), &settlements, &[])).await.unwrap();
        let balances = balances(&test, budget.id).await;
        assert_eq!(balances.len(), 300);
        assert!(balances.iter().all(|one| [4, 6].contains(&one.spent_nano_usd.get())));
        let totals = store.budget_totals(&admin(), budget.id, UnixMicros(0)).await.unwrap();
        assert_eq!((totals.len(), totals[0].members, totals[0].spent_nano_usd.get()), (1, 300, 1_400));
    }

    async fn books_start_with_the_balances_of_open_windows(test) {
        let store = &test.store;
        let tree = tree(store).await;
        let once = budget(store, &tree, 1_000).await;
        let window = Window { kind: WindowKind::Day, time_zone: "UTC".into() };
        let draft = BudgetDraft { window, ..budget_draft("daily", 1_000) };
        let daily = store.create_budget(&admin(), tree.organization_id, draft).await.unwrap();
        let draft = budget_draft("deleted", 1_000);
        let deleted = store.create_budget(&admin(), tree.organization_id, draft).await.unwrap();
        store.delete_budget(&admin(), deleted.id).await.unwrap();
        let day = |ago: i64| BalanceKey {
            budget_id: daily.id,
            member: Member::All,
            window_start: UnixMicros(NOW.0 - ago * 86_400_000_000),
        };
        let keys = [key(once.id, Member::All), day(0), day(1), day(9), key(deleted.id, Member::All)];
        let settlements: Vec<_> = keys.iter().map(|key| charging(&tree, key, [1, 2])).collect();
        store.system_ship(&shipment(Position::START, at(1), &settlements, &[])).await.unwrap();
        let mut open = vec![];
        store.system_open_balances(|key, spent| open.push((key, spent.get()))).await.unwrap();
        open.sort();
        let mut expected: Vec<_> = keys[..3].iter().map(|key| (key.clone(), 3)).collect();
        expected.sort();
        assert_eq!(open, expected);

        let later = UnixMicros(NOW.0);
        assert_eq!(store.system_delete_balances_before(later, 100).await.unwrap(), 1, "of nine days ago");
        test.clock.set(UnixMicros(NOW.0 + 1_000_000));
        assert_eq!(balances(&test, daily.id).await.len(), 2);
    }
}
