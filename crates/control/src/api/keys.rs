//! Keys: made, changed, rotated and revoked. A secret is in the answer that makes it and nowhere else.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tollgate_access::authorize::{KeysRead, KeysWrite, TreeRead};
use tollgate_access::token::{self, TokenKind};
use tollgate_core::{KeyId, OrganizationId, ProjectId, SecretText, TeamId, UnixMicros};
use tollgate_state::Grants;
use tollgate_state::objects::{CredentialAlgorithm, KeyObject, KeyOwner};
use tollgate_store::{KeyFilter, KeyUpdate, NewCredential, NewKey, ObjectKind, Page};

use super::paging::{organization, page};
use super::patch::given;
use crate::call::{Call, Nothing};
use crate::connection::Installation;
use crate::file_keys;
use crate::problem::Problem;

const DEFAULT_GRACE_SECONDS: u64 = 24 * 60 * 60;
const LONGEST_GRACE_SECONDS: u64 = 90 * 24 * 60 * 60;

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct KeyPath {
    key_id: KeyId,
}

/// Which keys are wanted.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct KeysQuery {
    /// May be left out while there is only one organization.
    organization_id: Option<OrganizationId>,
    /// Keys of the team itself, not those of its projects.
    team_id: Option<TeamId>,
    project_id: Option<ProjectId>,
    #[serde(default)]
    include_revoked: bool,
    /// `next` of the page before.
    cursor: Option<String>,
    /// Items per page, 1 to 500.
    limit: Option<u32>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewKeyInput {
    name: String,
    /// `{"team": "team_…"}` or `{"project": "proj_…"}`.
    owned_by: KeyOwner,
    /// Which models it may use; an empty `allow` allows none.
    grants: Grants,
    /// Microseconds since 1970.
    expires_at: Option<UnixMicros>,
}

/// What shall change. Absent keeps; `null` removes.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct KeyChange {
    name: Option<String>,
    grants: Option<Grants>,
    #[serde(default, deserialize_with = "given")]
    #[schemars(with = "Option<UnixMicros>")]
    expires_at: Option<Option<UnixMicros>>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Rotation {
    /// How long the old secret stays valid; one day unless said otherwise, at most 90.
    grace_seconds: Option<u64>,
}

/// A key with a secret that was made just now.
#[derive(Serialize, JsonSchema)]
pub(crate) struct KeyWithSecret {
    key: KeyObject,
    /// Shown here and never again.
    secret: String,
}

pub(crate) async fn list(call: Call<KeysRead, Nothing, KeysQuery>) -> Result<Page<KeyObject>, Problem> {
    let (store, query) = (&call.plane.installation()?.store, &call.query);
    let request = page(query.cursor.as_deref(), query.limit)?;
    let organization_id = organization(store, &call.proof, query.organization_id).await?;
    let filter = KeyFilter {
        team_id: query.team_id,
        project_id: query.project_id,
        include_revoked: query.include_revoked,
    };
    Ok(store.list_keys(&call.proof, organization_id, filter, request).await?)
}

pub(crate) async fn get(call: Call<KeysRead, KeyPath>) -> Result<KeyObject, Problem> {
    Ok(call.plane.installation()?.store.get_key(&call.proof, call.path.key_id).await?)
}

/// What is stored of a token under the newest pepper.
pub(crate) fn credential_of(
    installation: &Installation,
    lookup: tollgate_state::CredentialLookup,
    text: &SecretText,
) -> NewCredential {
    let (pepper_version, hash) = installation.peppers().hash(text.expose().as_bytes());
    NewCredential {
        lookup,
        algorithm: CredentialAlgorithm::HmacSha256,
        pepper_version,
        hash,
        expires_at: None,
    }
}

fn new_secret(installation: &Installation) -> Result<(NewCredential, SecretText), Problem> {
    let made = token::generate(TokenKind::Key).map_err(|error| Problem::internal(&error))?;
    Ok((credential_of(installation, made.lookup, &made.text), made.text))
}

fn check_expiry(now: UnixMicros, expires_at: Option<UnixMicros>) -> Result<(), Problem> {
    match expires_at {
        Some(end) if end <= now => Err(Problem::invalid("expires_at", "must lie in the future")),
        _ => Ok(()),
    }
}

async fn organization_of(
    call: &Call<KeysWrite, Nothing, Nothing, NewKeyInput>,
) -> Result<OrganizationId, Problem> {
    let store = &call.plane.installation()?.store;
    let proof = call.proof.actor().authorize::<TreeRead>(call.proof.scope())?;
    let found = match call.body.owned_by {
        KeyOwner::Team(id) => store.get_team(&proof, id).await.map(|team| team.organization_id),
        KeyOwner::Project(id) => store.get_project(&proof, id).await.map(|project| project.organization_id),
    };
    found.map_err(of_owner)
}

fn of_owner(error: tollgate_store::StoreError) -> Problem {
    Problem::of_reference(
        error,
        &[(ObjectKind::Team, "owned_by.team"), (ObjectKind::Project, "owned_by.project")],
    )
}

pub(crate) async fn create(
    call: Call<KeysWrite, Nothing, Nothing, NewKeyInput>,
) -> Result<KeyWithSecret, Problem> {
    check_expiry(call.plane.parts.clock.now(), call.body.expires_at)?;
    let organization_id = organization_of(&call).await?;
    let installation = call.plane.installation()?;
    let (credential, secret) = new_secret(installation)?;
    let new = NewKey {
        owned_by: call.body.owned_by,
        name: call.body.name.clone(),
        grants: call.body.grants.clone(),
        expires_at: call.body.expires_at,
        credential,
    };
    let key = installation.store.create_key(&call.proof, organization_id, new).await.map_err(of_owner)?;
    call.plane.publish().await;
    Ok(KeyWithSecret { key, secret: secret.expose().to_owned() })
}

pub(crate) async fn update(call: Call<KeysWrite, KeyPath, Nothing, KeyChange>) -> Result<KeyObject, Problem> {
    let _writing = call.plane.writing.lock().await;
    let (installation, body, id) = (call.plane.installation()?, &call.body, call.path.key_id);
    check_expiry(call.plane.parts.clock.now(), body.expires_at.flatten())?;
    file_keys::refuse(&installation.store, id).await?;
    let read = call.proof.actor().authorize::<KeysRead>(call.proof.scope())?;
    let before = installation.store.get_key(&read, id).await?;
    let update = KeyUpdate {
        name: body.name.clone().unwrap_or(before.name),
        grants: body.grants.clone().unwrap_or(before.grants),
        expires_at: body.expires_at.unwrap_or(before.expires_at),
    };
    let updated = installation.store.update_key(&call.proof, id, update).await?;
    call.plane.publish().await;
    Ok(updated)
}

pub(crate) async fn revoke(call: Call<KeysWrite, KeyPath>) -> Result<KeyObject, Problem> {
    let revoked = call.plane.installation()?.store.revoke_key(&call.proof, call.path.key_id).await?;
    // The caller relies on the key being dead now, so unlike other writes this one does not wait for the next poll.
    call.plane.publisher.publish_latest().await.or_else(|error| match error {
        // Models that cannot be published do not keep a key alive.
        crate::publisher::PublishError::Refused(_) => Ok(()),
        other => {
            tracing::error!(error = %other, "a revoked key could not be taken out of use at once");
            Err(Problem::unavailable(
                "the key is revoked, but may still be in use here for a moment; send this again",
            ))
        }
    })?;
    Ok(revoked)
}

pub(crate) async fn rotate(
    call: Call<KeysWrite, KeyPath, Nothing, Rotation>,
) -> Result<KeyWithSecret, Problem> {
    let grace_seconds = call.body.grace_seconds.unwrap_or(DEFAULT_GRACE_SECONDS);
    if grace_seconds > LONGEST_GRACE_SECONDS {
        return Err(Problem::invalid("grace_seconds", format!("must be at most {LONGEST_GRACE_SECONDS}")));
    }
    let installation = call.plane.installation()?;
    file_keys::refuse(&installation.store, call.path.key_id).await?;
    let (credential, secret) = new_secret(installation)?;
    let old_expire_at = call.plane.parts.clock.now().plus(Duration::from_secs(grace_seconds));
    let key = installation.store.rotate_key(&call.proof, call.path.key_id, credential, old_expire_at).await?;
    call.plane.publish().await;
    Ok(KeyWithSecret { key, secret: secret.expose().to_owned() })
}
