//! `tollgate model`.

use clap::{Args, Subcommand};
use serde_json::{Value, json};

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
    /// Print JSON
    #[arg(long)]
    json: bool,
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
            let own_price = deployment.get("price").is_some_and(|price| !price.is_null());
            table.row(vec![
                text(model, "/name"),
                deployment.get("provider_id").map(provider_name).unwrap_or_default(),
                text(deployment, "/upstream_model"),
                text(deployment, "/weight"),
                if own_price { "own".into() } else { "catalogue".into() },
                text(deployment, "/id"),
            ]);
        }
    }
    table.print("there are no models yet: `tollgate model add NAME --provider PROVIDER` adds one")
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
