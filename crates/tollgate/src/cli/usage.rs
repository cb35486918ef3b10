//! `tollgate usage`.

use clap::{Args, ValueEnum};
use serde_json::Value;

use super::client::{Target, find};
use super::duration::Span;
use super::output::{self, Table, day, dollars, text, time};

/// By what totals can be told apart.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum By {
    Hour,
    Day,
    Team,
    Project,
    Key,
    Model,
    Provider,
    Deployment,
    Operation,
    Outcome,
}

impl By {
    const fn word(self) -> &'static str {
        match self {
            Self::Hour => "hour",
            Self::Day => "day",
            Self::Team => "team",
            Self::Project => "project",
            Self::Key => "key",
            Self::Model => "model",
            Self::Provider => "provider",
            Self::Deployment => "deployment",
            Self::Operation => "operation",
            Self::Outcome => "outcome",
        }
    }

    /// What identifies a group: its name where there is one.
    fn cell(self, group: &Value) -> String {
        let named = |name: &str, id: &str| match text(group, name).as_str() {
            "–" => text(group, id),
            name => name.to_owned(),
        };
        match self {
            Self::Hour => time(group, "/start"),
            Self::Day => day(group, "/start"),
            Self::Team => named("/team_name", "/team_id"),
            Self::Project => named("/project_name", "/project_id"),
            Self::Key => named("/key_name", "/key_id"),
            Self::Provider => named("/provider_name", "/provider_id"),
            Self::Model | Self::Deployment | Self::Operation | Self::Outcome => text(
                group,
                match self {
                    Self::Model => "/model",
                    Self::Deployment => "/deployment_id",
                    Self::Operation => "/operation",
                    _ => "/outcome",
                },
            ),
        }
    }
}

#[derive(Debug, Args)]
pub(crate) struct Options {
    /// By what to tell totals apart; may be repeated or separated by commas
    #[arg(long, value_enum, value_delimiter = ',', value_name = "DIMENSION", default_value = "day")]
    by: Vec<By>,
    /// One sum instead of one per group
    #[arg(long, conflicts_with = "by")]
    total: bool,
    /// How far back to look, for example 24h or 30d
    #[arg(long, value_name = "TIME", default_value = "30d")]
    since: Span,
    /// Only this team (id or name)
    #[arg(long)]
    team: Option<String>,
    /// Only this key (id or name)
    #[arg(long)]
    key: Option<String>,
    /// Only this model
    #[arg(long)]
    model: Option<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(crate) async fn run(options: Options, target: &Target) -> anyhow::Result<()> {
    let admin = target.connect()?;
    let by = if options.total { Vec::new() } else { options.by };
    let mut query = vec![
        ("from", options.since.ago_micros()?.to_string()),
        ("group_by", by.iter().map(|by| by.word()).collect::<Vec<_>>().join(",")),
    ];
    if let Some(team) = &options.team {
        query.push(("team_id", text(&find(&admin, "/api/v1/teams", "team", team).await?, "/id")));
    }
    if let Some(key) = &options.key {
        query.push(("key_id", text(&find(&admin, "/api/v1/keys", "key", key).await?, "/id")));
    }
    query.extend(options.model.map(|model| ("model", model)));
    let report = admin.get("/api/v1/usage", &query).await?;
    if options.json {
        return output::json(&report);
    }
    print(&report, &by)
}

fn print(report: &Value, by: &[By]) -> anyhow::Result<()> {
    const SUMS: [(&str, &str); 6] = [
        ("REQUESTS", "/totals/requests"),
        ("ERRORS", "/totals/errors"),
        ("INPUT", "/totals/tokens/input"),
        ("CACHED", "/totals/tokens/cache_read"),
        ("OUTPUT", "/totals/tokens/output"),
        ("UNPRICED", "/totals/unknown_cost_requests"),
    ];
    let names: Vec<String> = by.iter().map(|by| by.word().to_uppercase()).collect();
    let headings: Vec<&str> = names
        .iter()
        .map(String::as_str)
        .chain(SUMS.map(|(heading, _)| heading))
        .chain(["COST USD"])
        .collect();
    let mut table = Table::new(&headings).numbers_from(by.len());
    let groups = report.get("groups").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    for group in groups {
        let identity = by.iter().map(|by| by.cell(group));
        let sums = SUMS.iter().map(|(_, pointer)| text(group, pointer));
        table.row(identity.chain(sums).chain([dollars(group, "/totals/cost_nanos_usd")]).collect());
    }
    table.print("nothing was used in this time")?;
    if report.get("truncated").and_then(Value::as_bool) == Some(true) {
        output::note("there are more groups than fit: ask for a shorter time or fewer dimensions");
    }
    Ok(())
}
