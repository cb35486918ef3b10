//! Scopes: whether what they name exists, and whether they count anything.

use tollgate_core::ModelPattern;
use tollgate_state::governance::{Each, ModelSelector, Place, Scope};

use crate::problem::FieldError;

const MAX_CUSTOMER_BYTES: usize = 256;

/// Everything that is wrong with a scope but for objects that do not exist. `has_model` says whether a call could ask
/// for a name.
pub(super) fn scope_errors(scope: &Scope, has_model: &dyn Fn(&str) -> bool) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let mut wrong = |field: String, message: String| errors.push(FieldError { field, message });
    let kind = place_kind(&scope.place);
    if let Place::Customer(name) = &scope.place
        && (name.is_empty() || name.len() > MAX_CUSTOMER_BYTES || name.chars().any(char::is_control))
    {
        let message = format!("must have 1 to {MAX_CUSTOMER_BYTES} bytes and no control characters");
        wrong("scope.place.customer".into(), message);
    }
    if let Some(each) = scope.each
        && is_one(&scope.place, each)
    {
        wrong(
            "scope.each".into(),
            format!("counts nothing apart: what one {kind} does has never more than one {}", each_kind(each)),
        );
    }
    match &scope.model {
        Some(ModelSelector::Tag(tag)) => {
            if let Some(message) = super::tag_error(tag) {
                wrong("scope.model.tag".into(), message.into());
            }
        }
        Some(ModelSelector::Name(ModelPattern::Exact(name))) if !has_model(name.as_str()) => {
            wrong("scope.model.name".into(), format!("names no model: `{name}`; add the model first"));
        }
        Some(ModelSelector::Name(_)) | None => {}
    }
    errors
}

/// Whether all calls of a place belong to one member of this kind anyway.
const fn is_one(place: &Place, each: Each) -> bool {
    match place {
        Place::Team(_) => matches!(each, Each::Team),
        Place::Project(_) => matches!(each, Each::Team | Each::Project),
        Place::Key(_) => !matches!(each, Each::Customer),
        Place::User(_) | Place::ServiceAccount(_) => matches!(each, Each::User | Each::ServiceAccount),
        Place::Customer(_) => matches!(each, Each::Customer),
        Place::Organization | Place::Group(_) | Place::Provider(_) | Place::Deployment(_) => false,
    }
}

const fn place_kind(place: &Place) -> &'static str {
    match place {
        Place::Organization => "organization",
        Place::Team(_) => "team",
        Place::Project(_) => "project",
        Place::User(_) => "user",
        Place::Group(_) => "group",
        Place::ServiceAccount(_) => "service_account",
        Place::Key(_) => "key",
        Place::Customer(_) => "customer",
        Place::Provider(_) => "provider",
        Place::Deployment(_) => "deployment",
    }
}

const fn each_kind(each: Each) -> &'static str {
    match each {
        Each::Team => "team",
        Each::Project => "project",
        Each::User => "user",
        Each::ServiceAccount => "service account",
        Each::Key => "key",
        Each::Customer => "customer",
    }
}
