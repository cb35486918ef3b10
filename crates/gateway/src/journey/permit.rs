//! May this caller use this model: resolves the name, checks the grants, and finds what an object id is tied to.

use std::marker::PhantomData;
use std::rc::Rc;
use std::sync::Arc;

use tollgate_core::{DeploymentId, ModelName, OrganizationId, RetryAdvice};
use tollgate_state::ports::ProviderObjectOwner;
use tollgate_state::{Model, Refusal};
use tollgate_wire::{Beyond, ErrorKind, Field};

use super::understand::Understood;
use crate::core::Core;
use crate::problem::{Problem, Refused};

/// A call that its caller may make.
#[derive(Debug)]
pub struct Permitted {
    pub understood: Understood,
    pub model: Arc<Model>,
    /// The public name as asked for.
    pub name: Box<str>,
    /// The only deployment that can serve, because it holds what the body refers to.
    pub pinned: Option<DeploymentId>,
    _made_here: PhantomData<()>,
}

/// Finds the model and checks that the key may use it.
pub async fn permit(core: &Rc<Core>, mut understood: Understood) -> Result<Permitted, Box<Refused>> {
    let name: Box<str> = understood.model().into();
    let model = match resolve(&understood, &name) {
        Ok(model) => model,
        Err(problem) => return Err(Refused::known(understood.account, problem)),
    };
    understood.account.resolved(&model, &name);
    match pin(core, &understood).await {
        Ok(pinned) => Ok(Permitted { understood, model, name, pinned, _made_here: PhantomData }),
        Err(problem) => Err(Refused::known(understood.account, problem)),
    }
}

fn resolve(understood: &Understood, name: &str) -> Result<Arc<Model>, Problem> {
    let bad_name = |message: String| {
        Problem::client(ErrorKind::InvalidRequest, message).with_param(Some(Field::Model.name()))
    };
    if name.is_empty() {
        return Err(bad_name("`model` is missing: name the model to use".into()));
    }
    ModelName::check(name).map_err(|error| bad_name(error.to_string()))?;
    let organization_id = understood.credential.principal.payer.organization_id;
    let view = understood.published.snapshot.organization(organization_id);
    let Some(model) = view.and_then(|view| view.resolve(name)) else {
        let message = format!("there is no model `{name}`; GET /v1/models lists what this key may use");
        return Err(Problem::client(ErrorKind::NotFound, message)
            .with_code("model_not_found")
            .with_param(Some(Field::Model.name())));
    };
    let grants = &understood.credential.key.grants;
    if understood.peeked.beyond_text().has(Beyond::OtherModels) && !grants.is_everything() {
        let message = "`models`, `fallbacks` and `route` let the provider answer with a model that this key may not be \
                       granted; leave them out";
        return Err(Problem::client(ErrorKind::Permission, message).with_code("other_models_not_granted"));
    }
    match grants.check(name) {
        Ok(()) => Ok(Arc::clone(model)),
        Err(refusal) => {
            let reason = match refusal {
                Refusal::Denied => "is denied to",
                Refusal::NotGranted => "is not granted to",
            };
            let message = format!("model `{name}` {reason} this key; ask an administrator for a grant");
            Err(Problem::client(ErrorKind::Permission, message)
                .with_code("model_not_granted")
                .with_param(Some(Field::Model.name())))
        }
    }
}

/// Fields that name something a provider keeps.
const OBJECT_FIELDS: [Field; 5] = [
    Field::PreviousResponseId,
    Field::Conversation,
    Field::ConversationId,
    Field::Container,
    Field::ContainerId,
];

/// No provider's ids are longer.
const MAX_SHOWN_CHARS: usize = 256;

/// The deployment that holds what the body refers to. What belongs to another payer does not exist for this one.
async fn pin(core: &Core, understood: &Understood) -> Result<Option<DeploymentId>, Problem> {
    let peeked = &understood.peeked;
    let mut pinned = None;
    for field in OBJECT_FIELDS {
        let Some(object_id) = peeked.text(field) else { continue };
        hold(core, understood, &mut pinned, field.name(), &object_id).await?;
    }
    for named in peeked.objects() {
        hold(core, understood, &mut pinned, &named.path, &named.id).await?;
    }
    Ok(pinned)
}

/// Ties the call to the deployment that holds one object.
async fn hold(
    core: &Core,
    understood: &Understood,
    pinned: &mut Option<DeploymentId>,
    path: &str,
    object_id: &str,
) -> Result<(), Problem> {
    let payer = understood.credential.principal.payer;
    let owner = owner_of(core, payer.organization_id, object_id).await?;
    let Some(owner) = owner.filter(|owner| owner.payer == payer) else {
        let shown: String = object_id.chars().take(MAX_SHOWN_CHARS).collect();
        let message = format!(
            "`{path}`: there is no object `{shown}`; only what a provider keeps of an answer through Tollgate (its \
             `store` is true) can be referred to, by the same project or team; send the content itself instead"
        );
        return Err(Problem::client(ErrorKind::NotFound, message).with_code("object_not_found").at(path));
    };
    if pinned.is_some_and(|other| other != owner.deployment_id) {
        let message = format!("`{path}` is held by another deployment than the rest of the request");
        return Err(Problem::client(ErrorKind::InvalidRequest, message).at(path));
    }
    *pinned = Some(owner.deployment_id);
    Ok(())
}

async fn owner_of(
    core: &Core,
    organization_id: OrganizationId,
    object_id: &str,
) -> Result<Option<ProviderObjectOwner>, Problem> {
    if let Some(owner) = core.gateway.recent_objects.find(organization_id, object_id) {
        return Ok(Some(owner));
    }
    let answer = core.gateway.lookups.provider_object(organization_id, object_id).await;
    let owner = answer.map_err(|_| {
        Problem::gateway(ErrorKind::Unavailable, "stored objects cannot be looked up at the moment")
            .with_retry(RetryAdvice::AfterMs(1_000))
    })?;
    if let Some(owner) = &owner {
        // The turns of one conversation name the same objects again and again.
        core.gateway.recent_objects.keep(object_id, owner.clone());
    }
    Ok(owner)
}
