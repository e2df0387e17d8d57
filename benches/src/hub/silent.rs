//! A member that never reads: how much is kept for it, and how it affects the others.

use torsade::prelude::*;
use torsade_bench::events;

use super::clock::microseconds;
use super::crowd::{Crowd, Group};

const SIZE: usize = 4096;
const MEMBERS: usize = 100;
const MESSAGES: usize = 2_000;
const ROOMS: [&str; 2] = ["room.quick", "room.slow"];

pub fn run() -> Result {
    let events = events();
    let [quick, slow] = ROOMS;
    let mut crowd = Crowd::new(&[
        Group { topic: quick, members: MEMBERS, reads: true },
        Group { topic: slow, members: MEMBERS, reads: true },
        Group { topic: slow, members: 1, reads: false },
    ])?;
    for message in events.chunks(SIZE).take(MESSAGES) {
        for room in ROOMS {
            crowd.publish_timed(room, message, MEMBERS, false, room)?;
        }
    }
    println!(
        "\n{MESSAGES} messages of {SIZE} bytes to each of two rooms of {MEMBERS}, by turns; latency until a member's peer has it:"
    );
    for (room, who) in ROOMS.into_iter().zip(["all read", "and one that never reads"]) {
        let (half, most) = crowd.latencies(room)?;
        println!("  {who:26} p50 {:>7.1} us  p99 {:>7.1} us", microseconds(half), microseconds(most));
    }
    let (stats, unsent) = (crowd.hub.stats(), crowd.silent.borrow()[0].unsent());
    let given = stats.delivered - (2 * MEMBERS * MESSAGES) as u64;
    println!(
        "  it was given {given} messages, of which {unsent} bytes are unsent; {} were dropped for it, and {} wait",
        stats.dropped_slow,
        MESSAGES as u64 - given - stats.dropped_slow
    );
    Ok(())
}
