//! How long reads take on many rows: a month of requests of 1,000 keys, and rare ones among them.
//!
//! `cargo run --release -p tollgate-store --example read_cost [requests] [postgres://…]`

#![allow(clippy::print_stdout, clippy::unwrap_used)]

#[path = "load/records.rs"]
mod records;

use std::time::Instant;

use records::{Tree, settlement};
use tollgate_access::{Actor, Scope};
use tollgate_core::{InstanceId, ModelId, NanoUsd, TeamId, UnixMicros};
use tollgate_ledger::journal::Position;
use tollgate_ledger::record::Outcome;
use tollgate_store::{
    Dimension, PageRequest, RequestFilter, Shipment, StatusClass, Store, UsageFilter, UsageQuery,
};

const MONTH_US: i64 = 30 * 24 * 3_600_000_000;
const START_US: i64 = 1_790_000_000_000_000;
/// One request in this many is of a rare kind.
const RARE: usize = 100_000;

#[tokio::main]
async fn main() {
    let directory = std::env::temp_dir().join(format!("tollgate-read-cost-{}", std::process::id()));
    std::fs::create_dir_all(&directory).unwrap();
    let requests: usize = std::env::args().nth(1).map_or(1_000_000, |text| text.parse().unwrap());
    let location =
        std::env::args().nth(2).unwrap_or_else(|| directory.join("store.db").display().to_string());
    let store = Store::open(&location).await.unwrap();
    let writer = Actor::system("example").authorize(Scope::Installation).unwrap();
    let name = format!("reads {}", std::process::id());
    let organization_id = store.create_organization(&writer, &name).await.unwrap().id;
    let tree = Tree::new(organization_id, 1_000, 10);
    let rare_team = TeamId::generate();
    ship(&store, &tree, rare_team, requests).await;

    println!("{requests} requests in a month, {}; milliseconds", store.kind());
    let all = RequestFilter::default;
    let key = Some(tree.keys[500].1);
    let lists = [
        ("newest", all()),
        ("a key", RequestFilter { key_id: key, ..all() }),
        ("a key, costly", RequestFilter { key_id: key, min_cost: Some(NanoUsd::MAX), ..all() }),
        ("a team", RequestFilter { team_id: Some(tree.keys[500].0), ..all() }),
        ("a rare team", RequestFilter { team_id: Some(rare_team), ..all() }),
        ("a rare model", RequestFilter { model: Some("rare".into()), ..all() }),
        ("failed", RequestFilter { outcome: Some(Outcome::Failed), ..all() }),
        ("5xx", RequestFilter { status_class: Some(StatusClass::ServerError), ..all() }),
        ("4xx (none)", RequestFilter { status_class: Some(StatusClass::ClientError), ..all() }),
        ("costly (none)", RequestFilter { min_cost: Some(NanoUsd::MAX), ..all() }),
    ];
    let reader = Actor::system("example").authorize(Scope::Installation).unwrap();
    for (name, filter) in lists {
        let start = Instant::now();
        let page =
            store.list_requests(&reader, organization_id, &filter, PageRequest::default()).await.unwrap();
        println!("{name:>24}: {:>8.1} ({} rows)", start.elapsed().as_secs_f64() * 1e3, page.items.len());
    }
    for group_by in
        [vec![], vec![Dimension::Day], vec![Dimension::Team], vec![Dimension::Day, Dimension::Model]]
    {
        let (from, to) = (UnixMicros(START_US), UnixMicros(START_US + MONTH_US));
        let query = UsageQuery { from, to, group_by, filter: UsageFilter::default() };
        let start = Instant::now();
        let report = store.usage(&reader, organization_id, &query).await.unwrap();
        let name = format!("usage {:?}", query.group_by);
        println!("{name:>24}: {:>8.1} ({} groups)", start.elapsed().as_secs_f64() * 1e3, report.groups.len());
    }
    store.close().await;
    std::fs::remove_dir_all(&directory).unwrap();
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
                if number % RARE == 0 {
                    settlement.request.principal.payer.team_id = Some(rare_team);
                } else if number % RARE == 1 {
                    settlement.request.model = "rare".into();
                    settlement.request.model_id = Some(rare_model);
                } else if number % RARE == 2 {
                    settlement.request.outcome = Outcome::Failed;
                    settlement.request.status = 502;
                }
                settlement
            })
            .collect();
        let to = Position { epoch: 1, offset: from.offset + settlements.len() as u64 };
        let settlements = settlements.as_slice();
        let shipment =
            Shipment { instance_id, core: 0, from, to, floor: from, settlements, provider_objects: &[] };
        store.system_ship(&shipment).await.unwrap();
        from = to;
    }
}
