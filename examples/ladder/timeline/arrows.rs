//! Which event has sent what comes with another one. The log does not tell: it says when bytes came, and not when they were
//! written.
//!
//! Where everything is on its way for the same time, what happened on the other host just so long ago must be it. Elsewhere
//! it is a guess, and is drawn as one.

use std::collections::BTreeSet;
use std::time::Duration;

use torsade::event_log::{Entry, Subject};

use super::scripts::LATENCY;

/// From one event to another, by their places in the log.
pub struct Arrow {
    pub from: usize,
    pub to: usize,
    pub guessed: bool,
}

/// The address of the host at the other end, of an event that can come over the network.
pub fn sender(entry: &Entry) -> Option<&str> {
    let Subject::Connection { peer, .. } = &entry.event.subject else { return None };
    let comes = ["connection_made", "data_received", "handshake_completed", "read_connection_lost", "connection_lost"];
    let (host, _port) = peer.rsplit_once(':')?;
    comes.contains(&&*entry.event.callback).then_some(host)
}

/// All of them, in order.
pub fn arrows(entries: &[Entry]) -> Vec<Arrow> {
    let mut found = Vec::new();
    let mut used = BTreeSet::new();
    for to in 0..entries.len() {
        let Some(from) = exactly(entries, to, &used) else {
            let guess = guess(entries, to, &used);
            found.extend(guess.map(|from| Arrow { from, to, guessed: true }));
            used.extend(guess);
            continue;
        };
        used.insert(from);
        found.push(Arrow { from, to, guessed: false });
    }
    // Of what comes in one piece with another: one arrow is enough.
    found.dedup_by_key(|arrow| (arrow.from, entries[arrow.to].event.turn, entries[arrow.to].host.clone()));
    found
}

/// What the sender did just one latency before; rather what nothing else came of yet.
fn exactly(entries: &[Entry], to: usize, used: &BTreeSet<usize>) -> Option<usize> {
    let host = sender(&entries[to])?;
    let sent = entries[to].event.time.checked_sub(LATENCY)?;
    let fits = |at: &usize| &*entries[*at].host == host && entries[*at].event.time.abs_diff(sent) < Duration::from_micros(1);
    let candidates: Vec<usize> = (0..to).filter(fits).collect();
    candidates.iter().rev().find(|at| !used.contains(at)).or(candidates.last()).copied()
}

/// For data on a network of uneven ways: the last thing that the sender did within the second before, and not on this connection.
fn guess(entries: &[Entry], to: usize, used: &BTreeSet<usize>) -> Option<usize> {
    let (host, arrival) = (sender(&entries[to])?, &entries[to]);
    if arrival.event.callback != "data_received" {
        return None;
    }
    let fits = |at: &usize| {
        let (entry, is_ours) = (&entries[*at], |other: &str| other == &*arrival.host);
        let is_cause = match entry.event.subject {
            Subject::Timer { .. } => !used.contains(at),
            Subject::Connection { .. } => entry.event.callback == "data_received" && !sender(entry).is_some_and(is_ours),
            _ => false,
        };
        &*entry.host == host && is_cause && arrival.event.time - entry.event.time < Duration::from_secs(1)
    };
    (0..to).rev().find(fits)
}
