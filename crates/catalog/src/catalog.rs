//! The catalogue: finding a model's facts by provider and name.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use jiff::civil::Date;
use serde::Deserialize;
use tollgate_core::ModelName;

use crate::facts::{ModelFacts, Source};
use crate::price::Price;
use crate::price_list::{InvalidPrices, PriceList};

/// The files that ship with the program: name and content.
const FILES: [(&str, &str); 8] = [
    ("anthropic.json", include_str!("../data/anthropic.json")),
    ("cohere.json", include_str!("../data/cohere.json")),
    ("deepseek.json", include_str!("../data/deepseek.json")),
    ("google.json", include_str!("../data/google.json")),
    ("groq.json", include_str!("../data/groq.json")),
    ("mistral.json", include_str!("../data/mistral.json")),
    ("openai.json", include_str!("../data/openai.json")),
    ("xai.json", include_str!("../data/xai.json")),
];

/// Why a data file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CatalogError {
    #[error("{file}: {problem}")]
    Format { file: Box<str>, problem: serde_path_to_error::Error<serde_json::Error> },
    #[error("{file}: model `{model}`: prices{problem}")]
    Prices { file: Box<str>, model: Box<str>, problem: InvalidPrices },
    #[error("{file}: `{name}` is not a model name: {problem}")]
    Name { file: Box<str>, name: Box<str>, problem: tollgate_core::model_name::InvalidModelName },
    #[error("{file}: `{name}` is named twice for this provider")]
    Duplicate { file: Box<str>, name: Box<str> },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CatalogFile {
    provider: Box<str>,
    /// For the reader of the file; each entry names its own.
    #[serde(rename = "source")]
    _source: Source,
    models: Vec<ModelFacts>,
}

/// Model facts of all providers.
#[derive(Debug, Default)]
pub struct Catalog {
    models: Vec<ModelFacts>,
    /// Provider, then model name or alias, to the position in `models`.
    positions: HashMap<Box<str>, HashMap<Box<str>, usize>>,
    load_error: Option<CatalogError>,
}

impl Catalog {
    /// The catalogue that ships with the program, read on first use. Should it be unreadable, it is empty (every
    /// price is then unknown) and [`Catalog::load_error`] says why.
    pub fn builtin() -> &'static Self {
        static BUILTIN: OnceLock<Catalog> = OnceLock::new();
        BUILTIN.get_or_init(|| {
            Self::parse(FILES).unwrap_or_else(|error| Self { load_error: Some(error), ..Self::default() })
        })
    }

    /// Reads data files, given as name and content.
    pub fn parse<'text>(
        files: impl IntoIterator<Item = (&'text str, &'text str)>,
    ) -> Result<Self, CatalogError> {
        let mut catalog = Self::default();
        for (file, content) in files {
            let parsed: CatalogFile =
                serde_path_to_error::deserialize(&mut serde_json::Deserializer::from_str(content))
                    .map_err(|problem| CatalogError::Format { file: file.into(), problem })?;
            for facts in parsed.models {
                catalog.add(file, &parsed.provider, facts)?;
            }
        }
        Ok(catalog)
    }

    fn add(&mut self, file: &str, provider: &str, mut facts: ModelFacts) -> Result<(), CatalogError> {
        let list = PriceList::resolve(&facts.prices).map_err(|problem| CatalogError::Prices {
            file: file.into(),
            model: facts.model.clone(),
            problem,
        })?;
        facts.price_list = Arc::new(list);
        facts.provider = provider.into();
        let names = self.positions.entry(provider.into()).or_default();
        for name in std::iter::once(&facts.model).chain(&facts.aliases) {
            ModelName::check(name).map_err(|problem| CatalogError::Name {
                file: file.into(),
                name: name.clone(),
                problem,
            })?;
            if names.insert(name.clone(), self.models.len()).is_some() {
                return Err(CatalogError::Duplicate { file: file.into(), name: name.clone() });
            }
        }
        self.models.push(facts);
        Ok(())
    }

    /// Why the built-in catalogue is empty.
    pub const fn load_error(&self) -> Option<&CatalogError> {
        self.load_error.as_ref()
    }

    /// All entries, by provider.
    pub fn models(&self) -> impl ExactSizeIterator<Item = &ModelFacts> {
        self.models.iter()
    }

    /// Finds a model by the name that the provider's API takes. In this order:
    ///
    /// 1. a leading `models/` is dropped (Google lists its models so);
    /// 2. the name itself or an alias, byte for byte;
    /// 3. the name without a final `-YYYY-MM-DD` or `-YYYYMMDD`: a dated snapshot that the catalogue does not list
    ///    has the facts of its model. Shorter suffixes such as `-2512` name models of their own and stay.
    pub fn find(&self, provider: &str, upstream_model: &str) -> Option<&ModelFacts> {
        let names = self.positions.get(provider)?;
        let name = upstream_model.strip_prefix("models/").unwrap_or(upstream_model);
        let position = names.get(name).or_else(|| names.get(without_date(name)?))?;
        self.models.get(*position)
    }

    /// The prices of a deployment: the operator's if there are any, else the catalogue's, else unknown.
    pub fn price_list(
        &self,
        provider: &str,
        upstream_model: &str,
        operator: Option<&Price>,
    ) -> Result<Arc<PriceList>, InvalidPrices> {
        match (operator, self.find(provider, upstream_model)) {
            (Some(price), _) => PriceList::resolve(price).map(Arc::new),
            (None, Some(facts)) => Ok(Arc::clone(facts.price_list())),
            (None, None) => Ok(Arc::new(PriceList::unknown())),
        }
    }
}

/// `gpt-x-2026-04-23` and `claude-x-20260423` without their date.
fn without_date(name: &str) -> Option<&str> {
    let cut = |length: usize, format: &str| {
        let (base, suffix) = name.split_at_checked(name.len().checked_sub(length)?)?;
        Date::strptime(format, suffix).ok().map(|_| base)
    };
    cut(11, "-%Y-%m-%d").or_else(|| cut(9, "-%Y%m%d"))
}

#[cfg(test)]
mod tests;
