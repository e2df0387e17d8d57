//! hyper in simulated networks: servers, clients and timers, on calm, lossy and hostile networks, through partitions and crashes.
//! The same seed always does the same.
//!
//! A hundred seeds: `TORSADE_SEEDS=100 cargo test -p torsade-hyper --all-features --test simulated`

mod conversations;
mod example;
mod failures;
#[cfg(feature = "tls")]
#[allow(dead_code, reason = "shared with the suite on TLS")]
#[path = "../../../../tests/tls/keys.rs"]
mod keys;
mod raw;
mod service;
mod timers;

use std::cell::Cell;
use std::sync::Once;
use std::time::Duration;

use torsade::simulated::{Faults, Simulation, simulate_with};

const SERVER: &str = "10.0.0.1";
const CLIENT: &str = "10.0.0.2";
const SECOND: Duration = Duration::from_secs(1);

thread_local! {
    static PANICS: Cell<usize> = const { Cell::new(0) };
}

/// How often this thread has panicked: a reactor survives that.
fn panics() -> usize {
    static COUNTING: Once = Once::new();
    COUNTING.call_once(|| {
        let usual = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            PANICS.set(PANICS.get() + 1);
            usual(info);
        }));
    });
    PANICS.get()
}

/// Plays a scenario twice with each seed, with these faults: the logs must be identical, byte for byte, and nothing may have
/// panicked.
fn play(faults: &Faults, seeds: u64, scenario: impl Fn(&Simulation)) {
    simulate_with(faults, 0..seeds, |simulation| {
        let before = panics();
        let logs = [(); 2].map(|()| {
            let simulation = Simulation::with_faults(simulation.seed(), faults.clone());
            scenario(&simulation);
            simulation.log().to_string()
        });
        assert_eq!(panics(), before, "something has panicked");
        let differs = logs[0].lines().zip(logs[1].lines()).find(|(one, other)| one != other);
        assert!(logs[0] == logs[1], "the same seed gave another log: {differs:?}");
    });
}

/// Runs for an hour, in which everything has to end, and checks that nothing is left.
fn assert_nothing_is_left(simulation: &Simulation) {
    simulation.run_for(3600 * SECOND).unwrap();
    for ip in [SERVER, CLIENT] {
        let leftovers = simulation.host(ip).leftovers();
        assert!(leftovers.is_clean(), "on {ip}: {leftovers}\n{}", simulation.report());
    }
    assert_eq!(simulation.connections(), 0, "{}", simulation.report());
}
