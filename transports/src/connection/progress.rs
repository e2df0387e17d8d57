//! Whether a peer still acknowledges what is sent to it.

use std::time::Duration;

use torsade_protocols::Delivery;
use torsade_reactor::spi::Stream;

use super::StreamConnection;

/// How many checks there are while a peer takes nothing: a stuck peer is found late by at most one part in this many.
const LOOKS: u32 = 8;

/// How long after a hint that the peer has everything the socket is asked: the peer's own end of stream, which needs no
/// system call, usually comes sooner.
const SOON: Duration = Duration::from_millis(200);

/// What a peer has acknowledged, and when that last grew.
///
/// Bytes that the system has taken do not count: its buffer grows, and takes megabytes for a peer that never reads.
#[derive(Debug)]
pub(super) struct Progress {
    /// At the last check, if there was one.
    acknowledged: Option<u64>,
    seen: Duration,
    /// The peer may have everything now.
    hinted: bool,
}

impl Progress {
    /// Begins now; `hinted` if the peer may have everything already.
    pub(super) const fn new(now: Duration, hinted: bool) -> Self {
        Self { acknowledged: None, seen: now, hinted }
    }

    /// Notes that the peer may have everything: our end of stream was sent, or the socket reported something that it also reports
    /// when the peer acknowledges it. Returns whether this is new since the last check.
    pub(super) const fn hint(&mut self) -> bool {
        !std::mem::replace(&mut self.hinted, true)
    }

    /// Asks the socket, to which `sent` bytes were written so far; returns how many of them are not acknowledged. If
    /// the system does not say, all bytes that it has taken count as acknowledged.
    pub(super) fn look(&mut self, stream: &dyn Stream, sent: u64, now: Duration) -> u64 {
        let left = stream.unacknowledged().map_or(0, |left| left as u64);
        let acknowledged = sent.saturating_sub(left);
        self.hinted = false;
        if self.acknowledged.is_some_and(|before| acknowledged > before) {
            self.seen = now;
        }
        self.acknowledged = Some(acknowledged);
        left
    }

    /// Whether the checks have seen nothing more acknowledged for `patience`.
    pub(super) const fn is_stuck(&self, now: Duration, patience: Duration) -> bool {
        now.saturating_sub(self.seen).as_nanos() >= patience.as_nanos()
    }

    /// The time from now to the next check.
    pub(super) fn next_look(&self, now: Duration, patience: Duration) -> Duration {
        let left = self.seen.saturating_add(patience).saturating_sub(now);
        let next = left.min((patience / LOOKS).max(Duration::from_millis(1)));
        if self.hinted { next.min(SOON) } else { next }
    }
}

impl StreamConnection {
    /// How much of what was written the peer has acknowledged. The system is asked only if it has taken something since the peer
    /// had everything: checking an idle connection costs no system calls.
    pub(super) fn count_delivered(&self) -> Delivery {
        let state = self.state.borrow();
        let asked = state.stream.as_ref().filter(|_| self.in_flight.get());
        let on_the_way = asked.and_then(|stream| stream.unacknowledged()).map_or(0, |left| left as u64);
        self.in_flight.set(on_the_way > 0);
        Delivery::new(state.bytes_sent.saturating_sub(on_the_way), on_the_way + state.unsent() as u64)
    }
}

#[cfg(test)]
mod tests;
