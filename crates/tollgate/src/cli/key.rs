//! `tollgate key`.

use std::collections::HashMap;

use anyhow::{Context, bail};
use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::client::{Admin, Target, find, id_of};
use super::duration::Span;
use super::output::{self, Table, text, time};

const PATH: &str = "/api/v1/keys";

/// Make, list, revoke and rotate keys
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Make a key; its secret is printed once and never again
    Create(Create),
    /// List keys; never their secrets
    List {
        /// Also those that are revoked
        #[arg(long)]
        revoked: bool,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Kill a key for good, in all running processes within a second
    Revoke {
        /// Its id or name
        key: String,
    },
    /// Give a key a new secret; the old one stays valid for a while
    Rotate {
        /// Its id or name
        key: String,
        /// How long the old secret stays valid, for example 30m, 12h or 7d; 0s ends it at once
        #[arg(long, default_value = "24h")]
        grace: Span,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
}

#[derive(Debug, Args)]
pub(crate) struct Create {
    /// What the key is called
    name: String,
    /// The team that owns and pays (id or name); may be left out while there is only one team
    #[arg(long, conflicts_with = "project")]
    team: Option<String>,
    /// The project that owns and pays (id or name), instead of a team
    #[arg(long)]
    project: Option<String>,
    /// Make the team, and an organization for it, if they do not exist
    #[arg(long, requires = "team")]
    create_team: bool,
    /// Models it may use: names, or prefixes with a star; all models unless given; may be repeated
    #[arg(long = "allow", value_name = "MODEL", value_delimiter = ',')]
    allow: Vec<String>,
    /// Models it may not use, even if allowed
    #[arg(long = "deny", value_name = "MODEL", value_delimiter = ',')]
    deny: Vec<String>,
    /// Valid for this long, for example 12h or 90d; for ever unless given
    #[arg(long, value_name = "TIME")]
    expires_in: Option<Span>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(crate) async fn run(command: Command, target: &Target) -> anyhow::Result<()> {
    let admin = target.connect()?;
    match command {
        Command::Create(options) => create(&admin, options).await,
        Command::List { revoked, json } => list(&admin, revoked, json).await,
        Command::Revoke { key } => {
            let key = find(&admin, PATH, "key", &key).await?;
            admin.post(&format!("{PATH}/{}/revoke", id_of(&key)?), &json!({})).await?;
            output::line(format!("revoked {} ({})", text(&key, "/name"), id_of(&key)?))
        }
        Command::Rotate { key, grace, json } => {
            let key = find(&admin, PATH, "key", &key).await?;
            let path = format!("{PATH}/{}/rotate", id_of(&key)?);
            let made = admin.post(&path, &json!({"grace_seconds": grace.as_seconds()})).await?;
            print_secret(&made, json)?;
            if !json {
                output::note(match grace.as_seconds() {
                    0 => "the secret before is dead".to_owned(),
                    _ => format!("the secret before stays valid for {grace}"),
                });
            }
            Ok(())
        }
    }
}

async fn create(admin: &Admin, options: Create) -> anyhow::Result<()> {
    let owned_by = owner(admin, &options).await?;
    let allow = if options.allow.is_empty() { vec!["*".to_owned()] } else { options.allow };
    let mut body = json!({
        "name": options.name,
        "owned_by": owned_by,
        "grants": {"allow": allow, "deny": options.deny},
    });
    if let Some(span) = options.expires_in {
        body["expires_at"] = json!(span.ends_at_micros()?);
    }
    print_secret(&admin.post(PATH, &body).await?, options.json)
}

/// Who is to own the key: what was named, or the only team there is.
async fn owner(admin: &Admin, options: &Create) -> anyhow::Result<Value> {
    if let Some(project) = &options.project {
        let project = find(admin, "/api/v1/projects", "project", project).await?;
        return Ok(json!({"project": id_of(&project)?}));
    }
    if let Some(name) = &options.team {
        return named_team(admin, name, options.create_team).await;
    }
    match teams(admin).await?.as_slice() {
        [only] => Ok(json!({"team": id_of(only)?})),
        [] => bail!(
            "a key belongs to a team or project, and there is none yet: add `--team NAME --create-team`"
        ),
        several => {
            let names: Vec<String> = several.iter().map(|team| text(team, "/name")).collect();
            bail!("a key belongs to a team or project: add `--team` with one of {}", names.join(", "))
        }
    }
}

async fn named_team(admin: &Admin, name: &str, create: bool) -> anyhow::Result<Value> {
    let known = teams(admin).await?;
    let is_it = |team: &&Value| [text(team, "/id"), text(team, "/name")].iter().any(|field| field == name);
    if let Some(team) = known.iter().find(is_it) {
        return Ok(json!({"team": id_of(team)?}));
    }
    if !create {
        bail!("there is no team `{name}`: add `--create-team` to make it, or choose another one");
    }
    let team = admin.post("/api/v1/teams", &json!({"name": name})).await.context("making the team")?;
    Ok(json!({"team": id_of(&team)?}))
}

async fn teams(admin: &Admin) -> anyhow::Result<Vec<Value>> {
    admin.list("/api/v1/teams", &[], None).await
}

/// The secret alone on standard output, so that scripts can take it; what belongs to it beside it.
fn print_secret(made: &Value, json: bool) -> anyhow::Result<()> {
    if json {
        return output::json(made);
    }
    output::note(format!(
        "key {} ({}); the secret is shown only now:",
        text(made, "/key/name"),
        text(made, "/key/id")
    ));
    output::line(text(made, "/secret"))
}

async fn list(admin: &Admin, revoked: bool, json: bool) -> anyhow::Result<()> {
    let keys = admin.list(PATH, &[("include_revoked", revoked.to_string())], None).await?;
    if json {
        return output::json(&Value::Array(keys));
    }
    let owners = if keys.is_empty() { HashMap::new() } else { owner_names(admin).await? };
    let mut table = Table::new(&["ID", "NAME", "OWNER", "MODELS", "EXPIRES", "STATE"]);
    for key in &keys {
        let owner = ["team", "project"].iter().find_map(|kind| {
            let id = key.get("owned_by")?.get(kind)?.as_str()?;
            Some(format!("{kind} {}", owners.get(id).map_or(id, String::as_str)))
        });
        table.row(vec![
            text(key, "/id"),
            text(key, "/name"),
            owner.unwrap_or_else(|| "–".into()),
            grants(key),
            time(key, "/expires_at"),
            if key.get("revoked_at").is_some_and(|at| !at.is_null()) {
                "revoked".into()
            } else {
                "active".into()
            },
        ]);
    }
    table.print("there are no keys yet: `tollgate key create NAME` makes one")
}

/// The names of teams and projects by their ids.
async fn owner_names(admin: &Admin) -> anyhow::Result<HashMap<String, String>> {
    let mut names = HashMap::new();
    for path in ["/api/v1/teams", "/api/v1/projects"] {
        let owners = admin.list(path, &[], None).await?;
        names.extend(owners.iter().map(|owner| (text(owner, "/id"), text(owner, "/name"))));
    }
    Ok(names)
}

fn grants(key: &Value) -> String {
    let names = |field: &str| {
        let list = key.pointer(field).and_then(Value::as_array);
        list.map(|list| list.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(","))
            .unwrap_or_default()
    };
    match (names("/grants/allow"), names("/grants/deny")) {
        (allow, deny) if deny.is_empty() => allow,
        (allow, deny) => format!("{allow} but not {deny}"),
    }
}
