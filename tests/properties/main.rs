//! Random programs on random faulty networks, and what must hold whatever they do.
//!
//! Each seed draws a scenario: one to three connections between two hosts, whose programs write, close, abort, half-close, pause,
//! give bytes back, switch compression in either direction, register producers, fail, panic and stop, inside and outside of
//! callbacks; with the feature `tls`, a third of the connections use it. Then they settle, then everything ends. These are
//! checked throughout:
//! - bytes arrive in the order in which they were written, all of them if the sender has closed gracefully;
//! - callbacks come in order, none after `connection_lost`, none that the program has forbidden;
//! - memory limits hold, and producers are paused and resumed as they should be;
//! - whenever time moves on, nothing that is due is left undone; closes complete in time; and nothing is left behind.
//!
//! With the feature `futures-io`, `async_programs` checks the same of programs in `async` code.
//!
//! A hundred thousand seeds, in one command:
//! `TORSADE_SEEDS=25000 cargo test --release --all-features --test properties`
//! One seed, with its log: `TORSADE_SEED=7 cargo test --all-features --test properties hostile`

mod action;
mod actor;
#[cfg(feature = "futures-io")]
#[path = "../support/async_echo.rs"]
mod async_echo;
#[cfg(feature = "futures-io")]
mod async_end;
#[cfg(feature = "futures-io")]
mod async_programs;
mod caller;
mod chance;
#[cfg(feature = "tls")]
#[allow(dead_code, reason = "the tests of TLS use the rest")]
#[path = "../tls/keys.rs"]
mod keys;
mod plan;
mod producer;
mod rest;
mod scenario;
mod side;
#[cfg(feature = "tls")]
mod tls;
mod verdict;
mod world;

use std::sync::Once;
use std::time::Duration;

use torsade::simulated::{Faults, simulate_with};

use chance::Chance;

/// Seeds of each test, by default.
const SEEDS: u64 = 400;

/// Silences panics that scenarios plan, and their reports.
fn hush() {
    static HUSHED: Once = Once::new();
    HUSHED.call_once(|| {
        env_logger::builder().filter_level(log::LevelFilter::Off).init();
        let usual = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if info.payload().downcast_ref::<&str>() != Some(&"a planned panic") {
                usual(info);
            }
        }));
    });
}

fn play_all(faults: &Faults, draw: impl Fn(u64) -> Option<Faults>) {
    hush();
    simulate_with(faults, 0..SEEDS, |simulation| {
        if let Some(faults) = draw(simulation.seed()) {
            simulation.set_faults(faults);
        }
        scenario::play(simulation)
    });
}

#[test]
fn all_holds_on_a_calm_network() {
    play_all(&Faults::calm(), |_| None);
}

#[test]
fn all_holds_on_a_lossy_network() {
    play_all(&Faults::lossy(), |_| None);
}

#[test]
fn all_holds_on_a_hostile_network() {
    play_all(&Faults::hostile(), |_| None);
}

#[test]
fn all_holds_on_networks_that_are_drawn() {
    play_all(&Faults::calm(), |seed| Some(draw_faults(&mut Chance::new(seed, 2))));
}

/// Each fault with its own rate, for many of them zero.
fn draw_faults(chance: &mut Chance) -> Faults {
    let mut rate = |most: f64| if chance.one_in(3) { most * chance.below(1000) as f64 / 1000.0 } else { 0.0 };
    let hostile = Faults::hostile();
    let faults = Faults {
        accept_aborted: rate(0.2),
        accept_out_of_descriptors: rate(0.2),
        connect_fails: rate(0.1),
        connect_hangs: rate(0.1),
        connect_refused: rate(0.1),
        loss: rate(0.2),
        reset: rate(0.01),
        short_write: rate(0.8),
        slow: rate(0.3),
        stuck: rate(0.05),
        ..hostile
    };
    let buffer = 1 << chance.below(16);
    let latency = Duration::from_micros(chance.size(1_000_000));
    Faults {
        latency: Duration::from_micros(1)..=latency,
        receive_buffer: 1..=buffer as usize,
        send_buffer: 1..=chance.size(65_536) as usize,
        segment: 1..=chance.size(1460) as usize,
        ..faults
    }
}
