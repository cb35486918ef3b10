//! What the built-in catalogue knows of models and their prices.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tollgate_access::authorize::ModelsRead;
use tollgate_catalog::{
    Capabilities, Catalog, ExtraCharge, Lifecycle, Limits, Mode, ModelFacts, Price, Source,
};

use crate::call::{Call, Nothing};
use crate::problem::Problem;

/// Which entries are wanted.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CatalogQuery {
    /// A provider kind.
    provider: Option<String>,
    /// Part of a name.
    model: Option<String>,
}

/// What ships with Tollgate about a model.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct CatalogEntry {
    provider: &'static str,
    model: &'static str,
    aliases: &'static [Box<str>],
    mode: Mode,
    limits: &'static Limits,
    capabilities: &'static Capabilities,
    lifecycle: &'static Lifecycle,
    /// US dollars per million tokens.
    prices: &'static Price,
    /// Charges that the prices do not carry.
    extra_charges: &'static [ExtraCharge],
    source: &'static Source,
}

#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct CatalogList {
    items: Vec<CatalogEntry>,
}

pub(crate) async fn list(call: Call<ModelsRead, Nothing, CatalogQuery>) -> Result<CatalogList, Problem> {
    let query = &call.query;
    let wanted = |facts: &&ModelFacts| {
        query.provider.as_ref().is_none_or(|provider| **provider == *facts.provider)
            && query.model.as_ref().is_none_or(|part| facts.model.contains(part.as_str()))
    };
    let entries = Catalog::builtin().models().filter(wanted).map(|facts| CatalogEntry {
        provider: &facts.provider,
        model: &facts.model,
        aliases: &facts.aliases,
        mode: facts.mode,
        limits: &facts.limits,
        capabilities: &facts.capabilities,
        lifecycle: &facts.lifecycle,
        prices: &facts.prices,
        extra_charges: &facts.extra_charges,
        source: &facts.source,
    });
    Ok(CatalogList { items: entries.collect() })
}
