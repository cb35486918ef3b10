//! `tollgate webhook` and `tollgate alerts`.

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::client::{Admin, Target, find, id_of};
use super::output::{self, Table, text, time};

const PATH: &str = "/api/v1/webhooks";

/// Make, list, test and delete the addresses that alerts are sent to
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Make a webhook; the secret that its receiver checks signatures with is printed once
    Create {
        /// What the webhook is called
        name: String,
        /// Where alerts are posted to, for example `https://hooks.example/tollgate`
        #[arg(value_name = "URL")]
        address: String,
        /// Events to send, for example budget_exhausted; all unless given
        #[arg(long = "event", value_name = "EVENT", value_delimiter = ',')]
        events: Vec<String>,
        /// The receiver is in a private network
        #[arg(long)]
        internal: bool,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// List webhooks; never their secrets
    List {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Send a test event now and say what the receiver answered
    Test {
        /// Its id or name
        webhook: String,
    },
    /// Delete a webhook
    Delete {
        /// Its id or name
        webhook: String,
    },
}

pub(crate) async fn run(command: Command, target: &Target) -> anyhow::Result<()> {
    let admin = target.connect()?;
    match command {
        Command::Create { name, address, events, internal, json } => {
            let mut body = json!({"name": name, "url": address, "internal": internal});
            if !events.is_empty() {
                body["events"] = json!(events);
            }
            create(&admin, &body, json).await
        }
        Command::List { json } => list(&admin, json).await,
        Command::Test { webhook } => {
            let found = find(&admin, PATH, "webhook", &webhook).await?;
            let tested = admin.post(&format!("{PATH}/{}/test", id_of(&found)?), &json!({})).await?;
            if tested.get("ok") == Some(&Value::Bool(true)) {
                return output::line(format!("{} took the test event", text(&found, "/name")));
            }
            anyhow::bail!(
                "{} did not take the test event: {}",
                text(&found, "/name"),
                text(&tested, "/problem")
            )
        }
        Command::Delete { webhook } => {
            let found = find(&admin, PATH, "webhook", &webhook).await?;
            admin.delete(&format!("{PATH}/{}", id_of(&found)?)).await?;
            output::line(format!("deleted {} ({})", text(&found, "/name"), id_of(&found)?))
        }
    }
}

/// The secret alone on standard output, so that scripts can take it.
async fn create(admin: &Admin, body: &Value, json: bool) -> anyhow::Result<()> {
    let made = admin.post(PATH, body).await?;
    if json {
        return output::json(&made);
    }
    output::note(format!(
        "webhook {} ({}); the secret is shown only now:",
        text(&made, "/webhook/name"),
        text(&made, "/webhook/id")
    ));
    output::line(text(&made, "/secret"))
}

async fn list(admin: &Admin, json: bool) -> anyhow::Result<()> {
    let webhooks = admin.list(PATH, &[], None).await?;
    if json {
        return output::json(&Value::Array(webhooks));
    }
    let mut table = Table::new(&["ID", "NAME", "URL", "EVENTS", "STATE"]);
    for webhook in &webhooks {
        let events = webhook.get("events").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        let events: Vec<&str> = events.iter().filter_map(Value::as_str).collect();
        let is_enabled = webhook.get("enabled") != Some(&Value::Bool(false));
        table.row(vec![
            text(webhook, "/id"),
            text(webhook, "/name"),
            text(webhook, "/url"),
            if events.is_empty() { "all".into() } else { events.join(",") },
            if is_enabled { "enabled".into() } else { "disabled".into() },
        ]);
    }
    table.print("there are no webhooks yet: `tollgate webhook create NAME URL` makes one")
}

/// List alerts, newest first
#[derive(Debug, Args)]
pub(crate) struct Alerts {
    /// At most this many
    #[arg(long, default_value_t = 50)]
    limit: usize,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(crate) async fn alerts(options: Alerts, target: &Target) -> anyhow::Result<()> {
    let admin = target.connect()?;
    let alerts = admin.list("/api/v1/alerts", &[], Some(options.limit)).await?;
    if options.json {
        return output::json(&Value::Array(alerts));
    }
    let mut table = Table::new(&["AT", "EVENT", "WHAT"]);
    for alert in &alerts {
        table.row(vec![time(alert, "/at"), text(alert, "/event"), text(alert, "/message")]);
    }
    table.print("there are no alerts")
}
