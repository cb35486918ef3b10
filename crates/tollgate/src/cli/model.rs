//! `tollgate model`.

use clap::{Args, Subcommand};
use serde_json::{Value, json};
use tollgate_catalog::Catalog;

use super::amount::Dollars;
use super::client::{Admin, Target, find, id_of};
use super::output::{self, Table, text};

const PATH: &str = "/api/v1/models";

/// Add and list models
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Add a model, served by one or more providers
    Add(Add),
    /// List models with their deployments
    List {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
}

#[derive(Debug, Args)]
pub(crate) struct Add {
    /// What clients ask for; with a star at its end, such as `claude-*`, it passes the name on
    name: String,
    /// A provider that serves it: NAME, NAME=UPSTREAM-MODEL or NAME=UPSTREAM-MODEL:WEIGHT; may be repeated
    #[arg(long = "provider", value_name = "PROVIDER", required = true)]
    providers: Vec<String>,
    /// Let the pattern pass on any name, not only known ones
    #[arg(long)]
    open: bool,
    #[command(flatten)]
    price: PriceOptions,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// What all deployments of the new model cost, instead of the catalogue's price.
#[derive(Debug, Args)]
struct PriceOptions {
    /// Dollars for a million tokens of input; without prices the catalogue's hold
    #[arg(long, value_name = "DOLLARS", allow_hyphen_values = true)]
    price_input: Option<Dollars>,
    /// Dollars for a million tokens of output
    #[arg(long, value_name = "DOLLARS", allow_hyphen_values = true)]
    price_output: Option<Dollars>,
    /// Dollars for each request beside its tokens
    #[arg(long, value_name = "DOLLARS", allow_hyphen_values = true)]
    price_request: Option<Dollars>,
}

impl PriceOptions {
    /// As the admin API takes it; `null` where no price was given.
    fn json(&self) -> Value {
        let given =
            [("input", self.price_input), ("output", self.price_output), ("per_request", self.price_request)];
        let prices: serde_json::Map<_, _> =
            given.into_iter().filter_map(|(name, price)| Some((name.to_owned(), price?.json()))).collect();
        if prices.is_empty() { Value::Null } else { Value::Object(prices) }
    }
}

/// One `--provider`.
#[derive(Debug, PartialEq, Eq)]
struct Served<'a> {
    provider: &'a str,
    upstream_model: Option<&'a str>,
    weight: u32,
}

/// A weight stands behind the last colon; model names may have colons of their own (`llama3:8b`).
fn parse(text: &str) -> Served<'_> {
    let Some((provider, rest)) = text.split_once('=') else {
        return Served { provider: text, upstream_model: None, weight: 1 };
    };
    let weighted = rest.rsplit_once(':').and_then(|(model, weight)| Some((model, weight.parse().ok()?)));
    let (model, weight) = weighted.unwrap_or((rest, 1));
    Served { provider, upstream_model: Some(model).filter(|model| !model.is_empty()), weight }
}

pub(crate) async fn run(command: Command, target: &Target) -> anyhow::Result<()> {
    let admin = target.connect()?;
    match command {
        Command::Add(options) => add(&admin, options).await,
        Command::List { json } => list(&admin, json).await,
    }
}

async fn add(admin: &Admin, options: Add) -> anyhow::Result<()> {
    let mut deployments = Vec::new();
    for text in &options.providers {
        let served = parse(text);
        let provider = find(admin, "/api/v1/providers", "provider", served.provider).await?;
        deployments.push(json!({
            "provider_id": id_of(&provider)?,
            "upstream_model": served.upstream_model,
            "weight": served.weight,
            "price": options.price.json(),
        }));
    }
    let body = json!({"name": options.name, "open": options.open, "deployments": deployments});
    let made = admin.post(PATH, &body).await?;
    if options.json {
        return output::json(&made);
    }
    output::line(format!("added {} ({})", text(&made, "/name"), text(&made, "/id")))
}

async fn list(admin: &Admin, json: bool) -> anyhow::Result<()> {
    let models = admin.list(PATH, &[], None).await?;
    if json {
        return output::json(&Value::Array(models));
    }
    let providers = admin.list("/api/v1/providers", &[], None).await?;
    let provider_name = |id: &Value| {
        let found = providers.iter().find(|provider| provider.get("id") == Some(id));
        found.map_or_else(|| id.as_str().unwrap_or("–").to_owned(), |provider| text(provider, "/name"))
    };
    let mut table = Table::new(&["MODEL", "PROVIDER", "UPSTREAM MODEL", "WEIGHT", "PRICE", "DEPLOYMENT"]);
    for model in &models {
        let deployments =
            model.get("deployments").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        for deployment in deployments {
            let provider =
                providers.iter().find(|provider| provider.get("id") == deployment.get("provider_id"));
            table.row(vec![
                text(model, "/name"),
                deployment.get("provider_id").map(provider_name).unwrap_or_default(),
                text(deployment, "/upstream_model"),
                text(deployment, "/weight"),
                price_of(model, deployment, provider.unwrap_or(&Value::Null)).into(),
                text(deployment, "/id"),
            ]);
        }
    }
    table.print("there are no models yet: `tollgate model add NAME --provider PROVIDER` adds one")
}

/// Where a deployment's price comes from. A pattern's calls are looked up by the name that each asks for.
fn price_of(model: &Value, deployment: &Value, provider: &Value) -> &'static str {
    if deployment.get("price").is_some_and(|price| !price.is_null()) {
        return "own";
    }
    let field = |object: &Value, name: &str| object.get(name).and_then(Value::as_str).map(str::to_owned);
    let upstream = field(deployment, "upstream_model").or_else(|| field(model, "name")).unwrap_or_default();
    let kind = field(provider, "kind").unwrap_or_default();
    match Catalog::builtin().find(&kind, &upstream) {
        Some(facts) if !facts.price_list().is_unknown() => "catalogue",
        None if upstream.ends_with('*') => "catalogue, by name",
        _ => "unknown",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_provider_can_carry_a_model_and_a_weight() {
        let served = |provider, upstream_model, weight| Served { provider, upstream_model, weight };
        assert_eq!(parse("openai"), served("openai", None, 1));
        assert_eq!(parse("openai=gpt-5"), served("openai", Some("gpt-5"), 1));
        assert_eq!(parse("openai=gpt-5:3"), served("openai", Some("gpt-5"), 3));
        assert_eq!(parse("local=llama3:8b"), served("local", Some("llama3:8b"), 1));
        assert_eq!(parse("local=llama3:8b:2"), served("local", Some("llama3:8b"), 2));
        assert_eq!(parse("local=:2"), served("local", None, 2));
    }
}
