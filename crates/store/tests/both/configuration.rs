use std::convert::Infallible;

use tollgate_core::SecretText;
use tollgate_state::objects::KeyOwner;
use tollgate_store::{Keys, ObjectKind};

use crate::harness::*;

on_both_databases! {
    async fn the_configuration_is_complete_and_unsealed_on_the_way(test) {
        let store = &test.store;
        let tree = tree(store).await;
        let draft = model_draft("gpt-5.5", vec![deployment_draft(tree.provider.object.id, "gpt-5.5")]);
        let model = store.create_model(&admin(), tree.organization_id, draft).await.unwrap();
        let gone = store.create_model(&admin(), tree.organization_id, model_draft("gone", vec![])).await.unwrap();
        store.delete_model(&admin(), gone.id).await.unwrap();
        let key = new_key(KeyOwner::Team(tree.team_id), "ci", b"aaaaaaaaaaaa");
        let key = store.create_key(&admin(), tree.organization_id, key).await.unwrap();

        let stored = store.system_load_configuration(Keys::Include).await.unwrap();
        assert_eq!(stored.version, store.system_version().await.unwrap());
        assert_eq!((stored.organizations.len(), stored.teams.len(), stored.projects.len()), (1, 1, 0));
        let unseal = |id, sealed: &[u8]| {
            assert_eq!(id, tree.provider.object.id);
            Ok::<_, Infallible>(SecretText::new(format!("{} bytes", sealed.len())))
        };
        let configuration = stored.unsealed(unseal).unwrap();
        assert_eq!(configuration.providers[0].secret.as_ref().unwrap().expose(), "4 bytes");
        assert_eq!(configuration.models, [model]);
        assert_eq!(configuration.keys, std::slice::from_ref(&key));
        assert_eq!(configuration.credentials[0].key_id, key.id);

        let without = store.system_load_configuration(Keys::Omit).await.unwrap();
        assert!(without.keys.is_empty() && without.credentials.is_empty() && without.models.len() == 1);
    }

    async fn changes_since_a_version_name_what_to_read_again(test) {
        let store = &test.store;
        let tree = tree(store).await;
        let before = store.system_version().await.unwrap();
        assert_eq!(store.system_changes_since(before).await.unwrap().changes, []);
        let key = new_key(KeyOwner::Team(tree.team_id), "ci", b"aaaaaaaaaaaa");
        let key = store.create_key(&admin(), tree.organization_id, key).await.unwrap();
        store.revoke_key(&admin(), key.id).await.unwrap();
        let changes = store.system_changes_since(before).await.unwrap();
        assert_eq!(changes.version, before + 2);
        let seen: Vec<_> = changes.changes.iter().map(|change| (change.kind, change.id, change.deleted)).collect();
        let id = key.id.as_uuid();
        assert_eq!(seen, [(ObjectKind::Key, id, false), (ObjectKind::Key, id, true)]);
    }
}
