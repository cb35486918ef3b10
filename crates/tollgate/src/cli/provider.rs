//! `tollgate provider`.

use std::io::Read;
use std::path::PathBuf;

use anyhow::{Context, bail};
use clap::{Args, Subcommand};
use serde_json::{Value, json};
use tollgate_core::SecretText;

use super::client::{Admin, Target, find, id_of};
use super::output::{self, Table, text};

const PATH: &str = "/api/v1/providers";

/// Add, list and test providers
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Add a provider
    Add(Add),
    /// List the providers that are configured
    List {
        /// List the kinds that Tollgate knows instead
        #[arg(long)]
        known: bool,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Call a provider with its credential and say what is wrong
    Test {
        /// Its id or name
        provider: String,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
}

#[derive(Debug, Args)]
pub(crate) struct Add {
    /// Its kind, one of `tollgate provider list --known`
    kind: String,
    /// What to call it; the kind unless given
    #[arg(long)]
    name: Option<String>,
    /// Where it is, if not where its kind usually is, for example http://10.0.0.7:8000/v1
    #[arg(long, value_name = "URL")]
    base_url: Option<String>,
    /// Take the credential from this environment variable
    #[arg(long, value_name = "NAME", conflicts_with_all = ["secret_file", "secret_stdin"])]
    secret_env: Option<String>,
    /// Take the credential from this file
    #[arg(long, value_name = "PATH", conflicts_with = "secret_stdin")]
    secret_file: Option<PathBuf>,
    /// Read the credential from standard input
    #[arg(long)]
    secret_stdin: bool,
    /// Where it processes data, for example eu-west-1
    #[arg(long)]
    region: Option<String>,
    /// It lives in a private network: calls to private addresses are allowed
    #[arg(long)]
    internal: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(crate) async fn run(command: Command, target: &Target) -> anyhow::Result<()> {
    match command {
        Command::Add(options) => add(&target.connect()?, options).await,
        Command::List { known: true, json } => list_known(json),
        Command::List { known: false, json } => list(&target.connect()?, json).await,
        Command::Test { provider, json } => test(&target.connect()?, &provider, json).await,
    }
}

impl Add {
    fn secret(&self) -> anyhow::Result<Option<SecretText>> {
        let secret = if let Some(name) = &self.secret_env {
            std::env::var(name).with_context(|| format!("the environment variable {name} cannot be used"))?
        } else if let Some(path) = &self.secret_file {
            std::fs::read_to_string(path).with_context(|| format!("could not read {}", path.display()))?
        } else if self.secret_stdin {
            let mut text = String::new();
            std::io::stdin()
                .read_to_string(&mut text)
                .context("reading the credential from standard input")?;
            text
        } else {
            return Ok(None);
        };
        match secret.trim() {
            "" => bail!("the credential is empty"),
            secret => Ok(Some(SecretText::new(secret.to_owned()))),
        }
    }
}

async fn add(admin: &Admin, options: Add) -> anyhow::Result<()> {
    let secret = options.secret()?;
    let body = json!({
        "name": options.name.as_ref().unwrap_or(&options.kind),
        "kind": options.kind,
        "base_url": options.base_url,
        "secret": secret.as_ref().map(SecretText::expose),
        "region": options.region,
        "internal": options.internal,
    });
    let made = admin.post(PATH, &body).await?;
    if options.json {
        return output::json(&made);
    }
    output::line(format!("added {} ({})", text(&made, "/name"), text(&made, "/id")))?;
    output::note(format!("see whether it answers with `tollgate provider test {}`", text(&made, "/name")));
    Ok(())
}

async fn list(admin: &Admin, json: bool) -> anyhow::Result<()> {
    let providers = admin.list(PATH, &[], None).await?;
    if json {
        return output::json(&Value::Array(providers));
    }
    let mut table = Table::new(&["ID", "NAME", "KIND", "ADDRESS", "SECRET", "OWNER", "STATE"]);
    for provider in &providers {
        let enabled = provider.get("enabled").and_then(Value::as_bool).unwrap_or(true);
        table.row(vec![
            text(provider, "/id"),
            text(provider, "/name"),
            text(provider, "/kind"),
            text(provider, "/base_url"),
            text(provider, "/secret_hint"),
            text(provider, "/owner"),
            if enabled { "enabled".into() } else { "disabled".into() },
        ]);
    }
    table.print("there are no providers yet: `tollgate provider add KIND` adds one")
}

fn list_known(json: bool) -> anyhow::Result<()> {
    let known = tollgate_providers::known();
    if json {
        let rows = known.iter().map(|row| {
            json!({"kind": row.kind, "name": row.name, "base_url": row.base_url, "speaks": row.speaks,
                "internal": row.internal})
        });
        return output::json(&rows.collect());
    }
    let mut table = Table::new(&["KIND", "NAME", "ADDRESS", "CREDENTIAL OFTEN IN"]);
    for row in known {
        let or_dash = |text: &Option<Box<str>>| text.as_deref().unwrap_or("–").to_owned();
        table.row(vec![
            row.kind.to_string(),
            row.name.to_string(),
            or_dash(&row.base_url),
            or_dash(&row.detect_env),
        ]);
    }
    table.print("no kind is known")
}

async fn test(admin: &Admin, provider: &str, json: bool) -> anyhow::Result<()> {
    let provider = find(admin, PATH, "provider", provider).await?;
    let outcome = admin.post(&format!("{PATH}/{}/test", id_of(&provider)?), &json!({})).await?;
    let works = outcome.get("ok").and_then(Value::as_bool).unwrap_or(false);
    if json {
        output::json(&outcome)?;
    } else {
        let mut table = Table::new(&["STEP", "RESULT", "FOUND"]);
        for step in outcome.get("steps").and_then(Value::as_array).into_iter().flatten() {
            let ok = step.get("ok").and_then(Value::as_bool).unwrap_or(false);
            table.row(vec![
                text(step, "/step"),
                if ok { "ok" } else { "failed" }.into(),
                text(step, "/detail"),
            ]);
        }
        table.print("nothing was tried")?;
    }
    if works { Ok(()) } else { bail!("{} does not work", text(&provider, "/name")) }
}
