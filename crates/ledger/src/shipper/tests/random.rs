//! Random histories of requests, shipments, failures of the store and killed processes.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::store::Contents;
use super::*;

#[derive(Debug, Clone)]
enum Step {
    Begin {
        core: usize,
    },
    Retry {
        which: usize,
    },
    Settle {
        which: usize,
    },
    /// A settlement without an intent.
    Refuse {
        core: usize,
    },
    Ship,
    Trouble(Trouble),
    /// The store forgets what it stored since the last time.
    Rewind,
    Remember,
    NewShipper,
    Kill {
        cores: u16,
    },
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => (0..3usize).prop_map(|core| Step::Begin { core }),
        2 => any::<usize>().prop_map(|which| Step::Retry { which }),
        6 => any::<usize>().prop_map(|which| Step::Settle { which }),
        2 => (0..3usize).prop_map(|core| Step::Refuse { core }),
        6 => Just(Step::Ship),
        2 => prop_oneof![Just(Trouble::Unavailable), Just(Trouble::AnswerLost)].prop_map(Step::Trouble),
        1 => Just(Step::Rewind),
        1 => Just(Step::Remember),
        1 => Just(Step::NewShipper),
        2 => (1..4u16).prop_map(|cores| Step::Kill { cores }),
    ]
}

/// What is known of a request without looking at the store.
#[derive(Debug)]
struct Request {
    core: usize,
    epoch: u64,
    attempts: u16,
    settled: bool,
}

struct World {
    disk: SimulatedDisk,
    store: MemoryStore,
    process: Process,
    requests: BTreeMap<u8, Request>,
    remembered: Contents,
}

impl World {
    fn new() -> Self {
        let (disk, store) = (SimulatedDisk::default(), MemoryStore::default());
        // Segments are new: what a failover loses is in the journal still.
        disk.set_now(SystemClock.now());
        let process = Process::start(&disk, &store, 2);
        Self { disk, store, process, requests: BTreeMap::new(), remembered: Contents::default() }
    }

    fn begin(&mut self, core: usize, settled: bool) {
        let (core, epoch) = (core % self.process.writers.len(), self.process.journal.epoch());
        let Ok(request) = u8::try_from(self.requests.len()) else { return };
        if settled {
            self.process.settle(core, request, 0);
        } else {
            self.process.intent(core, request, 0);
        }
        let attempts = u16::from(!settled);
        self.requests.insert(request, Request { core, epoch, attempts, settled });
    }

    fn open(&mut self, which: usize) -> Option<(u8, &mut Request)> {
        let epoch = self.process.journal.epoch();
        let mut open: Vec<_> = self
            .requests
            .iter_mut()
            .filter(|(_, request)| request.epoch == epoch && !request.settled)
            .collect();
        let index = which.checked_rem(open.len())?;
        let (request, known) = open.swap_remove(index);
        Some((*request, known))
    }

    fn kill(&mut self, cores: u16) {
        self.disk = self.disk.after_kill();
        self.process = Process::start(&self.disk, &self.store, cores);
    }

    async fn step(&mut self, step: Step) {
        match step {
            Step::Begin { core } => self.begin(core, false),
            Step::Refuse { core } => self.begin(core, true),
            Step::Retry { which } => {
                let Some((request, known)) = self.open(which) else { return };
                let (core, attempt) = (known.core, known.attempts);
                known.attempts += 1;
                self.process.intent(core, request, attempt);
            }
            Step::Settle { which } => {
                let Some((request, known)) = self.open(which) else { return };
                let (core, attempts) = (known.core, known.attempts);
                known.settled = true;
                self.process.settle(core, request, attempts);
            }
            Step::Ship => {
                self.process.shipper.pass().await;
            }
            Step::Trouble(trouble) => self.store.trouble(trouble),
            Step::Rewind => self.store.rewind(self.remembered.clone()),
            Step::Remember => self.remembered = self.store.contents(),
            Step::NewShipper => self.process.shipper = shipper(&self.process.journal, &self.store),
            Step::Kill { cores } => self.kill(cores),
        }
    }

    /// Nothing in the store is invented, early or changed.
    fn check(&self) {
        let running = self.process.journal.epoch();
        let contents = self.store.contents();
        for (request, known) in &self.requests {
            let Some(stored) = contents.requests.get(&request_id(*request)) else { continue };
            if known.settled {
                assert_eq!(*stored, settlement(*request, known.attempts));
            } else {
                assert_eq!(stored.request.outcome, Outcome::Interrupted, "{request}");
                assert!(known.epoch < running, "{request} still runs");
                let attempts: Vec<_> = stored.attempts.iter().map(|attempt| attempt.attempt).collect();
                assert_eq!(attempts, (0..known.attempts).collect::<Vec<_>>());
            }
        }
        assert!(contents.requests.len() <= self.requests.len());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn every_request_is_shipped_once_as_what_became_of_it(
        steps in prop::collection::vec(step(), 1..120),
    ) {
        run(async {
            let mut world = World::new();
            for step in steps {
                world.step(step).await;
                world.check();
            }
            world.store.heal();
            // Long enough for the shipper to look whether the store lost something.
            tokio::time::advance(Duration::from_secs(61)).await;
            prop_assert!(world.process.shipper.drain(Duration::from_secs(600)).await);
            let stored = world.store.contents().requests;
            for (request, known) in &world.requests {
                let runs = !known.settled && known.epoch == world.process.journal.epoch();
                prop_assert_eq!(stored.contains_key(&request_id(*request)), !runs, "{} {:?}", request, known);
            }
            prop_assert_eq!(world.process.shipper.status().report().lag_bytes, 0);
            world.kill(1);
            prop_assert!(world.process.shipper.drain(Duration::from_secs(600)).await);
            world.check();
            prop_assert_eq!(world.store.contents().requests.len(), world.requests.len());
            prop_assert_eq!(world.process.shipper.status().report().failure, None);
            Ok(())
        })?;
    }
}
