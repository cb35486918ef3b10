//! `tollgate limit`.

use clap::{Args, Subcommand, ValueEnum};
use serde::Deserialize;
use serde_json::{Value, json};
use tollgate_state::governance::{LimitMeter, LimitObject};

use super::client::{Admin, Target, find, id_of};
use super::output::{self, Table, text};
use super::scope::{Names, ScopeOptions};

const PATH: &str = "/api/v1/limits";

/// Make, list and delete limits of requests, tokens and concurrency, and see how much of them is used
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Make a limit, for example `limit create steady --requests 60 --per minute --each key`
    Create(Box<Create>),
    /// List limits
    List {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// See what is left of a limit now, in the process that answers
    State {
        /// Its id or name
        limit: String,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Delete a limit
    Delete {
        /// Its id or name
        limit: String,
    },
}

#[derive(Debug, Args)]
pub(crate) struct Create {
    /// What the limit is called; refusals name it
    name: String,
    #[command(flatten)]
    amount: Amount,
    /// Over which time; ignored for concurrency
    #[arg(long, default_value = "minute")]
    per: Period,
    /// How many requests may come at once; a tenth of the limit unless given
    #[arg(long, value_parser = number, allow_hyphen_values = true)]
    burst: Option<u64>,
    /// How several processes keep it: each its share, or by asking Redis each time
    #[arg(long, default_value = "leased")]
    sharing: Sharing,
    #[command(flatten)]
    scope: ScopeOptions,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct Amount {
    /// Requests
    #[arg(long, value_name = "NUMBER", value_parser = number, allow_hyphen_values = true)]
    requests: Option<u64>,
    /// Tokens of what is sent
    #[arg(long, value_name = "NUMBER", value_parser = number, allow_hyphen_values = true)]
    input_tokens: Option<u64>,
    /// Tokens of what is answered
    #[arg(long, value_name = "NUMBER", value_parser = number, allow_hyphen_values = true)]
    output_tokens: Option<u64>,
    /// Tokens of both
    #[arg(long, value_name = "NUMBER", value_parser = number, allow_hyphen_values = true)]
    total_tokens: Option<u64>,
    /// Requests at the same time
    #[arg(long, value_name = "NUMBER", value_parser = number, allow_hyphen_values = true)]
    concurrency: Option<u64>,
}

fn number(text: &str) -> Result<u64, String> {
    text.parse().ok().filter(|number| *number > 0).ok_or_else(|| "must be a whole number, at least 1".into())
}

impl Amount {
    fn meter(&self) -> (&'static str, u64) {
        let given = [
            ("requests", self.requests),
            ("input_tokens", self.input_tokens),
            ("output_tokens", self.output_tokens),
            ("total_tokens", self.total_tokens),
            ("concurrency", self.concurrency),
        ];
        given.into_iter().find_map(|(name, amount)| Some((name, amount?))).unwrap_or(("requests", 0))
    }
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Period {
    Second,
    Minute,
    Hour,
    Day,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Sharing {
    Leased,
    Exact,
}

pub(crate) async fn run(command: Command, target: &Target) -> anyhow::Result<()> {
    let admin = target.connect()?;
    match command {
        Command::Create(options) => create(&admin, *options).await,
        Command::List { json } => list(&admin, json).await,
        Command::State { limit, json } => state(&admin, &limit, json).await,
        Command::Delete { limit } => {
            let found = find(&admin, PATH, "limit", &limit).await?;
            admin.delete(&format!("{PATH}/{}", id_of(&found)?)).await?;
            output::line(format!("deleted {} ({})", text(&found, "/name"), id_of(&found)?))
        }
    }
}

async fn create(admin: &Admin, options: Create) -> anyhow::Result<()> {
    let (meter, amount) = options.amount.meter();
    let body = json!({
        "name": options.name,
        "scope": options.scope.json(admin).await?,
        "meter": meter,
        "amount": amount,
        "per": format!("{:?}", options.per).to_lowercase(),
        "burst": options.burst,
        "sharing": format!("{:?}", options.sharing).to_lowercase(),
    });
    let made = admin.post(PATH, &body).await?;
    if options.json {
        return output::json(&made);
    }
    let at_once = burst(&made).map(|burst| format!(", of which {burst} at once")).unwrap_or_default();
    output::line(format!("made {} ({}): {}{at_once}", text(&made, "/name"), id_of(&made)?, rate(&made)))
}

async fn list(admin: &Admin, json: bool) -> anyhow::Result<()> {
    let limits = admin.list(PATH, &[], None).await?;
    if json {
        return output::json(&Value::Array(limits));
    }
    let names = if limits.is_empty() { None } else { Some(Names::load(admin).await?) };
    let mut table = Table::new(&["ID", "NAME", "LIMIT", "BURST", "COUNTS", "SHARING", "STATE"]);
    for limit in &limits {
        let is_enabled = limit.get("enabled") != Some(&Value::Bool(false));
        table.row(vec![
            text(limit, "/id"),
            text(limit, "/name"),
            rate(limit),
            burst(limit).map_or_else(|| "–".into(), |burst| burst.to_string()),
            names
                .as_ref()
                .zip(limit.get("scope"))
                .map(|(names, scope)| names.scope(scope))
                .unwrap_or_default(),
            text(limit, "/sharing"),
            if is_enabled { "enabled".into() } else { "disabled".into() },
        ]);
    }
    table.print("there are no limits yet: `tollgate limit create NAME --requests 60 --per minute` makes one")
}

fn rate(limit: &Value) -> String {
    let (amount, meter) = (text(limit, "/amount"), text(limit, "/meter"));
    match meter.as_str() {
        "concurrency" => format!("{amount} at once"),
        _ => format!("{amount} {} per {}", meter.replace('_', " "), text(limit, "/per")),
    }
}

/// How many may come at once after a pause, as the gateway counts; concurrency has no burst.
fn burst(limit: &Value) -> Option<u64> {
    let limit = LimitObject::deserialize(limit).ok()?;
    (limit.meter != LimitMeter::Concurrency).then(|| limit.burst())
}

async fn state(admin: &Admin, wanted: &str, json: bool) -> anyhow::Result<()> {
    let limit = find(admin, PATH, "limit", wanted).await?;
    let members = admin.list(&format!("{PATH}/{}/state", id_of(&limit)?), &[], None).await?;
    if json {
        return output::json(&Value::Array(members));
    }
    let names = Names::load(admin).await?;
    let mut table = Table::new(&["WHO", "LIMIT", "BURST", "LEFT", "FULL AGAIN IN"]).numbers_from(1);
    for state in &members {
        let reset_ms = state.get("reset_ms").and_then(Value::as_u64);
        table.row(vec![
            state.get("member").map(|member| names.member(member)).unwrap_or_default(),
            text(state, "/limit"),
            burst(&limit).map_or_else(|| "–".into(), |burst| burst.to_string()),
            text(state, "/remaining"),
            reset_ms.map_or_else(|| "–".into(), |milliseconds| format!("{}s", milliseconds.div_ceil(1_000))),
        ]);
    }
    table.print("nothing was counted yet")
}
