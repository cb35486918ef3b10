//! One attempt from its reservation to its settlement, with a pause at every place where a crash would matter.

use std::collections::BTreeMap;
use std::time::Duration;

use parking_lot::Mutex;

use super::history::World;
use super::*;

pub(super) type Amounts = Vec<(Arc<BalanceKey>, i64)>;

/// What survives a crash of the process.
#[derive(Debug, Clone)]
pub(super) enum Entry {
    Intent { id: u64, holds: Amounts },
    HoldsChanged { id: u64, holds: Amounts },
    Settled { id: u64, charges: Amounts },
}

/// An attempt as the process's memory and its journal have it.
#[derive(Debug, Default)]
pub(super) struct Live {
    pub(super) held: Amounts,
    /// What a crash would charge.
    pub(super) journaled: Amounts,
}

pub(super) struct Process {
    pub(super) epoch: u64,
    pub(super) book: BudgetBook,
    pub(super) lines: Mutex<Arc<[Arc<BudgetLine>]>>,
    pub(super) journal: Mutex<Vec<Entry>>,
    pub(super) live: Mutex<BTreeMap<u64, Live>>,
}

pub(super) fn amounts(charges: &[crate::record::Charge]) -> Amounts {
    charges.iter().map(|charge| (Arc::clone(&charge.balance), charge.amount_nano_usd.get())).collect()
}

async fn pause(random: &mut Random) {
    match random.below(3) {
        0 => tokio::task::yield_now().await,
        _ => tokio::time::sleep(Duration::from_millis(random.below(60))).await,
    }
}

pub(super) async fn run(id: u64, world: Arc<World>, process: Arc<Process>, mut random: Random) {
    let lines = Arc::clone(&*process.lines.lock());
    let mut wanted: Vec<(usize, i64)> = Vec::new();
    for slot in 0..lines.len() {
        if random.one_in(2) {
            wanted.push((slot, random.between(0, 40)));
        }
    }
    let claims: Vec<_> = wanted.iter().map(|(slot, amount)| claim(&lines[*slot], *amount)).collect();
    let now = world.now();
    let hold = match process.book.reserve(now, &claims).await {
        Ok(hold) => hold,
        Err(shortage) => return world.refused(shortage, &wanted, now),
    };
    let held = amounts(&hold.charges());
    world.admitted(&held, now);
    process.live.lock().insert(id, Live { held, journaled: Vec::new() });
    pause(&mut random).await;
    if random.one_in(8) {
        drop(hold);
        return world.ended(&process, id, &[]);
    }
    process.write(Entry::Intent { id, holds: amounts(&hold.charges()) });
    pause(&mut random).await;
    let hold = extend(id, &world, &process, hold, &mut wanted, &mut random).await;
    finish(id, &world, &process, hold, &wanted, &mut random).await;
}

async fn extend(
    id: u64,
    world: &World,
    process: &Process,
    mut hold: Hold,
    wanted: &mut [(usize, i64)],
    random: &mut Random,
) -> Hold {
    for _ in 0..random.below(3) {
        let raised: Vec<i64> = wanted.iter().map(|(_, held)| held + random.between(-5, 20)).collect();
        let raised_usd: Vec<_> = raised.iter().map(|amount| usd(*amount)).collect();
        let now = world.now();
        match hold.extend(now, &raised_usd).await {
            Ok(()) => {
                for ((_, held), raised) in wanted.iter_mut().zip(&raised) {
                    *held = (*held).max(*raised);
                }
                world.extended(process, id, &amounts(&hold.charges()), now);
                pause(random).await;
                process.write(Entry::HoldsChanged { id, holds: amounts(&hold.charges()) });
            }
            Err(shortage) => world.extension_refused(&shortage),
        }
        pause(random).await;
    }
    hold
}

async fn finish(
    id: u64,
    world: &World,
    process: &Process,
    hold: Hold,
    wanted: &[(usize, i64)],
    random: &mut Random,
) {
    let charged: Vec<_> = wanted.iter().map(|(_, held)| usd(world.charge(*held, random))).collect();
    let settled = hold.settle(&charged);
    let charges = amounts(&settled.charges());
    pause(random).await;
    for _ in 0..1 + random.below(5) / 4 {
        process.write(Entry::Settled { id, charges: charges.clone() });
    }
    pause(random).await;
    settled.commit();
    world.ended(process, id, &charges);
}

impl Process {
    pub(super) fn write(&self, entry: Entry) {
        let (id, journaled) = match &entry {
            Entry::Intent { id, holds } | Entry::HoldsChanged { id, holds } => (*id, holds.clone()),
            Entry::Settled { id, charges } => (*id, charges.clone()),
        };
        if let Some(live) = self.live.lock().get_mut(&id) {
            live.journaled = journaled;
        }
        self.journal.lock().push(entry);
    }
}
