use std::sync::Arc;
use std::time::Duration;

use crate::MACHINE;
use crate::books::Books;
use crate::installation::{Installation, quick_provider};
use crate::load::{Load, Received};

const KILLS: usize = 20;
const SEED: u64 = 20_260_713;
const LONGEST_LOAD_MICROS: u64 = 500_000;
/// What Tollgate promises; it needs a fraction of a second.
const READY_WITHIN: Duration = Duration::from_secs(5);

/// SplitMix64.
fn next_random(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let mixed = (*state ^ (*state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    mixed ^ (mixed >> 31)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_clients_received_is_recorded_once_however_often_the_process_is_killed() {
    let _machine = MACHINE.lock().await;
    let provider = quick_provider();
    let mut installation = Installation::start(&provider.url()).await;
    let mut received = Received::default();
    let mut random = SEED;
    for kill in 0..KILLS {
        let load = Load::start(&installation);
        // The moment of a crash is nobody's signal.
        let moment = Duration::from_micros(next_random(&mut random) % LONGEST_LOAD_MICROS);
        tokio::time::sleep(moment).await;
        installation.tollgate.kill().await.unwrap();
        received.add(load.received().await);
        let ready = installation.tollgate.restart().await.unwrap();
        assert!(ready < READY_WITHIN, "ready only {ready:?} after kill {kill}");
    }
    assert!(received.refusals.is_empty(), "{:?}", received.refusals);
    assert!(received.whole.len() > KILLS && received.cut > KILLS, "the kills did not hit the load");

    let installation = Arc::new(installation);
    let books = Books::read(&installation, &received.whole).await;
    let completed = books.with_outcome("completed");
    let lost: Vec<&String> = received.whole.difference(&completed).collect();
    assert!(lost.is_empty(), "answers that were received in full have another outcome: {lost:?}");
    // Each cut call had at most one answer under way.
    let unseen = books.requests.len() - received.whole.len();
    assert!(unseen <= received.cut, "{unseen} records more than received, of {} cut calls", received.cut);
    books.balance(installation).await;
}
