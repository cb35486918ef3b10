use tollgate_access::authorize::TreeRead;
use tollgate_core::{OrganizationId, ProviderId, TeamId};
use tollgate_state::objects::Owner;
use tollgate_store::{Action, AuditFilter, ObjectKind, PageRequest, SecretChange, StoreError};

use crate::harness::*;

on_both_databases! {
    async fn names_are_unique_within_an_organization_and_free_again_after_deletion(test) {
        let store = &test.store;
        let tree = tree(store).await;
        let other = store.create_organization(&admin(), "Other").await.unwrap().id;

        let taken = store.create_team(&admin(), tree.organization_id, "research").await;
        assert!(matches!(taken, Err(StoreError::NameTaken { kind: ObjectKind::Team, name }) if name == "research"));
        store.create_team(&admin(), tree.organization_id, "Research").await.expect("names are case-sensitive");
        store.create_team(&admin(), other, "research").await.expect("another organization");

        store.delete_team(&admin(), tree.team_id).await.unwrap();
        let again = store.create_team(&admin(), tree.organization_id, "research").await.unwrap();
        assert_ne!(again.id, tree.team_id);
    }

    async fn a_refused_write_leaves_no_version_and_no_audit_event(test) {
        let store = &test.store;
        let tree = tree(store).await;
        let version = store.system_version().await.unwrap();
        let events = store.list_audit_events(&admin(), None, AuditFilter::default(), PageRequest::default()).await;
        let events = events.unwrap().items.len();

        assert!(store.create_team(&admin(), tree.organization_id, "research").await.is_err());
        assert!(store.create_team(&admin(), tree.organization_id, " spaced").await.is_err());
        assert!(store.create_team(&admin(), OrganizationId::generate(), "orphan").await.is_err());
        store.rename_team(&admin(), tree.team_id, "research").await.expect("no change is no error");

        assert_eq!(store.system_version().await.unwrap(), version);
        let after = store.list_audit_events(&admin(), None, AuditFilter::default(), PageRequest::default()).await;
        assert_eq!(after.unwrap().items.len(), events);
    }

    async fn what_is_outside_the_scope_of_a_proof_does_not_exist(test) {
        let store = &test.store;
        let tree = tree(store).await;
        let other = store.create_organization(&admin(), "Other").await.unwrap().id;
        let foreign = admin_of::<TreeRead>(other);

        let found = store.get_team(&foreign, tree.team_id).await;
        assert!(matches!(found, Err(StoreError::NotFound { kind: ObjectKind::Team, .. })));
        assert!(matches!(
            store.delete_team(&admin_of(other), tree.team_id).await,
            Err(StoreError::NotFound { kind: ObjectKind::Team, .. })
        ));
        assert!(matches!(
            store.update_provider(&admin_of(other), tree.provider.object.id, provider_draft("mine")).await,
            Err(StoreError::NotFound { kind: ObjectKind::Provider, .. })
        ));
        assert!(store.list_teams(&foreign, tree.organization_id, PageRequest::default()).await.is_err());
        let visible = store.list_organizations(&foreign, PageRequest::default()).await.unwrap().items;
        assert_eq!(visible.iter().map(|item| item.id).collect::<Vec<_>>(), [other]);
        assert!(store.create_organization(&admin_of(other), "Third").await.is_err());
    }

    async fn references_to_other_organizations_are_refused(test) {
        let store = &test.store;
        let tree = tree(store).await;
        let other = store.create_organization(&admin(), "Other").await.unwrap().id;

        let project = store.create_project(&admin(), other, tree.team_id, "p").await;
        assert!(matches!(project, Err(StoreError::NotFound { kind: ObjectKind::Team, .. })));
        let deployments = vec![deployment_draft(tree.provider.object.id, "gpt-5.5")];
        let model = store.create_model(&admin(), other, model_draft("gpt-5.5", deployments)).await;
        assert!(matches!(model, Err(StoreError::NotFound { kind: ObjectKind::Provider, .. })));
    }

    async fn a_provider_keeps_its_sealed_secret_and_audit_events_never_see_it(test) {
        let store = &test.store;
        let tree = tree(store).await;
        let id = tree.provider.object.id;

        let read = store.get_provider(&admin(), id).await.unwrap();
        assert_eq!(read.sealed_secret.as_deref(), Some(&[0, 255, 1, 2][..]));
        assert_eq!(read.object.timeouts, tree.provider.object.timeouts);
        assert_eq!((read.object.owner, read.object.internal), (Owner::Api, true));

        let mut draft = provider_draft("renamed");
        draft.secret = SecretChange::Keep;
        let kept = store.update_provider(&admin(), id, draft.clone()).await.unwrap();
        assert_eq!(kept.sealed_secret, read.sealed_secret);
        draft.secret = SecretChange::Remove;
        assert_eq!(store.update_provider(&admin(), id, draft).await.unwrap().sealed_secret, None);

        assert!(store.system_set_discovered_models(id, &["gpt-5.5".into()]).await.unwrap());
        assert!(!store.system_set_discovered_models(id, &["gpt-5.5".into()]).await.unwrap());
        assert_eq!(store.get_provider(&admin(), id).await.unwrap().object.discovered_models, ["gpt-5.5"]);

        let filter = AuditFilter { target_id: Some(id.as_uuid()), ..AuditFilter::default() };
        let events = store.list_audit_events(&admin(), None, filter, PageRequest::default()).await.unwrap().items;
        let actions: Vec<_> = events.iter().map(|event| event.action).collect();
        assert_eq!(actions, [Action::Update, Action::Update, Action::Update, Action::Create]);
        let created = &events[3];
        assert_eq!(created.after.as_ref().unwrap()["secret_hint"], "…6789");
        assert!(events.iter().all(|event| !serde_json::to_string(event).unwrap().contains("sealed")));
        assert_eq!(events[1].before.as_ref().unwrap()["name"], "renamed");
    }

    async fn files_and_api_do_not_touch_each_others_objects(test) {
        let store = &test.store;
        let tree = tree(store).await;
        let id = tree.provider.object.id;
        let by_files = store.update_provider(&files(), id, provider_draft("x")).await;
        assert!(matches!(by_files, Err(StoreError::OwnedByApi { kind: ObjectKind::Provider, .. })));
        let draft = model_draft("gpt-5.5", vec![deployment_draft(id, "gpt-5.5")]);
        let model = store.create_model(&files(), tree.organization_id, draft.clone()).await.unwrap();
        assert_eq!(model.owner, Owner::File);
        let by_api = store.update_model(&admin(), model.id, draft.clone()).await;
        assert!(matches!(by_api, Err(StoreError::OwnedByFiles { kind: ObjectKind::Model, name }) if name == "gpt-5.5"));
        assert!(store.delete_model(&admin(), model.id).await.is_err());
        store.delete_model(&files(), model.id).await.unwrap();
        assert!(store.get_model(&admin(), model.id).await.is_err());
    }

    async fn deployments_keep_their_ids_across_edits(test) {
        let store = &test.store;
        let tree = tree(store).await;
        let provider_id = tree.provider.object.id;
        let drafts = vec![deployment_draft(provider_id, "b"), deployment_draft(provider_id, "a")];
        let draft = model_draft("gpt-*", drafts);
        let created = store.create_model(&admin(), tree.organization_id, draft.clone()).await.unwrap();
        assert_eq!(store.get_model(&admin(), created.id).await.unwrap(), created);

        let version = store.system_version().await.unwrap();
        assert_eq!(store.update_model(&admin(), created.id, draft.clone()).await.unwrap(), created);
        assert_eq!(store.system_version().await.unwrap(), version, "changing nothing leaves no trace");

        let mut edited = draft;
        edited.deployments.remove(0);
        edited.deployments[0].weight = 0;
        edited.deployments.push(deployment_draft(provider_id, "c"));
        let updated = store.update_model(&admin(), created.id, edited).await.unwrap();
        assert_eq!(updated.deployments[0].id, created.deployments[1].id);
        assert_eq!(updated.deployments[0].weight, 0);
        assert_eq!(store.get_model(&admin(), created.id).await.unwrap(), updated);
        let page = store.list_models(&admin(), tree.organization_id, PageRequest::default()).await.unwrap();
        assert_eq!(page.items, std::slice::from_ref(&updated));

        let mut foreign = model_draft("other", vec![deployment_draft(provider_id, "c")]);
        foreign.deployments[0].id = Some(updated.deployments[0].id);
        let other = store.create_model(&admin(), tree.organization_id, foreign).await;
        assert!(matches!(other, Err(StoreError::NotFound { kind: ObjectKind::Deployment, .. })));
    }

    async fn what_others_depend_on_is_not_deleted_and_the_refusal_names_them(test) {
        let store = &test.store;
        let tree = tree(store).await;
        let provider_id = tree.provider.object.id;
        let draft = model_draft("gpt-5.5", vec![deployment_draft(provider_id, "gpt-5.5")]);
        let model = store.create_model(&admin(), tree.organization_id, draft).await.unwrap();
        let project = store.create_project(&admin(), tree.organization_id, tree.team_id, "search").await.unwrap();

        let refused = store.delete_provider(&admin(), provider_id).await;
        assert!(matches!(refused, Err(StoreError::InUse { used_by, .. }) if used_by == ["model `gpt-5.5`"]));
        let refused = store.delete_team(&admin(), tree.team_id).await;
        assert!(matches!(refused, Err(StoreError::InUse { used_by, .. }) if used_by == ["project `search`"]));
        assert!(matches!(
            store.delete_organization(&admin(), tree.organization_id).await,
            Err(StoreError::InUse { used_by, .. }) if used_by.len() == 3
        ));

        store.delete_model(&admin(), model.id).await.unwrap();
        store.delete_provider(&admin(), provider_id).await.unwrap();
        store.delete_project(&admin(), project.id).await.unwrap();
        store.delete_team(&admin(), tree.team_id).await.unwrap();
        store.delete_organization(&admin(), tree.organization_id).await.unwrap();
        assert!(store.list_organizations(&admin(), PageRequest::default()).await.unwrap().items.is_empty());
        let gone = store.delete_provider(&admin(), ProviderId::generate()).await;
        assert!(matches!(gone, Err(StoreError::NotFound { .. })));
    }

    async fn pages_cover_a_list_without_gap_or_overlap(test) {
        let store = &test.store;
        let tree = tree(store).await;
        for number in 0..6 {
            store.create_team(&admin(), tree.organization_id, &format!("team {number}")).await.unwrap();
        }
        let (mut request, mut seen): (_, Vec<TeamId>) = (PageRequest { after: None, limit: 3 }, Vec::new());
        loop {
            let page = store.list_teams(&admin(), tree.organization_id, request).await.unwrap();
            seen.extend(page.items.iter().map(|team| team.id));
            let Some(next) = page.next else { break };
            assert_eq!(page.items.len(), 3);
            request.after = Some(next.to_string().parse().unwrap());
        }
        assert_eq!(seen.len(), 7);
        assert!(seen.is_sorted() && seen[0] == tree.team_id);
    }

    async fn simultaneous_writes_get_different_versions(test) {
        let store = &test.store;
        let tree = tree(store).await;
        let before = store.system_version().await.unwrap();
        let writes = (0..8).map(|number| {
            let (store, organization_id) = (store.clone(), tree.organization_id);
            tokio::spawn(async move { store.create_team(&admin(), organization_id, &format!("t{number}")).await })
        });
        for write in writes.collect::<Vec<_>>() {
            write.await.unwrap().unwrap();
        }
        let changes = store.system_changes_since(before).await.unwrap();
        assert_eq!(changes.version, before + 8);
        let versions: Vec<_> = changes.changes.iter().map(|change| change.version).collect();
        assert_eq!(versions, (before + 1..=before + 8).collect::<Vec<_>>());
    }
}
