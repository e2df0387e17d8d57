//! Future events, in order.

use std::cmp::Ordering;
use std::collections::BinaryHeap;
use std::net::SocketAddr;
use std::time::Duration;

use super::datagram_traffic::Flight;
use super::link::{LinkId, Side};

/// An event of the outside world.
pub(super) enum Happening {
    /// The side was closed, and its peer may still not have taken what was written.
    Abandon(LinkId, Side),
    /// A job of the thread pool, or the end of a look-up.
    Call(Box<dyn FnOnce()>),
    /// The parent of a process can know of its end.
    ChildEnd(usize),
    /// A datagram arrives.
    Datagram(Box<Flight>),
    /// What the side has sent may have arrived.
    Deliver(LinkId, Side),
    /// The side has got nothing through since this time.
    GiveUp(LinkId, Side, Duration),
    /// The client got no answer.
    NoAnswer(LinkId, std::io::ErrorKind),
    /// Nothing receives what a datagram socket has sent there.
    Refused(u64, SocketAddr),
    /// The delay after a short write is over.
    Room(LinkId, Side),
    /// The client's n-th request reaches the server.
    Syn(LinkId, u32),
}

struct Item {
    time: Duration,
    sequence: u64,
    happening: Happening,
}

/// Ordered by time, then by order of creation, so that one seed always gives the same run.
#[derive(Default)]
pub(super) struct Queue {
    heap: BinaryHeap<Item>,
    next_sequence: u64,
}

impl Queue {
    pub(super) fn push(&mut self, time: Duration, happening: Happening) {
        self.heap.push(Item { time, sequence: self.next_sequence, happening });
        self.next_sequence += 1;
    }

    pub(super) fn first(&self) -> Option<(Duration, &Happening)> {
        self.heap.peek().map(|item| (item.time, &item.happening))
    }

    pub(super) fn pop(&mut self) -> Option<Happening> {
        self.heap.pop().map(|item| item.happening)
    }

    pub(super) fn clear(&mut self) -> Vec<Happening> {
        std::mem::take(&mut self.heap).into_iter().map(|item| item.happening).collect()
    }
}

impl Ord for Item {
    /// Reversed, because the heap returns its greatest item.
    fn cmp(&self, other: &Self) -> Ordering {
        (other.time, other.sequence).cmp(&(self.time, self.sequence))
    }
}

impl PartialOrd for Item {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Item {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Item {}
