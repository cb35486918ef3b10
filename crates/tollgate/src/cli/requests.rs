//! `tollgate requests`.

use clap::{Args, ValueEnum};
use serde_json::Value;

use super::client::{Admin, Target, find};
use super::duration::Span;
use super::output::{self, Table, dollars, text, time};
use super::scope::Names;

const PATH: &str = "/api/v1/requests";

/// Hundreds of a status.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Status {
    #[value(name = "2xx")]
    Success,
    #[value(name = "4xx")]
    ClientError,
    #[value(name = "5xx")]
    ServerError,
}

#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Show this one in full: its attempts, and why it went where it went
    id: Option<String>,
    /// How many to list
    #[arg(long, default_value_t = 50)]
    limit: usize,
    /// How far back to look, for example 1h or 7d
    #[arg(long, value_name = "TIME")]
    since: Option<Span>,
    /// Only this team (id or name)
    #[arg(long)]
    team: Option<String>,
    /// Only this key (id or name)
    #[arg(long)]
    key: Option<String>,
    /// Only this model
    #[arg(long)]
    model: Option<String>,
    /// Only with such a status
    #[arg(long, value_enum)]
    status: Option<Status>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(crate) async fn run(options: Options, target: &Target) -> anyhow::Result<()> {
    let admin = target.connect()?;
    match &options.id {
        Some(id) => show(&admin, id, options.json).await,
        None => list(&admin, &options).await,
    }
}

async fn list(admin: &Admin, options: &Options) -> anyhow::Result<()> {
    let mut query = Vec::new();
    if let Some(since) = options.since {
        query.push(("from", since.ago_micros()?.to_string()));
    }
    if let Some(team) = &options.team {
        query.push(("team_id", text(&find(admin, "/api/v1/teams", "team", team).await?, "/id")));
    }
    if let Some(key) = &options.key {
        query.push(("key_id", text(&find(admin, "/api/v1/keys", "key", key).await?, "/id")));
    }
    query.extend(options.model.clone().map(|model| ("model", model)));
    let status = options.status.and_then(|status| status.to_possible_value());
    query.extend(status.map(|status| ("status_class", status.get_name().to_owned())));
    let requests = admin.list(PATH, &query, Some(options.limit)).await?;
    if options.json {
        return output::json(&Value::Array(requests));
    }
    let headings =
        ["TIME", "ID", "KEY", "MODEL", "PROVIDER", "STATUS", "OUTCOME", "IN", "OUT", "MS", "COST USD"];
    let mut table = Table::new(&headings).numbers_from(7);
    for request in &requests {
        table.row(vec![
            time(request, "/started_at"),
            text(request, "/id"),
            text(request, "/key_name"),
            text(request, "/model"),
            text(request, "/provider_name"),
            text(request, "/status"),
            text(request, "/outcome"),
            text(request, "/usage/input"),
            text(request, "/usage/output"),
            millis(request, "/latency_us"),
            dollars(request, "/cost_nanos_usd"),
        ]);
    }
    table.print("no request matches")
}

fn millis(value: &Value, pointer: &str) -> String {
    let micros = value.pointer(pointer).and_then(Value::as_u64);
    micros.map_or_else(|| "–".into(), |micros| (micros / 1_000).to_string())
}

/// Which budget, for whom, in which window.
async fn budget(admin: &Admin, refused_by: &Value) -> anyhow::Result<String> {
    let name = match text(refused_by, "/budget_name").as_str() {
        "–" => format!("{} (deleted)", text(refused_by, "/budget_id")),
        name => format!("{name} ({})", text(refused_by, "/budget_id")),
    };
    let who = match refused_by.get("member").filter(|member| !member.is_null()) {
        Some(member) => format!(", {}", Names::load(admin).await?.member(member)),
        None => String::new(),
    };
    Ok(format!("budget {name}{who}, window of {}", time(refused_by, "/window_start")))
}

async fn show(admin: &Admin, id: &str, json: bool) -> anyhow::Result<()> {
    let detail = admin.get(&format!("{PATH}/{id}"), &[]).await?;
    if json {
        return output::json(&detail);
    }
    let mut facts = Table::new(&["REQUEST", &text(&detail, "/request/id")]);
    for (name, pointer) in [
        ("team", "/request/team_name"),
        ("project", "/request/project_name"),
        ("key", "/request/key_name"),
        ("operation", "/request/operation"),
        ("model", "/request/model"),
        ("provider", "/request/provider_name"),
        ("status", "/request/status"),
        ("outcome", "/request/outcome"),
        ("fault", "/request/fault"),
        ("error", "/request/error_kind"),
        ("finish reason", "/request/finish_reason"),
        ("stream", "/request/stream"),
        ("input tokens", "/request/usage/input"),
        ("cached tokens", "/request/usage/cache_read"),
        ("output tokens", "/request/usage/output"),
        ("usage from", "/request/usage_source"),
        ("overhead µs", "/request/overhead_us"),
    ] {
        facts.row(vec![name.into(), text(&detail, pointer)]);
    }
    if let Some(refused_by) = detail.get("refused_by").filter(|found| !found.is_null()) {
        facts.row(vec!["refused by".into(), budget(admin, refused_by).await?]);
    }
    facts.row(vec!["time".into(), time(&detail, "/request/started_at")]);
    facts.row(vec!["latency ms".into(), millis(&detail, "/request/latency_us")]);
    facts.row(vec!["first token ms".into(), millis(&detail, "/request/time_to_first_token_us")]);
    facts.row(vec!["cost USD".into(), dollars(&detail, "/request/cost_nanos_usd")]);
    facts.print("")?;
    output::line("")?;
    let mut table =
        Table::new(&["ATTEMPT", "DEPLOYMENT", "UPSTREAM MODEL", "STATUS", "OUTCOME", "SERVED", "COST USD"]);
    let attempts = detail.get("attempts").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    for attempt in attempts {
        table.row(vec![
            text(attempt, "/attempt"),
            text(attempt, "/deployment_id"),
            text(attempt, "/upstream_model"),
            text(attempt, "/status"),
            text(attempt, "/outcome"),
            text(attempt, "/served"),
            dollars(attempt, "/cost_nanos_usd"),
        ]);
    }
    table.print("no attempt was made")?;
    output::line("\nDECISION")?;
    output::json(detail.get("decision").unwrap_or(&Value::Null))
}
