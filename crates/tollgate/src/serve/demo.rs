//! `--demo`: simulated providers inside the process, and something to look at.

use std::net::SocketAddr;

use anyhow::Context;
use tollgate_access::authorize::{ProvidersRead, ProvidersWrite, TreeRead};
use tollgate_access::{Actor, Scope};
use tollgate_catalog::Price;
use tollgate_control::Installation;
use tollgate_control::demo::{DemoModel, DemoPlan, DemoProvider, seed};
use tollgate_core::{Clock, SecretText, SystemClock};
use tollgate_simulator::{Profile, SimulatedProvider, demo_model_names};
use tollgate_store::{PageRequest, ProviderDraft, SecretChange};

use super::data_directory::{DataDirectory, write_private};

const SEED: u64 = 7;
const HISTORY_DAYS: u32 = 14;
const HISTORY_REQUESTS: u32 = 2_000;
const ADDRESS_FILE_NAME: &str = "demo-address";
/// The model of the request that is printed for pasting.
pub(crate) const FIRST_MODEL: &str = "sim-fast";
const OPENAI: &str = "simulated-openai";
const ANTHROPIC: &str = "simulated-anthropic";

/// Simulated providers that run until it is dropped.
pub(crate) struct Demo {
    _provider: SimulatedProvider,
    /// A ready-made key; on the first start only.
    pub(crate) key: Option<SecretText>,
    /// One whose budget is nearly spent; on the first start only.
    pub(crate) small_key: Option<SecretText>,
}

/// Starts the providers, where they were before if that is possible, and seeds an empty store.
pub(crate) async fn start(directory: &DataDirectory, installation: &Installation) -> anyhow::Result<Demo> {
    let path = directory.join(ADDRESS_FILE_NAME);
    let before: Option<SocketAddr> =
        std::fs::read_to_string(&path).ok().and_then(|text| text.trim().parse().ok());
    let builder = || SimulatedProvider::builder().profile(Profile::Demo { seed: SEED });
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    let bound = match before.map(|address| builder().bind(address)) {
        Some(Ok(bound)) => bound,
        Some(Err(_)) | None => builder().bind(any)?,
    };
    let provider = bound.spawn_on_thread()?;
    let seeded = seed(installation, &plan(provider.address())?).await.context("seeding the demonstration")?;
    if let Some(before) = before
        && before != provider.address()
    {
        relocate(installation, before, provider.address()).await?;
    }
    write_private(&path, format!("{}\n", provider.address()).as_bytes())?;
    let (key, small_key) = seeded.map(|seeded| (seeded.key, seeded.small_key)).unzip();
    Ok(Demo { _provider: provider, key, small_key })
}

fn base_url(address: SocketAddr) -> String {
    format!("http://{address}/v1")
}

fn plan(address: SocketAddr) -> anyhow::Result<DemoPlan> {
    let provider = |name: &str, kind: &str| DemoProvider {
        name: name.into(),
        kind: kind.into(),
        base_url: base_url(address),
        secret: None,
    };
    let models = demo_model_names().map(|name| {
        let by = if name.contains("claude") { ANTHROPIC } else { OPENAI };
        Ok(DemoModel {
            name: name.into(),
            providers: vec![by.into()],
            upstream_model: name.into(),
            price: Some(price(name)?),
        })
    });
    Ok(DemoPlan {
        providers: vec![provider(OPENAI, "openai_compatible"), provider(ANTHROPIC, "anthropic_compatible")],
        models: models.collect::<anyhow::Result<_>>()?,
        now: SystemClock.now(),
        days: HISTORY_DAYS,
        requests: HISTORY_REQUESTS,
        seed: SEED,
    })
}

/// Dollars per million tokens that a model of this sort might cost.
fn price(name: &str) -> anyhow::Result<Price> {
    let row = match name {
        "sim-smart" | "sim-claude" => {
            serde_json::json!([{"input": "3", "cache_read": "0.3", "output": "15"}])
        }
        "sim-reasoner" => serde_json::json!([{"input": "2", "cache_read": "0.5", "output": "8"}]),
        "sim-embed" => serde_json::json!([{"input": "0.02"}]),
        _ => serde_json::json!([{"input": "0.15", "cache_read": "0.075", "output": "0.6"}]),
    };
    serde_json::from_value(row).context("the demonstration's prices")
}

/// Points the providers of an earlier start to where the simulated one listens now.
async fn relocate(installation: &Installation, from: SocketAddr, to: SocketAddr) -> anyhow::Result<()> {
    let (actor, scope) = (Actor::system("demo"), Scope::Installation);
    let (tree, read) = (actor.authorize::<TreeRead>(scope)?, actor.authorize::<ProvidersRead>(scope)?);
    let write = actor.authorize::<ProvidersWrite>(scope)?;
    let store = &installation.store;
    for organization in store.list_organizations(&tree, PageRequest::default()).await?.items {
        for provider in store.list_providers(&read, organization.id, PageRequest::default()).await?.items {
            let object = provider.object;
            if object.base_url != Some(base_url(from)) {
                continue;
            }
            let draft = ProviderDraft {
                name: object.name,
                kind: object.kind,
                base_url: Some(base_url(to)),
                secret: SecretChange::Keep,
                region: object.region,
                internal: object.internal,
                timeouts: object.timeouts,
                enabled: object.enabled,
            };
            store.update_provider(&write, object.id, draft).await?;
        }
    }
    Ok(())
}
