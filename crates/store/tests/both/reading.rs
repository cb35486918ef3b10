use tollgate_core::{KeyId, NanoUsd, Operation, TokenUsage, UnixMicros};
use tollgate_ledger::journal::Position;
use tollgate_ledger::record::Outcome;
use tollgate_store::{
    Dimension, PageRequest, RequestFilter, StatusClass, StoreError, UsageFilter, UsageGroup, UsageQuery,
};

use crate::harness::*;
use crate::records::{DEPLOYMENT, OTHER_DEPLOYMENT, at, bare, full, shipment};
use crate::shipping::totals;

const HOUR: i64 = 3_600_000_000;

fn asked(group_by: &[Dimension]) -> UsageQuery {
    let filter = UsageFilter::default();
    UsageQuery { from: NOW, to: UnixMicros(NOW.0 + 100 * HOUR), group_by: group_by.to_vec(), filter }
}

on_both_databases! {
    async fn totals_add_up_in_every_grouping(test) {
        let store = &test.store;
        let tree = tree(store).await;
        let later = UnixMicros(NOW.0 + 30 * HOUR);
        let settlements = [full(&tree, NOW), full(&tree, later), bare(&tree, NOW)];
        store.system_ship(&shipment(Position::START, at(1), &settlements, &[])).await.unwrap();
        let all = totals(store, tree.organization_id).await;
        assert_eq!((all.requests, all.attempts, all.errors, all.unknown_cost_requests), (3, 4, 1, 1));
        assert_eq!(all.cost_nanos_usd, NanoUsd::new(2 * 1_050));
        assert_eq!((all.tokens.input, all.tokens.cache_write_long, all.tokens.reasoning), (2 * 101, 16, 64));
        assert_eq!((all.latency_us, all.time_to_first_token_us, all.time_to_first_token_count), (3_000, 800, 2));

        let usage = async |group_by: &[Dimension]| -> Vec<UsageGroup> {
            let report = store.usage(&admin(), tree.organization_id, &asked(group_by)).await.unwrap();
            assert!(!report.truncated);
            let requests: u64 = report.groups.iter().map(|group| group.totals.requests).sum();
            let tokens: u64 = report.groups.iter().map(|group| group.totals.tokens.input).sum();
            let cost: i64 = report.groups.iter().map(|group| group.totals.cost_nanos_usd.get()).sum();
            assert_eq!((requests, tokens, cost), (3, 202, 2_100), "{group_by:?}");
            report.groups
        };
        use Dimension::*;
        for dimension in [Hour, Day, Team, Project, Key, Model, Provider, Deployment, Operation, Outcome] {
            usage(&[dimension]).await;
        }
        let days = usage(&[Day]).await;
        assert_eq!(days.len(), 2);
        assert!(days.iter().all(|group| group.start.unwrap().0 % (24 * HOUR) == 0));
        let teams = usage(&[Team, Model]).await;
        assert_eq!((teams[0].team_id, teams[0].team_name.as_deref()), (None, None));
        assert_eq!(teams[0].model.as_deref(), Some(""), "an invented name is not a group of its own");
        assert_eq!((teams[1].team_id, teams[1].team_name.as_deref()), (Some(tree.team_id), Some("research")));
        let deployments = usage(&[Deployment]).await;
        let of = |id| deployments.iter().find(|group| group.deployment_id == Some(id)).unwrap().totals;
        assert_eq!((of(DEPLOYMENT).requests, of(OTHER_DEPLOYMENT).requests), (2, 0));
        assert_eq!((of(DEPLOYMENT).tokens.input, of(OTHER_DEPLOYMENT).tokens.input), (2, 200));
        assert_eq!(of(OTHER_DEPLOYMENT).attempts, 2);
        assert!(usage(&[Operation]).await.iter().all(|group| group.operation.is_some()));
        let both = store.usage(&admin(), tree.organization_id, &asked(&[Day, Hour])).await;
        assert!(matches!(both, Err(StoreError::Invalid { field: "group_by", .. })));
    }

    async fn totals_are_filtered_and_bounded_by_whole_hours(test) {
        let store = &test.store;
        let tree = tree(store).await;
        let settlements = [full(&tree, NOW), full(&tree, UnixMicros(NOW.0 + HOUR)), bare(&tree, NOW)];
        store.system_ship(&shipment(Position::START, at(1), &settlements, &[])).await.unwrap();
        let requests = async |filter: UsageFilter, from: i64, to: i64| {
            let query = UsageQuery { from: UnixMicros(from), to: UnixMicros(to), group_by: vec![], filter };
            store.usage(&admin(), tree.organization_id, &query).await.unwrap().groups[0].totals.requests
        };
        let everything = UsageFilter::default;
        assert_eq!(requests(everything(), NOW.0 + 1, NOW.0 + 2).await, 2, "the hour that contains the time");
        assert_eq!(requests(everything(), NOW.0 + HOUR, NOW.0 + HOUR + 1).await, 1);
        assert_eq!(requests(everything(), 0, NOW.0).await, 0);
        let (from, to) = (0, NOW.0 + 9 * HOUR);
        assert_eq!(requests(UsageFilter { team_id: Some(tree.team_id), ..everything() }, from, to).await, 2);
        assert_eq!(requests(UsageFilter { key_id: Some(KeyId::generate()), ..everything() }, from, to).await, 0);
        assert_eq!(requests(UsageFilter { model: Some("gpt-5.5".into()), ..everything() }, from, to).await, 2);
        assert_eq!(requests(UsageFilter { outcome: Some(Outcome::Refused), ..everything() }, from, to).await, 1);
        let embeddings = UsageFilter { operation: Some(Operation::Embedding), ..everything() };
        assert_eq!(requests(embeddings, from, to).await, 0);
    }

    async fn names_invented_under_a_pattern_make_no_rows(test) {
        let store = &test.store;
        let tree = tree(store).await;
        let wild = store.create_model(&admin(), tree.organization_id, model_draft("wild/*", vec![])).await.unwrap();
        let settlements: Vec<_> = (0..20)
            .map(|number| {
                let mut one = full(&tree, NOW);
                one.request.model = format!("wild/{number}").into();
                one.request.model_id = Some(wild.id);
                if number > 0 {
                    one.request.outcome = Outcome::Failed;
                    one.request.usage = TokenUsage::default();
                    one.attempts.clear();
                }
                one
            })
            .collect();
        store.system_ship(&shipment(Position::START, at(1), &settlements, &[])).await.unwrap();
        let report = store.usage(&admin(), tree.organization_id, &asked(&[Dimension::Model])).await.unwrap();
        let rows = report.groups.iter().map(|group| (group.model.as_deref(), group.totals.requests));
        assert_eq!(rows.collect::<Vec<_>>(), [(Some("wild/*"), 19), (Some("wild/0"), 1)]);
        let invented = RequestFilter { model: Some("wild/7".into()), ..RequestFilter::default() };
        let page = PageRequest { after: None, limit: 3 };
        let found = store.list_requests(&admin(), tree.organization_id, &invented, page).await.unwrap();
        assert_eq!(found.items.len(), 1);
    }

    async fn requests_are_listed_newest_first_without_gap_or_overlap(test) {
        let store = &test.store;
        let tree = tree(store).await;
        let mut settlements: Vec<_> = (0..10).map(|n| full(&tree, UnixMicros(NOW.0 + n / 4))).collect();
        store.system_ship(&shipment(Position::START, at(1), &settlements, &[])).await.unwrap();
        settlements.sort_by_key(|one| std::cmp::Reverse((one.request.started_at, one.request.request_id)));

        let (mut request, mut seen) = (PageRequest { after: None, limit: 3 }, Vec::new());
        loop {
            let filter = RequestFilter::default();
            let page = store.list_requests(&admin(), tree.organization_id, &filter, request).await.unwrap();
            seen.extend(page.items.into_iter().map(|item| item.record));
            let Some(next) = page.next else { break };
            request.after = Some(next.to_string().parse().unwrap());
        }
        assert_eq!(seen, settlements.into_iter().map(|one| one.request).collect::<Vec<_>>());
    }

    async fn rare_requests_are_found_across_many_hours_and_pages(test) {
        let store = &test.store;
        let tree = tree(store).await;
        let mut rare = Vec::new();
        let mut settlements = Vec::new();
        // Refusals with a gap of 1, 2 and 60 hours between them, among others; more hours than are looked at in one go.
        for hour in 0..130 {
            let time = UnixMicros(NOW.0 + hour * HOUR + 1);
            settlements.push(full(&tree, time));
            if hour % 61 < 4 && hour % 61 != 1 {
                settlements.push(bare(&tree, time));
                rare.insert(0, settlements[settlements.len() - 1].request.clone());
            }
        }
        store.system_ship(&shipment(Position::START, at(1), &settlements, &[])).await.unwrap();
        let list = async |filter: RequestFilter, limit| {
            let (mut request, mut seen) = (PageRequest { after: None, limit }, Vec::new());
            loop {
                let page = store.list_requests(&admin(), tree.organization_id, &filter, request).await.unwrap();
                seen.extend(page.items.into_iter().map(|item| item.record));
                let Some(next) = page.next else { return seen };
                request.after = Some(next);
            }
        };
        let refused = RequestFilter { outcome: Some(Outcome::Refused), ..RequestFilter::default() };
        let invented = RequestFilter { model: Some("invented".into()), ..RequestFilter::default() };
        for limit in [1, 2, 500] {
            assert_eq!(list(refused.clone(), limit).await, rare, "{limit}");
            assert_eq!(list(invented.clone(), limit).await, rare, "{limit}");
        }
        let costly = RequestFilter { min_cost: Some(NanoUsd::new(1_050)), ..RequestFilter::default() };
        assert_eq!(list(costly.clone(), 500).await.len(), 130);
        let mut dear = full(&tree, UnixMicros(NOW.0 + HOUR));
        dear.request.cost = Some(NanoUsd::new(2_000));
        store.system_ship(&shipment(at(1), at(2), std::slice::from_ref(&dear), &[])).await.unwrap();
        assert_eq!(list(RequestFilter { min_cost: dear.request.cost, ..costly }, 5).await, [dear.request]);
        let mut absurd = full(&tree, UnixMicros(NOW.0 + HOUR));
        absurd.request.cost = Some(NanoUsd::MAX);
        store.system_ship(&shipment(at(2), at(3), std::slice::from_ref(&absurd), &[])).await.unwrap();
        let dearest = RequestFilter { min_cost: Some(NanoUsd::MAX), ..RequestFilter::default() };
        assert_eq!(list(dearest, 5).await, [absurd.request], "hours whose figures were cut are searched too");
        let from = Some(UnixMicros(NOW.0 + 2 * HOUR + 2));
        let to = Some(UnixMicros(NOW.0 + 3 * HOUR + 2));
        assert_eq!(list(RequestFilter { from, to, ..refused }, 5).await.len(), 1);
        let team = RequestFilter { team_id: Some(tree.team_id), ..RequestFilter::default() };
        assert_eq!(list(team, 7).await.len(), 132);
    }

    async fn requests_are_filtered(test) {
        let store = &test.store;
        let tree = tree(store).await;
        let settlements = [full(&tree, NOW), bare(&tree, UnixMicros(NOW.0 + 5))];
        store.system_ship(&shipment(Position::START, at(1), &settlements, &[])).await.unwrap();
        let listed = async |filter: RequestFilter| -> Vec<u16> {
            let request = PageRequest::default();
            let page = store.list_requests(&admin(), tree.organization_id, &filter, request).await.unwrap();
            page.items.iter().map(|item| item.record.status).collect()
        };
        let all = RequestFilter::default;
        let record = &settlements[0].request;
        assert_eq!(listed(all()).await, [404, 200]);
        assert_eq!(listed(RequestFilter { from: Some(UnixMicros(NOW.0 + 5)), ..all() }).await, [404]);
        assert_eq!(listed(RequestFilter { to: Some(UnixMicros(NOW.0 + 5)), ..all() }).await, [200]);
        assert_eq!(listed(RequestFilter { team_id: Some(tree.team_id), ..all() }).await, [200]);
        assert_eq!(listed(RequestFilter { key_id: record.principal.key_id, ..all() }).await, [200]);
        assert_eq!(listed(RequestFilter { project_id: record.principal.payer.project_id, ..all() }).await, [200]);
        assert_eq!(listed(RequestFilter { model: Some("invented".into()), ..all() }).await, [404]);
        assert_eq!(listed(RequestFilter { model: Some("' OR 1=1 --".into()), ..all() }).await, [0; 0]);
        assert_eq!(listed(RequestFilter { provider_id: record.provider_id, ..all() }).await, [200]);
        assert_eq!(listed(RequestFilter { status_class: Some(StatusClass::Success), ..all() }).await, [200]);
        assert_eq!(listed(RequestFilter { status_class: Some(StatusClass::ServerError), ..all() }).await, [0; 0]);
        assert_eq!(listed(RequestFilter { outcome: Some(Outcome::Refused), ..all() }).await, [404]);
        assert_eq!(listed(RequestFilter { min_cost: Some(NanoUsd::new(1_050)), ..all() }).await, [200]);
        assert_eq!(listed(RequestFilter { min_cost: Some(NanoUsd::new(1_051)), ..all() }).await, [0; 0]);
        assert_eq!(listed(RequestFilter { stream: Some(false), ..all() }).await, [404]);
    }

    async fn names_of_deleted_objects_stay_readable(test) {
        let store = &test.store;
        let tree = tree(store).await;
        let settlement = full(&tree, NOW);
        store.system_ship(&shipment(Position::START, at(1), std::slice::from_ref(&settlement), &[])).await.unwrap();
        store.delete_team(&admin(), tree.team_id).await.unwrap();
        let report = store.usage(&admin(), tree.organization_id, &asked(&[Dimension::Team])).await.unwrap();
        assert_eq!(report.groups[0].team_name.as_deref(), Some("research"));
        let read = store.get_request(&admin(), settlement.request.request_id).await.unwrap();
        assert_eq!(read.request.team_name.as_deref(), Some("research"));
    }

    async fn old_records_are_forgotten_in_small_steps_and_sums_stay(test) {
        let store = &test.store;
        let tree = tree(store).await;
        let settlements: Vec<_> = (0..5).map(|n| full(&tree, UnixMicros(NOW.0 + n))).collect();
        store.system_ship(&shipment(Position::START, at(1), &settlements, &[])).await.unwrap();
        let end = UnixMicros(NOW.0 + 4);
        assert_eq!(store.system_delete_records_before(end, 3).await.unwrap(), 3);
        assert_eq!(store.system_delete_records_before(end, 3).await.unwrap(), 1);
        assert_eq!(store.system_delete_records_before(end, 3).await.unwrap(), 0);
        assert!(store.get_request(&admin(), settlements[3].request.request_id).await.is_err());
        let kept = store.get_request(&admin(), settlements[4].request.request_id).await.unwrap();
        assert_eq!(kept.attempts.len(), 2);
        assert_eq!(totals(store, tree.organization_id).await.requests, 5);
    }
}
