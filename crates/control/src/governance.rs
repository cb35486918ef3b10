//! What a budget or limit must be before it is stored: the same for the admin API and for configuration files.

mod budget;
mod limit;
mod scope;

pub(crate) use budget::{UnpricedInput, budget_errors, whole_organization};
pub(crate) use limit::limit_errors;

/// The longest word that a model can be tagged with.
const MAX_TAG_BYTES: usize = 64;
const MAX_TAGS: usize = 32;

/// Why a word cannot be a tag of models.
pub(crate) fn tag_error(tag: &str) -> Option<&'static str> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._:-".contains(&byte);
    let fits = !tag.is_empty() && tag.len() <= MAX_TAG_BYTES && tag.bytes().all(allowed);
    (!fits).then_some("must have 1 to 64 letters, digits or `._:-`")
}

/// What is wrong with the tags of a model, each with its position.
pub(crate) fn tag_errors(tags: &[Box<str>]) -> Vec<(Option<usize>, String)> {
    if tags.len() > MAX_TAGS {
        return vec![(None, format!("has {} tags; a model can have {MAX_TAGS}", tags.len()))];
    }
    let errors = tags.iter().enumerate().filter_map(|(position, tag)| {
        let repeated = tags.iter().take(position).any(|earlier| earlier == tag);
        let error = tag_error(tag).or(repeated.then_some("is given twice"))?;
        Some((Some(position), error.to_owned()))
    });
    errors.collect()
}
