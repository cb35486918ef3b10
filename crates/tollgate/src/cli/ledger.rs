//! `tollgate ledger`: do the balances agree with the usage records?

use anyhow::bail;
use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::amount::dollars;
use super::client::{Admin, Target};
use super::output::{self, Table, text, time};

/// Check the balances of budgets, and give up what a lost process held
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Recompute all balances from usage records and print every difference; exit code 1 if there is one
    Verify {
        /// Also windows that are over and those of deleted budgets
        #[arg(long)]
        all: bool,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Release the money that a process held whose journal is lost for good; the entry stays in the books
    WriteOff(WriteOff),
}

#[derive(Debug, Args)]
pub(crate) struct WriteOff {
    /// The lost process, as `tollgate ledger verify` names it
    instance: String,
    /// Why its journal cannot be shipped any more
    #[arg(long)]
    reason: String,
    /// Count what it held as spent, because some of it may have been; otherwise it is free again
    #[arg(long)]
    as_spent: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(crate) async fn run(command: Command, target: &Target) -> anyhow::Result<()> {
    let admin = target.connect()?;
    match command {
        Command::Verify { all, json } => verify(&admin, all, json).await,
        Command::WriteOff(options) => write_off(&admin, options).await,
    }
}

fn rows<'a>(report: &'a Value, name: &str) -> &'a [Value] {
    report.get(name).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

async fn verify(admin: &Admin, all: bool, json: bool) -> anyhow::Result<()> {
    let report = admin.post("/api/v1/ledger/verify", &json!({"all_windows": all})).await?;
    let differences = rows(&report, "differences");
    if json {
        output::json(&report)?;
    } else {
        show(&report, differences)?;
    }
    match differences.len() {
        0 => Ok(()),
        1 => bail!("one balance differs from the usage records"),
        count => bail!("{count} balances differ from the usage records"),
    }
}

fn show(report: &Value, differences: &[Value]) -> anyhow::Result<()> {
    let lost = rows(report, "lost_leases");
    let balances = text(report, "/balances");
    if differences.is_empty() {
        let agree = if balances == "1" { "balance agrees" } else { "balances agree" };
        output::line(format!("{balances} {agree} with the usage records"))?;
    }
    if !differences.is_empty() {
        let mut table =
            Table::new(&["BUDGET", "WHO", "WINDOW", "WHAT", "BALANCE", "RECORDS"]).numbers_from(4);
        for row in differences {
            table.row(vec![
                text(row, "/budget_id"),
                text(row, "/member"),
                time(row, "/window_start"),
                text(row, "/what"),
                dollars(row, "/balance_usd"),
                dollars(row, "/records_usd"),
            ]);
        }
        table.print("")?;
    }
    if !lost.is_empty() {
        output::line("lost leases, counted until their journal is shipped or written off:")?;
        let mut table = Table::new(&["INSTANCE", "EPOCH", "BUDGET", "WHO", "HELD", "EXPIRED AT"]);
        for row in lost {
            table.row(vec![
                text(row, "/instance_id"),
                text(row, "/epoch"),
                text(row, "/budget_id"),
                text(row, "/member"),
                dollars(row, "/held_usd"),
                time(row, "/expired_at"),
            ]);
        }
        table.print("")?;
    }
    Ok(())
}

async fn write_off(admin: &Admin, options: WriteOff) -> anyhow::Result<()> {
    let body = json!({
        "instance_id": options.instance,
        "money": if options.as_spent { "spent" } else { "returns" },
        "reason": options.reason,
    });
    let report = admin.post("/api/v1/ledger/write-off", &body).await?;
    if options.json {
        return output::json(&report);
    }
    output::line(format!(
        "wrote off {} of {} leases",
        dollars(&report, "/released_usd"),
        text(&report, "/leases")
    ))
}
