//! How long reads take on many rows: a month of requests of 1,000 keys, and rare ones among them.
//!
//! `cargo run --release -p tollgate-store --example read_cost [requests] [STORE]`; without a store, on a temporary SQLite
//! file. A store that this example filled before is only read.

#![allow(clippy::print_stdout, clippy::unwrap_used)]

#[path = "load/records.rs"]
mod records;

use std::time::Instant;

use records::{Tree, settlement};
use serde::{Deserialize, Serialize};
use tollgate_access::authorize::UsageRead;
use tollgate_access::{Actor, Proof, Scope};
use tollgate_core::{InstanceId, KeyId, ModelId, NanoUsd, OrganizationId, TeamId, UnixMicros};
use tollgate_ledger::journal::Position;
use tollgate_ledger::record::Outcome;
use tollgate_store::{
    Cursor, Dimension, PageRequest, RequestFilter, Shipment, StatusClass, Store, UsageFilter, UsageQuery,
};

const MONTH_US: i64 = 30 * 24 * 3_600_000_000;
const START_US: i64 = 1_790_000_000_000_000;
/// Of each rare kind there are this many requests.
const RARE: usize = 10;
/// Each read is done this often; the slowest and the fastest are told.
const ROUNDS: usize = 3;

/// What a filled store remembers of how it was filled.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Filled {
    requests: usize,
    organization_id: OrganizationId,
    team_id: TeamId,
    key_id: KeyId,
    rare_team_id: TeamId,
}

#[tokio::main]
async fn main() {
    let directory = std::env::temp_dir().join(format!("tollgate-read-cost-{}", std::process::id()));
    std::fs::create_dir_all(&directory).unwrap();
    let requests: usize = std::env::args().nth(1).map_or(1_000_000, |text| text.parse().unwrap());
    let location =
        std::env::args().nth(2).unwrap_or_else(|| directory.join("store.db").display().to_string());
    let store = Store::open(&location).await.unwrap();
    let filled = match store.system_setting("read_cost").await.unwrap() {
        Some(filled) => filled,
        None => fill(&store, requests).await,
    };
    println!("{} requests in a month, {}; milliseconds of {ROUNDS} rounds", filled.requests, store.kind());
    let reader = Actor::system("example").authorize(Scope::Installation).unwrap();
    read_lists(&store, &reader, &filled).await;
    read_pages(&store, &reader, &filled).await;
    read_sums(&store, &reader, &filled).await;
    store.close().await;
    std::fs::remove_dir_all(&directory).unwrap();
}

async fn fill(store: &Store, requests: usize) -> Filled {
    let writer = Actor::system("example").authorize(Scope::Installation).unwrap();
    let organization_id = store.create_organization(&writer, "reads").await.unwrap().id;
    let tree = Tree::new(organization_id, 1_000, 10);
    let (team_id, key_id, _) = tree.keys[500];
    let filled = Filled { requests, organization_id, team_id, key_id, rare_team_id: TeamId::generate() };
    let start = Instant::now();
    ship(store, &tree, filled.rare_team_id, requests).await;
    println!("shipped in {:.0} s", start.elapsed().as_secs_f64());
    store.system_set_setting("read_cost", &filled).await.unwrap();
    filled
}

/// Runs a read several times and tells what it took.
async fn measure(name: &str, mut read: impl AsyncFnMut() -> usize) {
    let (mut fastest, mut slowest, mut rows) = (f64::INFINITY, 0_f64, 0);
    for _ in 0..ROUNDS {
        let start = Instant::now();
        rows = read().await;
        let took = start.elapsed().as_secs_f64() * 1e3;
        (fastest, slowest) = (fastest.min(took), slowest.max(took));
    }
    println!("{name:>32}: {fastest:>8.1} to {slowest:>8.1} ({rows} rows)");
}

fn lists(filled: &Filled) -> Vec<(&'static str, RequestFilter)> {
    let all = RequestFilter::default;
    let key = Some(filled.key_id);
    let rare = Some("rare".to_owned());
    vec![
        ("newest", all()),
        ("a key", RequestFilter { key_id: key, ..all() }),
        ("a key, costly (none)", RequestFilter { key_id: key, min_cost: Some(NanoUsd::MAX), ..all() }),
        ("a key, rare model (none)", RequestFilter { key_id: key, model: rare.clone(), ..all() }),
        ("a team", RequestFilter { team_id: Some(filled.team_id), ..all() }),
        ("a rare team", RequestFilter { team_id: Some(filled.rare_team_id), ..all() }),
        ("a rare model", RequestFilter { model: rare, ..all() }),
        ("failed (rare)", RequestFilter { outcome: Some(Outcome::Failed), ..all() }),
        ("5xx (rare)", RequestFilter { status_class: Some(StatusClass::ServerError), ..all() }),
        ("4xx (none)", RequestFilter { status_class: Some(StatusClass::ClientError), ..all() }),
        ("costly (none)", RequestFilter { min_cost: Some(NanoUsd::MAX), ..all() }),
        ("streamed (none)", RequestFilter { stream: Some(true), ..all() }),
    ]
}

async fn read_lists(store: &Store, reader: &Proof<UsageRead>, filled: &Filled) {
    for (name, filter) in lists(filled) {
        measure(name, async || {
            let page = PageRequest::default();
            store.list_requests(reader, filled.organization_id, &filter, page).await.unwrap().items.len()
        })
        .await;
    }
}

/// Pages from the middle and from the far end of the month, and single requests there.
async fn read_pages(store: &Store, reader: &Proof<UsageRead>, filled: &Filled) {
    let team = Some(filled.team_id);
    for (place, share) in [("middle", 2), ("end", 1000)] {
        let to = Some(UnixMicros(START_US + MONTH_US / share));
        let all = RequestFilter { to, ..RequestFilter::default() };
        let first =
            store.list_requests(reader, filled.organization_id, &all, PageRequest::default()).await.unwrap();
        let after: Option<Cursor> = first.next;
        for (what, filter) in [
            ("all", RequestFilter::default()),
            ("a key", RequestFilter { key_id: Some(filled.key_id), ..RequestFilter::default() }),
            ("a team", RequestFilter { team_id: team, ..RequestFilter::default() }),
        ] {
            measure(&format!("{what}, page at the {place}"), async || {
                let page = PageRequest { after, limit: 100 };
                store.list_requests(reader, filled.organization_id, &filter, page).await.unwrap().items.len()
            })
            .await;
        }
        let mut ids = first.items.iter().map(|item| item.record.request_id);
        measure(&format!("one request at the {place}"), async || {
            store.get_request(reader, ids.next().unwrap()).await.unwrap().attempts.len()
        })
        .await;
    }
}

async fn read_sums(store: &Store, reader: &Proof<UsageRead>, filled: &Filled) {
    use Dimension::{Day, Hour, Key, Model, Team};
    let key = UsageFilter { key_id: Some(filled.key_id), ..UsageFilter::default() };
    let all = UsageFilter::default;
    for (group_by, filter) in [
        (vec![], all()),
        (vec![Day], all()),
        (vec![Team], all()),
        (vec![Key], all()),
        (vec![Model], all()),
        (vec![Day, Model], all()),
        (vec![Day, Team], all()),
        (vec![Hour], all()),
        (vec![Day], key),
    ] {
        let filtered = if filter.key_id.is_some() { " of a key" } else { "" };
        let (from, to) = (UnixMicros(START_US), UnixMicros(START_US + MONTH_US));
        let query = UsageQuery { from, to, group_by, filter };
        measure(&format!("usage {:?}{filtered}", query.group_by), async || {
            store.usage(reader, filled.organization_id, &query).await.unwrap().groups.len()
        })
        .await;
    }
}

async fn ship(store: &Store, tree: &Tree, rare_team: TeamId, requests: usize) {
    let instance_id = InstanceId::generate();
    let step = MONTH_US / i64::try_from(requests).unwrap();
    let rare_model = ModelId::generate();
    let mut from = Position::START;
    for first in (0..requests).step_by(2_000) {
        let numbers = first..(first + 2_000).min(requests);
        let settlements: Vec<_> = numbers
            .map(|number| {
                let time = UnixMicros(START_US + i64::try_from(number).unwrap() * step);
                let mut settlement = settlement(tree, instance_id, number.wrapping_mul(7_919), time);
                let place = number % (requests / RARE).max(4);
                if place == 0 {
                    settlement.request.principal.payer.team_id = Some(rare_team);
                } else if place == 1 {
                    settlement.request.model = "rare".into();
                    settlement.request.model_id = Some(rare_model);
                } else if place == 2 {
                    settlement.request.outcome = Outcome::Failed;
                    settlement.request.status = 502;
                }
                settlement
            })
            .collect();
        let to = Position { epoch: 1, offset: from.offset + settlements.len() as u64 };
        let settlements = settlements.as_slice();
        let shipment = Shipment {
            instance_id,
            core: 0,
            epoch: 1,
            from,
            to,
            floor: from,
            settlements,
            provider_objects: &[],
        };
        store.system_ship(&shipment).await.unwrap();
        from = to;
    }
}
