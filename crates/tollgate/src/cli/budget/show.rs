//! Budgets as tables.

use serde_json::Value;

use super::PATH;
use crate::cli::amount::dollars;
use crate::cli::client::{Admin, find, id_of};
use crate::cli::output::{self, Table, text, time};
use crate::cli::scope::Names;

pub(super) async fn list(admin: &Admin, json: bool) -> anyhow::Result<()> {
    let budgets = admin.list(PATH, &[], None).await?;
    if json {
        return output::json(&Value::Array(budgets));
    }
    let names = if budgets.is_empty() { None } else { Some(Names::load(admin).await?) };
    let mut table = Table::new(&["ID", "NAME", "AMOUNT", "WINDOW", "COUNTS", "MODE", "RAISES"]);
    for budget in &budgets {
        let raises = budget.get("increases").and_then(Value::as_array).map_or(0, Vec::len);
        let is_enabled = budget.get("enabled") != Some(&Value::Bool(false));
        table.row(vec![
            text(budget, "/id"),
            text(budget, "/name"),
            dollars(budget, "/amount_usd"),
            window(budget),
            names
                .as_ref()
                .zip(budget.get("scope"))
                .map(|(names, scope)| names.scope(scope))
                .unwrap_or_default(),
            if is_enabled { text(budget, "/mode") } else { "disabled".into() },
            if raises == 0 { "–".into() } else { raises.to_string() },
        ]);
    }
    table.print("there are no budgets yet: `tollgate budget create NAME --amount 50 --per month` makes one")
}

fn window(budget: &Value) -> String {
    let kind = match budget.pointer("/window/kind/rolling_s").and_then(Value::as_u64) {
        Some(seconds) => format!("last {}", crate::cli::duration::Span::of_seconds(seconds)),
        None => text(budget, "/window/kind"),
    };
    match text(budget, "/window/time_zone").as_str() {
        "UTC" => kind,
        zone => format!("{kind} ({zone})"),
    }
}

pub(super) async fn state(admin: &Admin, wanted: &str, json: bool) -> anyhow::Result<()> {
    let budget = find(admin, PATH, "budget", wanted).await?;
    let members = admin.list(&format!("{PATH}/{}/state", id_of(&budget)?), &[], None).await?;
    if json {
        return output::json(&Value::Array(members));
    }
    let names = Names::load(admin).await?;
    let mut table =
        Table::new(&["WHO", "LIMIT", "SPENT", "RESERVED", "LEASED", "LEFT", "RESETS AT", "RUNS OUT AT"])
            .numbers_from(1);
    for state in &members {
        table.row(vec![
            state.get("member").map(|member| names.member(member)).unwrap_or_default(),
            dollars(state, "/limit_usd"),
            dollars(state, "/spent_usd"),
            dollars(state, "/reserved_usd"),
            dollars(state, "/leased_usd"),
            dollars(state, "/left_usd"),
            time(state, "/resets_at"),
            runs_out(state),
        ]);
    }
    table.print("nothing was counted in the present window yet")
}

/// What calls under way hold may come back.
fn runs_out(state: &Value) -> String {
    let is_zero = |pointer| text(state, pointer) == "0";
    let overspent = text(state, "/left_usd").starts_with('-');
    if overspent || (is_zero("/left_usd") && is_zero("/reserved_usd") && is_zero("/leased_usd")) {
        return "exhausted".into();
    }
    time(state, "/runs_out_at")
}
