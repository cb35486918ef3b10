//! `tollgate budget`.

mod show;

use clap::{Args, Subcommand, ValueEnum};
use serde_json::{Value, json};

use super::amount::Dollars;
use super::client::{Admin, Target, find, id_of};
use super::duration::Span;
use super::output::{self, text};
use super::scope::ScopeOptions;

const PATH: &str = "/api/v1/budgets";

/// Make, list, raise and delete budgets, and see what is left of them
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Make a budget, for example `budget create search --amount 50 --per month --team search`
    Create(Box<Create>),
    /// List budgets
    List {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// See what a budget has counted in its present window, and when it runs out
    State {
        /// Its id or name
        budget: String,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Allow more for a while
    Raise(Raise),
    /// Take back a raise before it ends
    Withdraw {
        /// The budget's id or name
        budget: String,
        /// The raise's id, which `tollgate budget list --json` shows
        increase: String,
    },
    /// Delete a budget; what it counted is counted no more
    Delete {
        /// Its id or name
        budget: String,
    },
}

#[derive(Debug, Args)]
pub(crate) struct Create {
    /// What the budget is called; refusals name it
    name: String,
    /// Dollars that may be spent in one window, for example 50 or $12.50
    #[arg(long, value_name = "DOLLARS", allow_hyphen_values = true)]
    amount: Dollars,
    /// The window: once, hour, day, week, month, quarter, year, or a time such as 24h for a rolling one
    #[arg(long, value_name = "WINDOW", default_value = "month")]
    per: Per,
    /// IANA name of the zone whose calendar counts, for example Europe/Berlin
    #[arg(long, value_name = "ZONE", default_value = "UTC")]
    time_zone: String,
    #[command(flatten)]
    scope: ScopeOptions,
    /// How strictly it is kept: hard and stepped refuse calls, soft only alerts, observe only counts
    #[arg(long, default_value = "stepped")]
    mode: Mode,
    /// When the output cap of a call is lowered to what is affordable: where the client set none, or always
    #[arg(long, default_value = "missing")]
    clamp: Clamp,
    /// Percentages at which an alert is raised once per window, for example 50,80,100
    #[arg(long = "alert-at", value_name = "PERCENT", value_delimiter = ',')]
    thresholds: Option<Vec<u16>>,
    /// A cheaper model for calls that this budget cannot pay for, instead of refusing them
    #[arg(long, value_name = "MODEL")]
    substitute: Option<String>,
    /// What a call counts whose price is unknown: refuse, allow, or an amount
    #[arg(long, value_name = "POLICY", default_value = "refuse")]
    unpriced: String,
    /// What tools that the provider runs may add to one call at most; without it such calls are refused
    #[arg(long, value_name = "DOLLARS", allow_hyphen_values = true)]
    server_tools: Option<Dollars>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Raise {
    /// Its id or name
    budget: String,
    /// By how many dollars
    #[arg(long, value_name = "DOLLARS", allow_hyphen_values = true)]
    by: Dollars,
    /// For how long, for example 12h or 7d
    #[arg(long = "for", value_name = "TIME")]
    span: Span,
    /// Why, for those who ask later
    #[arg(long, default_value = "")]
    reason: String,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Mode {
    Hard,
    Stepped,
    Soft,
    Observe,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Clamp {
    Missing,
    Always,
}

/// A window by its name, or the length of a rolling one.
#[derive(Debug, Clone)]
struct Per(Value);

impl std::str::FromStr for Per {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const HOW: &str = "choose once, hour, day, week, month, quarter or year, or a time such as 24h for a rolling window";
        if ["once", "hour", "day", "week", "month", "quarter", "year"].contains(&text) {
            return Ok(Self(json!(text)));
        }
        let span: Span = text.parse().map_err(|_| HOW)?;
        Ok(Self(json!({"rolling_s": span.as_seconds()})))
    }
}

pub(crate) async fn run(command: Command, target: &Target) -> anyhow::Result<()> {
    let admin = target.connect()?;
    match command {
        Command::Create(options) => create(&admin, *options).await,
        Command::List { json } => show::list(&admin, json).await,
        Command::State { budget, json } => show::state(&admin, &budget, json).await,
        Command::Raise(options) => raise(&admin, options).await,
        Command::Withdraw { budget, increase } => {
            let found = find(&admin, PATH, "budget", &budget).await?;
            admin.delete(&format!("{PATH}/{}/increases/{increase}", id_of(&found)?)).await?;
            output::line(format!("took back {increase} from {}", text(&found, "/name")))
        }
        Command::Delete { budget } => {
            let found = find(&admin, PATH, "budget", &budget).await?;
            admin.delete(&format!("{PATH}/{}", id_of(&found)?)).await?;
            output::line(format!("deleted {} ({})", text(&found, "/name"), id_of(&found)?))
        }
    }
}

fn unpriced(text: &str) -> anyhow::Result<Value> {
    if ["refuse", "allow"].contains(&text) {
        return Ok(json!(text));
    }
    let amount: Dollars =
        text.parse().map_err(|error| anyhow::anyhow!("--unpriced: {error}; or write `refuse` or `allow`"))?;
    Ok(json!({"flat_usd": amount.json()}))
}

async fn create(admin: &Admin, options: Create) -> anyhow::Result<()> {
    let name_of = |value: &dyn std::fmt::Debug| format!("{value:?}").to_lowercase();
    let mut body = json!({
        "name": options.name,
        "scope": options.scope.json(admin).await?,
        "amount_usd": options.amount.json(),
        "window": {"kind": options.per.0, "time_zone": options.time_zone},
        "mode": name_of(&options.mode),
        "clamp": name_of(&options.clamp),
        "unpriced": unpriced(&options.unpriced)?,
    });
    if let Some(thresholds) = options.thresholds {
        body["thresholds_percent"] = json!(thresholds);
    }
    if let Some(model) = options.substitute {
        body["on_exhausted"] = json!({"substitute": {"model": model}});
    }
    if let Some(amount) = options.server_tools {
        body["server_tools_usd"] = amount.json();
    }
    let made = admin.post(PATH, &body).await?;
    if options.json {
        return output::json(&made);
    }
    output::line(format!("made {} ({})", text(&made, "/name"), id_of(&made)?))
}

async fn raise(admin: &Admin, options: Raise) -> anyhow::Result<()> {
    let found = find(admin, PATH, "budget", &options.budget).await?;
    let body = json!({
        "amount_usd": options.by.json(),
        "expires_at": options.span.ends_at_micros()?,
        "reason": options.reason,
    });
    let made = admin.post(&format!("{PATH}/{}/increases", id_of(&found)?), &body).await?;
    if options.json {
        return output::json(&made);
    }
    output::line(format!("raised {} for {} ({})", text(&found, "/name"), options.span, id_of(&made)?))
}
