use sqlx::Connection;
use tollgate_core::UnixMicros;
use tollgate_state::CredentialLookup;
use tollgate_state::objects::KeyOwner;
use tollgate_store::{KeyFilter, KeyUpdate, Keys, NewCredential, ObjectKind, PageRequest, StoreError};

use crate::harness::*;

on_both_databases! {
    async fn a_key_is_found_by_the_lookup_of_its_credential(test) {
        let store = &test.store;
        let tree = tree(store).await;
        let new = new_key(KeyOwner::Team(tree.team_id), "ci", b"aaaaaaaaaaaa");
        let key = store.create_key(&admin(), tree.organization_id, new).await.unwrap();
        let found = store.system_find_credential(CredentialLookup(*b"aaaaaaaaaaaa")).await.unwrap().unwrap();
        assert_eq!(found.key, key);
        assert_eq!(found.credentials[0].hash, [0xa5; 32]);
        assert_eq!(found.credentials[0].pepper_version, 3);
        assert_eq!(store.system_find_credential(CredentialLookup(*b"AAAAAAAAAAAA")).await.unwrap(), None);
        assert_eq!(store.get_key(&admin(), key.id).await.unwrap(), key);
    }

    async fn rotation_adds_a_secret_and_ends_the_old_ones(test) {
        let store = &test.store;
        let tree = tree(store).await;
        let new = new_key(KeyOwner::Team(tree.team_id), "ci", b"aaaaaaaaaaaa");
        let key = store.create_key(&admin(), tree.organization_id, new).await.unwrap();
        let soon = NewCredential { expires_at: Some(UnixMicros(NOW.0 + 5)), ..new_credential(b"bbbbbbbbbbbb") };
        store.rotate_key(&admin(), key.id, soon, UnixMicros(NOW.0 + 100)).await.unwrap();
        store.rotate_key(&admin(), key.id, new_credential(b"cccccccccccc"), UnixMicros(NOW.0 + 50)).await.unwrap();

        let credentials = store.system_load_key(key.id).await.unwrap().unwrap().credentials;
        let ends: Vec<_> = credentials
            .iter()
            .map(|credential| (credential.lookup.as_str().to_owned(), credential.expires_at.map(|at| at.0 - NOW.0)))
            .collect();
        let expected = [("aaaaaaaaaaaa", Some(50)), ("bbbbbbbbbbbb", Some(5)), ("cccccccccccc", None)];
        assert_eq!(ends, expected.map(|(lookup, end)| (lookup.to_owned(), end)));

        let same = store.rotate_key(&admin(), key.id, new_credential(b"aaaaaaaaaaaa"), NOW).await;
        assert!(matches!(same, Err(StoreError::NameTaken { kind: ObjectKind::Credential, .. })));
    }

    async fn nothing_revives_a_revoked_key(test) {
        let store = &test.store;
        let tree = tree(store).await;
        let new = new_key(KeyOwner::Team(tree.team_id), "ci", b"aaaaaaaaaaaa");
        let key = store.create_key(&admin(), tree.organization_id, new.clone()).await.unwrap();
        let revoked = store.revoke_key(&admin(), key.id).await.unwrap();
        assert_eq!(revoked.revoked_at, Some(NOW));
        test.clock.set(UnixMicros(NOW.0 + 1));
        let version = store.system_version().await.unwrap();
        assert_eq!(store.revoke_key(&admin(), key.id).await.unwrap(), revoked, "twice is once");
        assert_eq!(store.system_version().await.unwrap(), version);

        assert_eq!(store.system_find_credential(CredentialLookup(*b"aaaaaaaaaaaa")).await.unwrap(), None);
        let configuration = store.system_load_configuration(Keys::Include).await.unwrap();
        assert!(configuration.keys.is_empty() && configuration.credentials.is_empty());
        assert_eq!(store.system_load_key(key.id).await.unwrap().unwrap().credentials.len(), 1);

        let rotated = store.rotate_key(&admin(), key.id, new_credential(b"bbbbbbbbbbbb"), NOW).await;
        assert!(matches!(rotated, Err(StoreError::Revoked { .. })));
        let update = KeyUpdate { name: "x".into(), grants: key.grants.clone(), expires_at: None };
        assert!(matches!(store.update_key(&admin(), key.id, update).await, Err(StoreError::Revoked { .. })));
        store
            .create_key(&admin(), tree.organization_id, new)
            .await
            .expect_err("the look-up of a dead credential stays taken");

        for table in ["keys", "credentials"] {
            let revive = sqlx::AssertSqlSafe(format!("UPDATE {table} SET revoked_at = NULL"));
            let refused = if test.location.starts_with("postgres") {
                let mut connection = sqlx::PgConnection::connect(&test.location).await.unwrap();
                sqlx::query(revive).execute(&mut connection).await.map(|_| ())
            } else {
                let mut connection = sqlx::SqliteConnection::connect(&test.location).await.unwrap();
                sqlx::query(revive).execute(&mut connection).await.map(|_| ())
            };
            assert!(refused.unwrap_err().to_string().contains("stays revoked"), "{table}");
        }
    }

    async fn keys_are_listed_by_owner_and_edited(test) {
        let store = &test.store;
        let tree = tree(store).await;
        let project = store.create_project(&admin(), tree.organization_id, tree.team_id, "search").await.unwrap();
        let of_team = new_key(KeyOwner::Team(tree.team_id), "one", b"aaaaaaaaaaaa");
        let of_team = store.create_key(&admin(), tree.organization_id, of_team).await.unwrap();
        let of_project = new_key(KeyOwner::Project(project.id), "two", b"bbbbbbbbbbbb");
        let of_project = store.create_key(&admin(), tree.organization_id, of_project).await.unwrap();

        let list = async |filter| {
            let page = store.list_keys(&admin(), tree.organization_id, filter, PageRequest::default()).await;
            page.unwrap().items.iter().map(|key| key.id).collect::<Vec<_>>()
        };
        let of = KeyFilter { project_id: Some(project.id), ..KeyFilter::default() };
        assert_eq!(list(of).await, [of_project.id]);
        let of = KeyFilter { team_id: Some(tree.team_id), ..KeyFilter::default() };
        assert_eq!(list(of).await, [of_team.id]);
        store.revoke_key(&admin(), of_team.id).await.unwrap();
        assert_eq!(list(KeyFilter::default()).await, [of_project.id]);
        assert_eq!(list(KeyFilter { include_revoked: true, ..KeyFilter::default() }).await.len(), 2);
        assert!(store.delete_project(&admin(), project.id).await.is_err(), "a living key depends on it");

        let update = KeyUpdate { name: "one".into(), grants: Default::default(), expires_at: Some(NOW) };
        let updated = store.update_key(&admin(), of_project.id, update).await.expect("a revoked key frees its name");
        assert_eq!(store.get_key(&admin(), of_project.id).await.unwrap(), updated);
        let foreign = KeyOwner::Project(tollgate_core::ProjectId::generate());
        let orphan = store.create_key(&admin(), tree.organization_id, new_key(foreign, "x", b"cccccccccccc")).await;
        assert!(matches!(orphan, Err(StoreError::NotFound { kind: ObjectKind::Project, .. })));
    }
}
