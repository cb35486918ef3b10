use tollgate_access::Actor;
use tollgate_core::UnixMicros;
use tollgate_store::{Store, StoreError};

use crate::harness::*;

on_both_databases! {
    async fn settings_are_kept_and_the_first_of_two_wins(test) {
        let store = &test.store;
        assert_eq!(store.system_setting::<String>("pepper").await.unwrap(), None);
        assert_eq!(store.system_setting_or_insert("pepper", &"one".to_owned()).await.unwrap(), "one");
        assert_eq!(store.system_setting_or_insert("pepper", &"two".to_owned()).await.unwrap(), "one");
        store.system_set_setting("pepper", &"three").await.unwrap();
        assert_eq!(store.system_setting::<String>("pepper").await.unwrap().as_deref(), Some("three"));
        assert!(matches!(store.system_setting::<u32>("pepper").await, Err(StoreError::Unreadable { .. })));
    }

    async fn admin_tokens_end_by_expiry_revocation_and_reset(test) {
        let store = &test.store;
        let actor = Actor::system("first boot");
        let end = Some(UnixMicros(NOW.0 + 10));
        let one = store.system_create_admin_token(&actor, "one", &[1; 32], end, false).await.unwrap();
        store.system_create_admin_token(&actor, "two", &[2; 32], None, false).await.unwrap();
        assert_eq!(store.system_find_admin_token(&[1; 32]).await.unwrap(), Some(one));
        assert_eq!(store.system_find_admin_token(&[3; 32]).await.unwrap(), None);
        test.clock.set(UnixMicros(NOW.0 + 10));
        assert_eq!(store.system_find_admin_token(&[1; 32]).await.unwrap(), None, "expired");

        let three = store.system_create_admin_token(&actor, "three", &[3; 32], None, true).await.unwrap();
        assert_eq!(store.system_find_admin_token(&[2; 32]).await.unwrap(), None, "replaced");
        store.system_revoke_admin_token(&actor, three.id).await.unwrap();
        store.system_revoke_admin_token(&actor, three.id).await.unwrap();
        assert_eq!(store.system_find_admin_token(&[3; 32]).await.unwrap(), None, "revoked");
        let tokens = store.system_list_admin_tokens().await.unwrap();
        assert!(tokens.len() == 3 && tokens.iter().all(|token| token.revoked_at.is_some()));
    }

    async fn a_closed_store_is_unavailable_and_an_opened_one_is_the_same(test) {
        let store = &test.store;
        let tree = tree(store).await;
        store.ready().await.unwrap();
        store.close().await;
        let error = store.ready().await.unwrap_err();
        assert!(error.is_unavailable(), "{error}");
        let missing = store.get_team(&admin(), tree.team_id).await.unwrap_err();
        assert!(missing.is_unavailable(), "never `not found`: {missing}");

        let again = Store::open(&test.location).await.unwrap();
        assert_eq!(again.get_team(&admin(), tree.team_id).await.unwrap().id, tree.team_id);
        again.close().await;
    }

    async fn a_backup_is_a_store_of_its_own(test) {
        let store = &test.store;
        let tree = tree(store).await;
        let path = test.directory.path().join("backup.db");
        let result = store.backup_to(&path).await;
        if store.kind() == "postgres" {
            assert!(matches!(result, Err(StoreError::WrongDatabase { .. })));
            return;
        }
        result.unwrap();
        assert!(matches!(store.backup_to(&path).await, Err(StoreError::Invalid { field: "path", .. })));
        #[cfg(unix)]
        for file in [&path, std::path::Path::new(&test.location)] {
            let mode = std::os::unix::fs::PermissionsExt::mode(&file.metadata().unwrap().permissions());
            assert_eq!(mode & 0o777, 0o600, "{}", file.display());
        }
        let backup = Store::open(&format!("sqlite://{}", path.display())).await.unwrap();
        assert_eq!(backup.get_team(&admin(), tree.team_id).await.unwrap().name, "research");
        assert_eq!(backup.system_version().await.unwrap(), store.system_version().await.unwrap());
    }
}

#[tokio::test]
async fn an_unreachable_server_is_unavailable() {
    let error = Store::open("postgres://127.0.0.1:1/none").await.unwrap_err();
    assert!(error.is_unavailable(), "{error}");
    assert!(error.to_string().contains("refused"), "what stood in the way is told: {error}");
}

#[tokio::test]
async fn other_databases_are_not_taken_for_files() {
    let error = Store::open("mysql://root:canary@127.0.0.1/tollgate").await.unwrap_err().to_string();
    assert!(error.contains("postgres://") && error.contains("mysql://"), "{error}");
    assert!(!error.contains("canary"), "{error}");
    assert!(
        Store::open("postgres://user@[/x")
            .await
            .unwrap_err()
            .to_string()
            .contains("postgres://user@host/name")
    );
}

#[tokio::test]
async fn a_server_that_lets_nobody_in_says_so() {
    let Ok(server) = std::env::var("TOLLGATE_TEST_POSTGRES_URL") else { return };
    let unknown = format!("{}/there_is_no_such_database", server.rsplit_once('/').unwrap().0);
    let error = Store::open(&unknown).await.unwrap_err();
    assert!(matches!(error, StoreError::Refused(_)), "{error}");
    assert!(error.to_string().contains("there_is_no_such_database"), "{error}");
}
