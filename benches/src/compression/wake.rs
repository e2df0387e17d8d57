//! A message on a connection that still has its encoder, and on one that has to borrow and prime one.

use torsade::prelude::*;
use torsade_bench::{best, events, time};

use super::link::Link;

/// More than there are encoders, so that each connection has lost its own when it writes again.
const CROWD: usize = 65;
const ROUNDS: usize = 20;

pub fn run() -> Result {
    let events = events();
    println!("{:32} {:>10} {:>10}", "a message of 200 B, level 6", "awake us", "woken us");
    for (history, threshold) in [(0, 0), (4 << 10, 0), (32 << 10, 0), (32 << 10, 201)] {
        let options = Compression::deflate().announce(false).history(history).threshold(threshold);
        let awake = message(1, &options, &events)?;
        let woken = message(CROWD, &options, &events)?;
        println!("{:32} {awake:10.1} {woken:10.1}", format!("history {history}, threshold {threshold}"));
    }
    Ok(())
}

/// Microseconds per message when this many connections write in turn.
fn message(crowd: usize, options: &Compression, events: &[u8]) -> Result<f64> {
    // All on one reactor, since each reactor shares its encoders.
    let reactor = Reactor::new()?;
    reactor.start_running()?;
    let links = (0..crowd).map(|_| Link::on(&reactor)).collect::<Result<Vec<_>>>()?;
    for link in &links {
        link.transport.set_compression::<Compression>(options.clone())?;
        link.transport.write(&events[..64 << 10]);
        link.drain()?;
    }
    let rounds = ROUNDS * CROWD / crowd;
    let run = || {
        for round in 0..rounds {
            for link in &links {
                link.transport.write(&events[round * 200..round * 200 + 200]);
                link.transport.flush_compression();
            }
        }
        links.iter().for_each(|link| link.drain().expect("the reactor turns"));
    };
    let [seconds] = best(5, [&mut || time(run)]);
    links.into_iter().try_for_each(Link::close)?;
    Ok(seconds * 1e6 / (rounds * crowd) as f64)
}
