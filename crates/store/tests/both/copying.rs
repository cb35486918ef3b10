use tollgate_ledger::journal::Position;
use tollgate_ledger::record::{ProviderObjectKind, ProviderObjectRecord};
use tollgate_state::objects::KeyOwner;
use tollgate_store::{Keys, Store, StoreError};

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
    let settlements: Vec<_> = (0..120).map(|_| full(&tree, NOW)).chain([bare(&tree, NOW)]).collect();
    let object = ProviderObjectRecord {
        object_id: "resp_1".into(),
        kind: ProviderObjectKind::Response,
        principal: principal(&tree),
        deployment_id: DEPLOYMENT,
        request_id: settlements[0].request.request_id,
        created_at: NOW,
    };
    store.system_ship(&shipment(Position::START, at(7), &settlements, &[object])).await.unwrap();
    tree
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
        let request = tollgate_store::PageRequest { after: None, limit: 500 };
        let filter = tollgate_store::RequestFilter::default();
        let one = source.list_requests(&admin(), tree.organization_id, &filter, request).await.unwrap();
        let two = target.list_requests(&admin(), tree.organization_id, &filter, request).await.unwrap();
        assert!(one == two && one.items.len() == 121);
        let next = full(&tree, NOW);
        target.system_ship(&shipment(at(7), at(8), &[next], &[])).await.expect("shipping goes on where it was");

        let again = source.copy_to(target).await;
        assert!(matches!(again, Err(StoreError::TargetNotEmpty { table: "versions" })));
        source.close().await;
    }
}
