//! How long others wait while peers send input that is cheap to send and expensive to process, compared with plain bytes.
//!
//! Run: `cargo run --release -p torsade-bench --all-features --bin hostile [--others N] [ROUNDS [KIND..]]` (default 3 rounds of
//! all kinds). Each round measures every kind, with plain floods before each, so that a disturbance affects both.
//!
//! The server runs in its own thread, and 64 peers of one kind in a process of the lowest priority. 20 others request an echo
//! of 16 bytes every 20 ms, or N others every N ms. Printed are the median and the 99th percentile of their waiting time, in
//! milliseconds and relative to the time beside plain floods; the processor time of a turn; and, for the kind that adds tasks
//! which yield for ever to plain floods, how often these are polled.

mod hostile {
    pub mod input;
    pub mod peers;
    pub mod server;
}
#[cfg(feature = "tls")]
mod rustls_peer;

use std::time::Duration;

use hostile::input::{Kind, kinds};
use hostile::peers::{FLOOD, flood, probe, send_for_ever};
use hostile::server::Server;
use torsade::Result;

/// How long each kind is measured.
const MEASURED: Duration = Duration::from_secs(1);

/// How long the others waited, and what that cost the server.
#[derive(Clone, Copy)]
struct Measured {
    p50: f64,
    p99: f64,
    /// Milliseconds of processor time per turn.
    turn: f64,
    /// Polls of tasks per second.
    polls: f64,
}

fn measure(kind: &Kind, others: u32) -> Result<Measured> {
    // A new server each time, so that the rest of one flood cannot affect the next.
    let server = Server::start(kind.way)?;
    let (waits, used) = flood(server.hostile, kind, || {
        let before = server.used();
        let waits = probe(server.echo, others, MEASURED);
        let after = server.used();
        (waits, (before.turn_until(after), before.polls_until(after) / MEASURED.as_secs_f64()))
    })?;
    let mut waits = waits?;
    waits.sort_by(f64::total_cmp);
    let percentile = |percent: usize| waits.get(waits.len() * percent / 100).copied().unwrap_or(f64::NAN);
    Ok(Measured { p50: percentile(50), p99: percentile(99), turn: used.0, polls: used.1 })
}

fn median(of: impl Iterator<Item = f64>) -> f64 {
    let mut of: Vec<f64> = of.collect();
    of.sort_by(f64::total_cmp);
    of.get(of.len() / 2).copied().unwrap_or(f64::NAN)
}

fn main() -> Result {
    let mut arguments = std::env::args().skip(1).peekable();
    if arguments.next_if(|first| first == FLOOD).is_some() {
        let (Some(address), Some(name)) = (arguments.next(), arguments.next()) else {
            return Err("an address and a kind".into());
        };
        let kind = kinds().into_iter().find(|kind| kind.name == name).ok_or("a kind that there is")?;
        return send_for_ever(address.parse()?, &kind);
    }
    let others = match arguments.next_if(|first| first == "--others").and_then(|_| arguments.next()) {
        Some(others) => others.parse()?,
        None => 20,
    };
    let rounds: usize = arguments.next().map_or(Ok(3), |rounds| rounds.parse())?;
    let wanted: Vec<String> = arguments.collect();
    let kinds: Vec<Kind> =
        kinds().into_iter().filter(|kind| wanted.is_empty() || wanted.iter().any(|name| name == kind.name)).collect();
    println!(
        "{:29} {:>9} {:>9} {:>9} {:>9} {:>12} {:>12}",
        "64 peers that send", "p50, ms", "times", "p99, ms", "times", "CPU ms/turn", "polls/s"
    );
    for kind in &kinds {
        let (mut plain, mut hostile) = (Vec::new(), Vec::new());
        for _ in 0..rounds {
            plain.push(measure(&Kind::plain(), others)?);
            hostile.push(measure(kind, others)?);
        }
        let of = |all: &[Measured], field: fn(&Measured) -> f64| median(all.iter().map(field));
        let (p50, p99) = (of(&hostile, |one| one.p50), of(&hostile, |one| one.p99));
        println!(
            "{:29} {p50:9.2} {:9.1} {p99:9.2} {:9.1} {:12.2} {:12.0}",
            kind.name,
            p50 / of(&plain, |one| one.p50),
            p99 / of(&plain, |one| one.p99),
            of(&hostile, |one| one.turn),
            of(&hostile, |one| one.polls)
        );
    }
    Ok(())
}
