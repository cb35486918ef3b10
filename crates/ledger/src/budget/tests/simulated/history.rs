//! A history: attempts, crashes, jumps of the clock, changes of the budgets, all drawn from a seed.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};
use tollgate_core::{Clock, IncreaseId};
use tollgate_state::governance::BudgetIncrease;

use super::attempt::{self, Amounts, Entry, Process};
use super::model::Model;
use super::store::{Link, Store};
use super::*;

const STEPS: usize = 40;
const SECOND_US: i64 = 1_000_000;

#[derive(Debug, Default, Clone)]
pub(super) struct Totals {
    pub(super) admitted: u64,
    pub(super) refused: u64,
    pub(super) unavailable: u64,
    pub(super) extended: u64,
    pub(super) extensions_refused: u64,
    pub(super) settled: u64,
    pub(super) crashes: u64,
    pub(super) write_offs: u64,
}

impl Totals {
    pub(super) fn add(&mut self, other: &Self) {
        self.admitted += other.admitted;
        self.refused += other.refused;
        self.unavailable += other.unavailable;
        self.extended += other.extended;
        self.extensions_refused += other.extensions_refused;
        self.settled += other.settled;
        self.crashes += other.crashes;
        self.write_offs += other.write_offs;
    }
}

/// What the history's parts share.
pub(super) struct World {
    begun: Instant,
    wall_us: Mutex<i64>,
    sole: bool,
    overruns: bool,
    budgets: Mutex<Vec<BudgetObject>>,
    model: Mutex<Model>,
    store: Arc<Mutex<Store>>,
    totals: Mutex<Totals>,
}

impl Clock for World {
    fn now(&self) -> UnixMicros {
        let passed = i64::try_from(self.begun.elapsed().as_micros()).unwrap();
        UnixMicros(*self.wall_us.lock() + passed)
    }
}

impl World {
    pub(super) fn now(&self) -> UnixMicros {
        let now = Clock::now(self);
        self.model.lock().saw(now);
        now
    }

    fn budget(&self, id: BudgetId) -> BudgetObject {
        self.budgets.lock().iter().find(|budget| budget.id == id).unwrap().clone()
    }

    pub(super) fn charge(&self, held: i64, random: &mut Random) -> i64 {
        let overrun = if self.overruns && random.one_in(6) { held / 4 } else { 0 };
        random.between(0, held) + overrun
    }

    pub(super) fn admitted(&self, held: &Amounts, now: UnixMicros) {
        self.totals.lock().admitted += 1;
        let times = [now, Clock::now(self)];
        for (key, amount) in held {
            self.model.lock().admitted(&self.budget(key.budget_id), key, *amount, times, self.sole);
        }
    }

    pub(super) fn refused(&self, shortage: Shortage, wanted: &[(usize, i64)], now: UnixMicros) {
        let Shortage::Exhausted { claim, balance, left, .. } = shortage else {
            self.totals.lock().unavailable += 1;
            if self.sole {
                self.model.lock().fail("a sole book had nobody to ask".to_owned());
            }
            return;
        };
        self.totals.lock().refused += 1;
        let (slot, amount) = wanted[claim];
        let budget = self.budgets.lock()[slot].clone();
        let mut model = self.model.lock();
        if budget.id != balance.budget_id {
            model.fail(format!("claim {claim} is not of {balance:?}"));
        }
        model.refused(&budget, &balance, (amount, left.get()), now, self.sole);
    }

    pub(super) fn extended(&self, process: &Process, id: u64, held: &Amounts, now: UnixMicros) {
        self.totals.lock().extended += 1;
        let times = [now, Clock::now(self)];
        let before = std::mem::replace(&mut process.live.lock().get_mut(&id).unwrap().held, held.clone());
        for ((key, amount), (_, before)) in held.iter().zip(before) {
            let budget = self.budget(key.budget_id);
            if *amount > before {
                self.model.lock().rolled(&budget, key, now);
            }
            self.model.lock().take(&budget, key, amount - before, times, self.sole);
        }
    }

    pub(super) fn extension_refused(&self, shortage: &Shortage) {
        self.totals.lock().extensions_refused += 1;
        if self.sole && matches!(shortage, Shortage::Unavailable { .. }) {
            self.model.lock().fail("a sole book had nobody to ask".to_owned());
        }
    }

    pub(super) fn ended(&self, process: &Process, id: u64, charges: &[(Arc<BalanceKey>, i64)]) {
        self.totals.lock().settled += u64::from(!charges.is_empty());
        let live = process.live.lock().remove(&id).unwrap();
        let charged: BTreeMap<_, _> = charges.iter().cloned().collect();
        for (key, held) in live.held {
            let amount = charged.get(&key).copied().unwrap_or(0);
            self.model.lock().ended(&key, held, amount);
        }
    }
}

/// A process with what dies with it.
struct Running {
    process: Arc<Process>,
    keeper: JoinHandle<()>,
    attempts: Vec<JoinHandle<()>>,
    shipped: Shipping,
}

/// How far a journal was shipped.
#[derive(Debug, Default)]
struct Shipping {
    position: usize,
    open: BTreeMap<u64, Amounts>,
    settled: BTreeSet<u64>,
}

impl Shipping {
    fn ship(&mut self, world: &World, process: &Process, most: usize) {
        let journal = process.journal.lock();
        let mut store = world.store.lock();
        for entry in journal.iter().skip(self.position).take(most) {
            self.position += 1;
            match entry {
                Entry::Intent { id, holds } | Entry::HoldsChanged { id, holds } => {
                    self.open.insert(*id, holds.clone());
                }
                Entry::Settled { id, charges } if self.settled.insert(*id) => {
                    self.open.remove(id);
                    charges.iter().for_each(|(key, amount)| store.ship(process.epoch, key, *amount));
                }
                Entry::Settled { .. } => {}
            }
        }
    }

    /// Everything that is left of a dead epoch; what it left open is charged what was held.
    fn ship_to_the_end(mut self, world: &World, process: &Process) {
        self.ship(world, process, usize::MAX);
        let mut store = world.store.lock();
        for (key, amount) in self.open.into_values().flatten() {
            store.ship(process.epoch, &key, amount);
        }
        store.release(process.epoch);
    }
}

struct History {
    world: Arc<World>,
    random: Random,
    running: Vec<Running>,
    dead: Vec<(Arc<Process>, Shipping)>,
    next_id: u64,
}

pub(super) fn run(seed: u64, processes: usize) -> Result<Totals, String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.unwrap().block_on(async {
        let mut history = History::new(seed, processes);
        for step in 0..STEPS {
            history.step().await;
            history.check().map_err(|failure| format!("step {step}: {failure}"))?;
        }
        history.end().await?;
        let totals = history.world.totals.lock().clone();
        Ok(totals)
    })
}

impl History {
    fn new(seed: u64, processes: usize) -> Self {
        let mut random = Random(seed);
        let kinds = [
            WindowKind::Hour,
            WindowKind::Day,
            WindowKind::Once,
            WindowKind::RollingS(60),
            WindowKind::RollingS(600),
        ];
        let modes = [BudgetMode::Hard, BudgetMode::Stepped, BudgetMode::Hard, BudgetMode::Soft];
        let count = 1 + random.below(3);
        let budgets = (0..count).map(|_| {
            let (kind, mode) = (*random.pick(&kinds), *random.pick(&modes));
            budget(random.between(20, 300), kind, mode)
        });
        let budgets = budgets.collect();
        let world = World {
            begun: Instant::now(),
            wall_us: Mutex::new(1_700_000_000 * SECOND_US),
            sole: processes == 1,
            overruns: random.one_in(3),
            budgets: Mutex::new(budgets),
            model: Mutex::default(),
            store: Arc::default(),
            totals: Mutex::default(),
        };
        let mut this =
            Self { world: Arc::new(world), random, running: Vec::new(), dead: Vec::new(), next_id: 1 };
        (0..processes).for_each(|_| this.start_process());
        this
    }

    fn next_id(&mut self) -> u64 {
        self.next_id += 1;
        self.next_id
    }

    fn start_process(&mut self) {
        let epoch = self.next_id();
        let world = Arc::clone(&self.world);
        let book = if world.sole {
            BudgetBook::sole()
        } else {
            let faults = Some(Mutex::new(Random(self.random.next())));
            let link = Link { store: Arc::clone(&world.store), epoch, faults };
            BudgetBook::leased(Arc::new(link), Arc::clone(&world) as Arc<dyn Clock>)
        };
        let lines = publish(&book, &world.budgets.lock());
        if world.sole {
            book.restore(world.store.lock().spent.iter().map(|(key, spent)| (key.clone(), usd(*spent))));
        }
        let process = Arc::new(Process {
            epoch,
            book,
            lines: Mutex::new(lines),
            journal: Mutex::default(),
            live: Mutex::default(),
        });
        let kept = Arc::clone(&process);
        let keeper = tokio::spawn(async move { kept.book.keep_leases().await });
        self.running.push(Running { process, keeper, attempts: Vec::new(), shipped: Shipping::default() });
    }

    async fn step(&mut self) {
        match self.random.below(24) {
            0..12 => (0..1 + self.random.below(6)).for_each(|_| self.start_attempt()),
            12..14 => self.ship(),
            14 => self.crash(),
            15 => self.change_budget(),
            16 => self.increase(),
            17 => *self.world.wall_us.lock() += self.random.between(0, 5_000) * SECOND_US,
            18 => *self.world.wall_us.lock() -= self.random.between(0, 4_000) * SECOND_US,
            19 => *self.world.wall_us.lock() += self.random.between(0, 30) * SECOND_US,
            20 => {
                let mut store = self.world.store.lock();
                store.unreachable = !store.unreachable;
            }
            21 => self.forget(),
            22 => self.settle_the_dead(),
            _ => sleep(Duration::from_secs(self.random.below(9))).await,
        }
        sleep(Duration::from_millis(self.random.below(50))).await;
    }

    fn any(&mut self) -> usize {
        usize::try_from(self.random.below(self.running.len() as u64)).unwrap()
    }

    fn start_attempt(&mut self) {
        let (id, random, index) = (self.next_id(), Random(self.random.next()), self.any());
        let running = &mut self.running[index];
        let attempt = attempt::run(id, Arc::clone(&self.world), Arc::clone(&running.process), random);
        running.attempts.push(tokio::spawn(attempt));
    }

    fn ship(&mut self) {
        let (index, most) = (self.any(), usize::try_from(self.random.below(20)).unwrap());
        let running = &mut self.running[index];
        running.shipped.ship(&self.world, &running.process, most);
    }

    fn crash(&mut self) {
        self.world.totals.lock().crashes += 1;
        let index = self.any();
        let Running { process, keeper, attempts, shipped } = self.running.swap_remove(index);
        keeper.abort();
        attempts.iter().for_each(JoinHandle::abort);
        let live = std::mem::take(&mut *process.live.lock());
        for live in live.into_values() {
            let charged: BTreeMap<_, _> = live.journaled.into_iter().collect();
            for (key, held) in live.held {
                self.world.model.lock().ended(&key, held, charged.get(&key).copied().unwrap_or(0));
            }
        }
        self.dead.push((process, shipped));
        if self.world.sole {
            self.settle_the_dead();
            self.world.model.lock().forget_unspent_windows();
        }
        self.start_process();
    }

    /// Their journals are shipped, or they are written off.
    fn settle_the_dead(&mut self) {
        for (process, shipped) in std::mem::take(&mut self.dead) {
            if self.world.sole || self.random.below(4) > 0 {
                shipped.ship_to_the_end(&self.world, &process);
                continue;
            }
            self.world.totals.lock().write_offs += 1;
            // What a journal that nobody will read had to say.
            let before = self.world.store.lock().spent.clone();
            let lost = self.world.store.lock().write_off(process.epoch);
            let after = std::mem::replace(&mut self.world.store.lock().spent, before);
            shipped.ship_to_the_end(&self.world, &process);
            let said = std::mem::replace(&mut self.world.store.lock().spent, after.clone());
            let mut model = self.world.model.lock();
            for key in said.keys().chain(after.keys()).collect::<BTreeSet<_>>() {
                let said = said.get(key).copied().unwrap_or(0);
                let posted = after.get(key).copied().unwrap_or(0);
                let refuses = self.world.budget(key.budget_id).mode.refuses();
                if refuses && !self.world.overruns && posted < said {
                    model.fail(format!("{lost:?} were written off, and {said} was spent on {key:?}"));
                }
                model.correct(key, posted - said);
            }
        }
    }

    fn change_budget(&mut self) {
        let amount = usd(self.random.between(0, 300));
        let index = self.random.below(self.world.budgets.lock().len() as u64);
        self.world.budgets.lock()[usize::try_from(index).unwrap()].amount_nano_usd = amount;
        self.publish();
    }

    fn increase(&mut self) {
        let created_at = self.world.now();
        let expires_at = UnixMicros(created_at.0 + self.random.between(1, 4_000) * SECOND_US);
        let increase = BudgetIncrease {
            id: IncreaseId::generate(),
            amount_nano_usd: usd(self.random.between(1, 100)),
            created_at,
            expires_at,
            author: String::new(),
            reason: String::new(),
        };
        self.world.budgets.lock()[0].increases.push(increase);
        self.publish();
    }

    fn publish(&self) {
        for running in &self.running {
            publish(&running.process.book, &self.world.budgets.lock());
        }
    }

    fn forget(&self) {
        let now = self.world.now();
        for running in &self.running {
            running.process.book.forget_idle(now);
        }
    }

    /// A sole book must say of each balance what is true.
    fn check(&self) -> Result<(), String> {
        let now = self.world.now();
        let mut model = self.world.model.lock();
        for running in &self.running {
            let book = &running.process.book;
            if book.counts().violations > 0 {
                model.fail("the book found a violation".to_owned());
            }
            for budget in self.world.budgets.lock().iter().filter(|_| self.world.sole) {
                for report in book.balances(budget.id, now) {
                    model.opened(&report.balance);
                    let truth = model.truth(&report.balance);
                    let said = (report.spent_nano_usd.get(), report.reserved_nano_usd.get());
                    let stands_alone = !matches!(budget.window.kind, WindowKind::RollingS(_));
                    if stands_alone && said != (truth.spent, truth.reserved) {
                        model.fail(format!("{said:?} is said of {truth:?} on {:?}", report.balance));
                    }
                }
            }
        }
        model.failures.first().cloned().map_or(Ok(()), Err)
    }

    /// After quiet and shipping, the store has exactly what was charged, and nothing is reserved.
    async fn end(&mut self) -> Result<(), String> {
        self.world.store.lock().unreachable = false;
        for running in &mut self.running {
            for attempt in running.attempts.drain(..) {
                attempt.await.map_err(|error| error.to_string())?;
            }
        }
        self.check()?;
        for Running { process, keeper, shipped, .. } in self.running.drain(..) {
            keeper.abort();
            shipped.ship_to_the_end(&self.world, &process);
        }
        self.settle_the_dead();
        let model = self.world.model.lock();
        let store = self.world.store.lock();
        for (key, truth) in model.keys() {
            let spent = store.spent.get(key).copied().unwrap_or(0);
            if (spent, 0) != (truth.spent, truth.reserved) {
                return Err(format!("the books say {spent} of {truth:?} on {key:?}"));
            }
        }
        model.failures.first().cloned().map_or(Ok(()), Err)
    }
}
