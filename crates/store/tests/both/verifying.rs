use sqlx::{AssertSqlSafe, Connection, PgConnection, SqliteConnection};
use tollgate_core::{NanoUsd, UnixMicros};
use tollgate_ledger::journal::Position;
use tollgate_ledger::record::BalanceKey;
use tollgate_state::governance::{Member, Window, WindowKind};
use tollgate_store::{BalanceColumn, BudgetDraft, Difference, Windows};

use crate::charging::{charging, key};
use crate::harness::*;
use crate::records::{at, shipment};

async fn execute(test: &TestStore, sql: &str) {
    let sql = AssertSqlSafe(sql.to_owned());
    if test.store.kind() == "sqlite" {
        let mut connection = SqliteConnection::connect(&test.location).await.unwrap();
        sqlx::query(sql).execute(&mut connection).await.unwrap();
    } else {
        let mut connection = PgConnection::connect(&test.location).await.unwrap();
        sqlx::query(sql).execute(&mut connection).await.unwrap();
    }
}

on_both_databases! {
    async fn an_injected_difference_is_found_whatever_the_slices(test) {
        let store = &test.store;
        let tree = tree(store).await;
        let budget = budget(store, &tree, 1_000_000).await;
        let keys: Vec<_> = (0..10).map(|number| key(budget.id, Member::Id([number; 16]))).collect();
        let settlements: Vec<_> =
            (0..200).map(|number| charging(&tree, &keys[number % 10], [number as i64, 1])).collect();
        store.system_ship(&shipment(Position::START, at(1), &settlements, &[])).await.unwrap();
        let clean = store.verify_ledger(&admin(), Windows::Open).await.unwrap();
        assert!(clean.differences.is_empty() && clean.balances == 10 && clean.usage_records == 400, "{clean:?}");

        let of = |number: u8| format!("'id:{}'", uuid::Uuid::from_bytes([number; 16]).simple());
        execute(&test, &format!("UPDATE budget_balances SET spent_nano_usd = spent_nano_usd + 7 WHERE member = {}", of(3))).await;
        execute(&test, &format!("UPDATE budget_balances SET leased_nano_usd = 5 WHERE member = {}", of(4))).await;
        execute(&test, &format!("DELETE FROM budget_balances WHERE member = {}", of(9))).await;
        let sum = |number: usize| (0..20).map(|round| (round * 10 + number) as i64 + 1).sum::<i64>();
        let difference = |number: usize, column, stored, recomputed| Difference {
            balance: keys[number].clone(),
            column,
            stored_nano_usd: NanoUsd::new(stored),
            recomputed_nano_usd: NanoUsd::new(recomputed),
        };
        let expected = [
            difference(3, BalanceColumn::Spent, sum(3) + 7, sum(3)),
            difference(4, BalanceColumn::Leased, 5, 0),
            difference(9, BalanceColumn::Spent, 0, sum(9)),
        ];
        for windows in [Windows::Open, Windows::All] {
            for at_once in [1, 3, 9, 10, 1_000] {
                let found = store.verify_in_slices(&admin(), windows, at_once).await.unwrap();
                assert_eq!(found.differences, expected, "{at_once} at once");
                assert_eq!(found.balances, 9);
            }
        }
    }

    async fn closed_windows_are_verified_when_asked_for(test) {
        let store = &test.store;
        let tree = tree(store).await;
        let window = Window { kind: WindowKind::Hour, time_zone: "UTC".into() };
        let draft = BudgetDraft { window, ..budget_draft("hourly", 1_000) };
        let budget = store.create_budget(&admin(), tree.organization_id, draft).await.unwrap();
        let hours_ago = |hours: i64| BalanceKey {
            window_start: UnixMicros(NOW.0 - hours * 3_600_000_000),
            ..key(budget.id, Member::All)
        };
        let settlements = [charging(&tree, &hours_ago(0), [1, 2]), charging(&tree, &hours_ago(5), [1, 2])];
        store.system_ship(&shipment(Position::START, at(1), &settlements, &[])).await.unwrap();
        execute(&test, "UPDATE budget_balances SET spent_nano_usd = 99").await;
        let differences = async |windows| {
            let found = store.verify_ledger(&admin(), windows).await.unwrap().differences;
            found.into_iter().map(|one| one.balance).collect::<Vec<_>>()
        };
        assert_eq!(differences(Windows::Open).await, [hours_ago(0)]);
        assert_eq!(differences(Windows::All).await, [hours_ago(5), hours_ago(0)]);
        store.delete_budget(&admin(), budget.id).await.unwrap();
        assert!(differences(Windows::Open).await.is_empty());
    }

    async fn forgetting_records_makes_no_difference(test) {
        let store = &test.store;
        let tree = tree(store).await;
        let budget = budget(store, &tree, 1_000).await;
        let key = key(budget.id, Member::All);
        let settlements: Vec<_> = (0..5)
            .map(|number| {
                let mut settlement = charging(&tree, &key, [10, 1]);
                settlement.request.started_at = UnixMicros(NOW.0 + number);
                settlement
            })
            .collect();
        store.system_ship(&shipment(Position::START, at(1), &settlements, &[])).await.unwrap();
        assert_eq!(store.system_delete_records_before(UnixMicros(NOW.0 + 3), 2).await.unwrap(), 2);
        assert_eq!(store.system_delete_records_before(UnixMicros(NOW.0 + 3), 2).await.unwrap(), 1);
        let found = store.verify_ledger(&admin(), Windows::All).await.unwrap();
        assert!(found.differences.is_empty() && found.usage_records == 4, "{found:?}");
        assert_eq!(crate::charging::balance(&test, budget.id).await, (55, 0));
    }
}
