//! The cost of publishing to local members.

use torsade::prelude::*;
use torsade_bench::{events, time};

use super::clock::microseconds;
use super::crowd::{Crowd, Group};

const SIZE: usize = 200;
const ROUNDS: usize = 3;
const TOPIC: &str = "room.bench";

/// How many messages are published in a turn of the loop: a single one, and as many as in a busy room.
const A_TURN: [usize; 2] = [1, 32];

pub fn run(counts: &[usize]) -> Result {
    println!(
        "a message of {SIZE} bytes to local members, on one core, by messages in a turn; latency until a member's peer has it:"
    );
    println!(
        "{:>8} {:10} {:>12} {:>12} {:>13} {:>13} {:>10} {:>10} {:>10} {:>10}",
        "members", "", "messages/s", "32 a turn", "deliveries/s", "32 a turn", "us each", "32 a turn", "p50 us", "p99 us"
    );
    counts.iter().try_for_each(|members| with(*members))
}

fn with(members: usize) -> Result {
    let events = events();
    let mut crowd = Crowd::new(&[Group { topic: TOPIC, members, reads: true }])?;
    let batch = (20_000 / members).clamp(32, 2_000);
    let timed = (4_000 / members).clamp(5, 100);
    let mut best = [[f64::MAX; 2]; 2];
    for round in 0..ROUNDS {
        let messages: Vec<&[u8]> = events[round * (1 << 20)..].chunks(SIZE).take(batch).collect();
        for (compressed, best) in [false, true].into_iter().zip(&mut best) {
            crowd.compress(compressed)?;
            for (a_turn, best) in A_TURN.into_iter().zip(best) {
                let mut published = Ok(());
                let seconds = time(|| published = crowd.publish(TOPIC, &messages, a_turn, members, compressed));
                published?;
                crowd.settle(None)?;
                *best = best.min(seconds / batch as f64);
            }
            for message in messages.iter().cycle().take(timed) {
                crowd.publish_timed(TOPIC, message, members, compressed, name(compressed))?;
            }
        }
    }
    for (compressed, [one, many]) in [false, true].into_iter().zip(best) {
        let (half, most) = crowd.latencies(name(compressed))?;
        let count = members as f64;
        println!(
            "{members:>8} {:10} {:>12.0} {:>12.0} {:>13.0} {:>13.0} {:>10.2} {:>10.2} {:>10.1} {:>10.1}",
            name(compressed),
            1.0 / one,
            1.0 / many,
            count / one,
            count / many,
            one * 1e6 / count,
            many * 1e6 / count,
            microseconds(half),
            microseconds(most),
        );
    }
    Ok(())
}

const fn name(compressed: bool) -> &'static str {
    if compressed { "deflate_1" } else { "plain" }
}
