use tollgate_core::{
    DeploymentId, KeyId, LimitId, NanoUsd, OrganizationId, ProjectId, ProviderId, TeamId, UnixMicros,
    WebhookId,
};
use tollgate_state::governance::{
    Each, LimitMeter, LimitPeriod, LimitSharing, ModelSelector, OnExhausted, Place, Scope, Unpriced, Window,
    WindowKind,
};
use tollgate_state::objects::{KeyOwner, Owner};
use tollgate_store::{
    Action, AlertEvent, AuditFilter, Keys, LimitDraft, NewIncrease, ObjectKind, PageRequest, StoreError,
    WebhookDraft,
};

use crate::harness::*;

pub(crate) fn limit_draft(name: &str, scope: Scope) -> LimitDraft {
    LimitDraft {
        name: name.into(),
        scope,
        meter: LimitMeter::TotalTokens,
        amount: 60,
        per: LimitPeriod::Minute,
        burst: Some(6),
        sharing: LimitSharing::Exact,
        enabled: true,
    }
}

pub(crate) fn webhook_draft(name: &str, events: Vec<AlertEvent>) -> WebhookDraft {
    WebhookDraft {
        name: name.into(),
        url: "https://hooks.example/1".into(),
        internal: false,
        events,
        sealed_secret: Some(vec![1, 2, 3]),
        enabled: true,
    }
}

on_both_databases! {
    async fn budgets_are_read_back_and_only_what_may_change_changes(test) {
        let store = &test.store;
        let tree = tree(store).await;
        let mut draft = budget_draft("research", 1_000);
        draft.scope = Scope {
            place: Place::Team(tree.team_id),
            each: Some(Each::Key),
            model: Some(ModelSelector::Tag("cheap".into())),
        };
        draft.window = Window { kind: WindowKind::RollingS(3_600), time_zone: "Europe/Berlin".into() };
        draft.on_exhausted = OnExhausted::Substitute { model: "gpt-5.5-mini".into() };
        draft.unpriced = Unpriced::FlatNanoUsd(NanoUsd::new(7));
        draft.server_tools_nano_usd = Some(NanoUsd::new(9));
        let created = store.create_budget(&admin(), tree.organization_id, draft.clone()).await.unwrap();
        assert_eq!(store.get_budget(&admin(), created.id).await.unwrap(), created);
        assert_eq!((created.owner, created.created_at), (Owner::Api, NOW));

        let version = store.system_version().await.unwrap();
        assert_eq!(store.update_budget(&admin(), created.id, draft.clone()).await.unwrap(), created);
        assert_eq!(store.system_version().await.unwrap(), version, "changing nothing leaves no trace");

        let mut other_scope = draft.clone();
        other_scope.scope.each = None;
        let mut other_window = draft.clone();
        other_window.window.kind = WindowKind::Day;
        for (wrong, field) in [(other_scope, "scope"), (other_window, "window")] {
            let refused = store.update_budget(&admin(), created.id, wrong).await;
            assert!(matches!(refused, Err(StoreError::Immutable { field: named, .. }) if named == field));
        }
        draft.amount_nano_usd = NanoUsd::new(5);
        draft.enabled = false;
        let updated = store.update_budget(&admin(), created.id, draft.clone()).await.unwrap();
        assert_eq!((updated.amount_nano_usd, updated.enabled), (NanoUsd::new(5), false));
        let configuration = store.system_load_configuration(Keys::Omit).await.unwrap();
        assert_eq!(configuration.budgets, [updated]);

        let taken = store.create_budget(&admin(), tree.organization_id, draft.clone()).await;
        assert!(matches!(taken, Err(StoreError::NameTaken { kind: ObjectKind::Budget, .. })));
        assert!(store.update_budget(&files(), created.id, draft.clone()).await.is_err(), "made by the API");
        assert!(store.delete_budget(&admin_of(OrganizationId::generate()), created.id).await.is_err());
        store.delete_budget(&admin(), created.id).await.unwrap();
        store.create_budget(&files(), tree.organization_id, draft).await.expect("the name is free again");
        assert!(store.get_budget(&admin(), created.id).await.is_err());
    }

    async fn what_a_budget_may_not_be_is_refused_with_the_field(test) {
        let store = &test.store;
        let tree = tree(store).await;
        let organization_id = tree.organization_id;
        let good = budget_draft("b", 1);
        let mut wrong = vec![];
        let mut push = |field, change: fn(&mut tollgate_store::BudgetDraft)| {
            let mut draft = good.clone();
            change(&mut draft);
            wrong.push((field, draft));
        };
        push("amount_nano_usd", |draft| draft.amount_nano_usd = NanoUsd::new(-1));
        push("server_tools_nano_usd", |draft| draft.server_tools_nano_usd = Some(NanoUsd::new(-1)));
        push("unpriced.flat_nano_usd", |draft| draft.unpriced = Unpriced::FlatNanoUsd(NanoUsd::new(-1)));
        push("thresholds_percent", |draft| draft.thresholds_percent = vec![80, 50]);
        push("thresholds_percent", |draft| draft.thresholds_percent = vec![0]);
        push("window.time_zone", |draft| draft.window.time_zone = "Mars/Olympus".into());
        push("window.kind.rolling_s", |draft| draft.window.kind = WindowKind::RollingS(1));
        push("scope.place.customer", |draft| draft.scope = at_place(Place::Customer("".into())));
        for (field, draft) in wrong {
            let refused = store.create_budget(&admin(), organization_id, draft).await;
            assert!(matches!(refused, Err(StoreError::Invalid { field: named, .. }) if named == field), "{field}");
        }
        let nowhere = [
            (ObjectKind::Team, Place::Team(TeamId::generate())),
            (ObjectKind::Project, Place::Project(ProjectId::generate())),
            (ObjectKind::Key, Place::Key(KeyId::generate())),
            (ObjectKind::Provider, Place::Provider(ProviderId::generate())),
            (ObjectKind::Deployment, Place::Deployment(DeploymentId::generate())),
        ];
        let other = store.create_organization(&admin(), "Other").await.unwrap().id;
        for (expected, place) in nowhere {
            let mut draft = good.clone();
            draft.scope = at_place(place.clone());
            let refused = store.create_budget(&admin(), organization_id, draft).await;
            assert!(matches!(refused, Err(StoreError::NotFound { kind, .. }) if kind == expected), "{place:?}");
            let refused = store.create_limit(&admin(), organization_id, limit_draft("l", at_place(place))).await;
            assert!(matches!(refused, Err(StoreError::NotFound { kind, .. }) if kind == expected));
        }
        let foreign = tollgate_store::BudgetDraft { scope: at_place(Place::Team(tree.team_id)), ..good };
        let refused = store.create_budget(&admin(), other, foreign).await;
        assert!(matches!(refused, Err(StoreError::NotFound { kind: ObjectKind::Team, .. })));
    }

    async fn increases_raise_the_amount_until_they_end(test) {
        let store = &test.store;
        let tree = tree(store).await;
        let budget = store.create_budget(&files(), tree.organization_id, budget_draft("b", 100)).await.unwrap();
        let increase = |amount, until| NewIncrease {
            amount_nano_usd: NanoUsd::new(amount),
            expires_at: UnixMicros(NOW.0 + until),
            author: "zoe".into(),
            reason: "launch".into(),
        };
        store.add_budget_increase(&admin(), budget.id, increase(50, 10)).await.expect("also of files");
        let raised = store.add_budget_increase(&admin(), budget.id, increase(7, 20)).await.unwrap();
        let amounts = [0, 10, 20].map(|later| raised.amount_at(UnixMicros(NOW.0 + later)).get());
        assert_eq!(amounts, [157, 107, 100]);
        let one = raised.increases[0].id;
        let after = store.remove_budget_increase(&admin(), budget.id, one).await.unwrap();
        assert_eq!(after.increases, raised.increases[1..]);
        assert_eq!(store.get_budget(&admin(), budget.id).await.unwrap(), after);
        assert!(store.remove_budget_increase(&admin(), budget.id, one).await.is_err());
        assert!(store.add_budget_increase(&admin(), budget.id, increase(-1, 10)).await.is_err());
        assert!(store.add_budget_increase(&admin(), budget.id, increase(1, 0)).await.is_err());
        let update = store.update_budget(&files(), budget.id, budget_draft("b", 90)).await.unwrap();
        assert_eq!(update.increases, after.increases, "files do not touch them");
    }

    async fn limits_keep_scope_meter_and_period(test) {
        let store = &test.store;
        let tree = tree(store).await;
        let draft = limit_draft("tokens", at_place(Place::Team(tree.team_id)));
        let created = store.create_limit(&admin(), tree.organization_id, draft.clone()).await.unwrap();
        assert_eq!(store.get_limit(&admin(), created.id).await.unwrap(), created);
        let wrong = [
            ("scope", LimitDraft { scope: at_place(Place::Organization), ..draft.clone() }),
            ("meter", LimitDraft { meter: LimitMeter::Requests, ..draft.clone() }),
            ("per", LimitDraft { per: LimitPeriod::Day, ..draft.clone() }),
        ];
        for (field, draft) in wrong {
            let refused = store.update_limit(&admin(), created.id, draft).await;
            assert!(matches!(refused, Err(StoreError::Immutable { field: named, .. }) if named == field));
        }
        let changed = LimitDraft { amount: 7, burst: None, sharing: LimitSharing::Leased, ..draft };
        let updated = store.update_limit(&admin(), created.id, changed).await.unwrap();
        assert_eq!((updated.amount, updated.burst, updated.sharing), (7, None, LimitSharing::Leased));
        assert_eq!(store.system_load_configuration(Keys::Omit).await.unwrap().limits, [updated]);
        store.delete_limit(&admin(), created.id).await.unwrap();
        assert!(store.delete_limit(&admin(), LimitId::generate()).await.is_err());
        let page = store.list_limits(&admin(), tree.organization_id, PageRequest::default()).await.unwrap();
        assert!(page.items.is_empty());
    }

    async fn models_carry_tags(test) {
        let store = &test.store;
        let tree = tree(store).await;
        let mut draft = model_draft("gpt-5.5", vec![deployment_draft(tree.provider.object.id, "gpt-5.5")]);
        draft.tags = vec!["cheap".into(), "eu".into()];
        let created = store.create_model(&admin(), tree.organization_id, draft.clone()).await.unwrap();
        assert_eq!(store.get_model(&admin(), created.id).await.unwrap(), created);
        assert_eq!(created.tags, draft.tags);
        draft.tags.pop();
        let updated = store.update_model(&admin(), created.id, draft.clone()).await.unwrap();
        assert_eq!(store.system_load_configuration(Keys::Omit).await.unwrap().models, [updated]);
        draft.tags = vec!["a,b".into()];
        let refused = store.update_model(&admin(), created.id, draft).await;
        assert!(matches!(refused, Err(StoreError::Invalid { field: "tags", .. })));
    }

    async fn webhooks_keep_their_sealed_secret_and_audit_events_never_see_it(test) {
        let store = &test.store;
        let tree = tree(store).await;
        let id = WebhookId::generate();
        let draft = webhook_draft("ops", vec![AlertEvent::BudgetExhausted]);
        let created = store.create_webhook(&admin(), tree.organization_id, id, draft.clone()).await.unwrap();
        assert_eq!(store.get_webhook(&admin(), id).await.unwrap(), created);
        let kept = WebhookDraft { sealed_secret: None, name: "on-call".into(), ..draft };
        let updated = store.update_webhook(&admin(), id, kept).await.unwrap();
        assert_eq!((updated.name.as_str(), updated.sealed_secret.as_deref()), ("on-call", Some(&[1, 2, 3][..])));
        let filter = AuditFilter { target_id: Some(id.as_uuid()), ..AuditFilter::default() };
        let events = store.list_audit_events(&admin(), None, filter, PageRequest::default()).await.unwrap().items;
        assert!(events.iter().all(|event| !serde_json::to_string(event).unwrap().contains("sealed")));
        store.delete_webhook(&admin(), id).await.unwrap();
        let page = store.list_webhooks(&admin(), tree.organization_id, PageRequest::default()).await.unwrap();
        assert!(page.items.is_empty());
    }

    async fn a_deletion_names_budgets_and_a_revoked_key_takes_them_along(test) {
        let store = &test.store;
        let tree = tree(store).await;
        let organization_id = tree.organization_id;
        let draft = model_draft("gpt-5.5", vec![deployment_draft(tree.provider.object.id, "gpt-5.5")]);
        let model = store.create_model(&admin(), organization_id, draft).await.unwrap();
        let key = new_key(KeyOwner::Team(tree.team_id), "ci", b"aaaaaaaaaaaa");
        let key = store.create_key(&admin(), organization_id, key).await.unwrap();
        let budget_at = async |name: &str, place: Place| {
            let draft = tollgate_store::BudgetDraft { scope: at_place(place), ..budget_draft(name, 1) };
            store.create_budget(&files(), organization_id, draft).await.unwrap()
        };
        budget_at("of team", Place::Team(tree.team_id)).await;
        let of_key = budget_at("of key", Place::Key(key.id)).await;
        budget_at("of deployment", Place::Deployment(model.deployments[0].id)).await;
        let limit = limit_draft("limit of key", at_place(Place::Key(key.id)));
        let limit = store.create_limit(&admin(), organization_id, limit).await.unwrap();
        let limit_of_provider = limit_draft("limit of provider", at_place(Place::Provider(tree.provider.object.id)));
        store.create_limit(&admin(), organization_id, limit_of_provider).await.unwrap();

        let refused = store.delete_model(&admin(), model.id).await;
        assert!(matches!(refused, Err(StoreError::InUse { used_by, .. }) if used_by == ["budget `of deployment`"]));
        let refused = store.delete_provider(&admin(), tree.provider.object.id).await;
        let expected = ["model `gpt-5.5`", "limit `limit of provider`"];
        assert!(matches!(refused, Err(StoreError::InUse { used_by, .. }) if used_by == expected));

        store.revoke_key(&admin(), key.id).await.expect("nothing stands in the way of a revocation");
        assert!(store.get_budget(&admin(), of_key.id).await.is_err());
        assert!(store.get_limit(&admin(), limit.id).await.is_err());
        let filter = AuditFilter { target_id: Some(of_key.id.as_uuid()), ..AuditFilter::default() };
        let events = store.list_audit_events(&admin(), None, filter, PageRequest::default()).await.unwrap().items;
        assert_eq!(events[0].action, Action::Delete);

        let refused = store.delete_team(&admin(), tree.team_id).await;
        assert!(matches!(refused, Err(StoreError::InUse { used_by, .. }) if used_by == ["budget `of team`"]));
    }
}
