//! What a hub has done.

use std::cell::Cell;

/// What a [`Hub`](crate::Hub) has done since it was opened; each number only grows.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct HubStats {
    /// Messages that were handed to the broker, those that were stored included.
    pub published: u64,
    /// Messages that were given to subscribers: one for each subscriber.
    pub delivered: u64,
    /// Messages that were dropped for a subscriber who did not take them, or for a worker of a `local:` hub that did not.
    pub dropped_slow: u64,
    /// Connections that were ended because they did not take their messages.
    pub disconnected_slow: u64,
    /// Publications that were dropped since the broker was not to be reached.
    pub dropped_disconnected: u64,
    /// Publications that were refused: by the queue's bound, while disconnected, or by the broker.
    pub refused: u64,
    /// Publications that had been handed to the broker when the connection was lost, so that nobody knows whether they arrived, and those
    /// on topics of a node of a Redis cluster that was away. Those that are stored are sent again, and not counted.
    pub unconfirmed: u64,
    /// Stored messages that came twice and were left out.
    pub duplicates: u64,
    /// Gaps that subscribers were told of, by the hub as a whole: one for each subscription at the broker.
    pub gaps: u64,
    /// How often the connection to the broker was lost or could not be made.
    pub connections_lost: u64,
}

/// A number that grows.
#[derive(Debug, Default)]
pub(crate) struct Counter(Cell<u64>);

impl Counter {
    pub(crate) fn add(&self, more: u64) {
        self.0.set(self.0.get().wrapping_add(more));
    }
}

/// The numbers of [`HubStats`].
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) published: Counter,
    pub(crate) delivered: Counter,
    pub(crate) dropped_slow: Counter,
    pub(crate) disconnected_slow: Counter,
    pub(crate) dropped_disconnected: Counter,
    pub(crate) refused: Counter,
    pub(crate) unconfirmed: Counter,
    pub(crate) duplicates: Counter,
    pub(crate) gaps: Counter,
    pub(crate) connections_lost: Counter,
}

impl Counters {
    pub(crate) fn stats(&self) -> HubStats {
        HubStats {
            published: self.published.0.get(),
            delivered: self.delivered.0.get(),
            dropped_slow: self.dropped_slow.0.get(),
            disconnected_slow: self.disconnected_slow.0.get(),
            dropped_disconnected: self.dropped_disconnected.0.get(),
            refused: self.refused.0.get(),
            unconfirmed: self.unconfirmed.0.get(),
            duplicates: self.duplicates.0.get(),
            gaps: self.gaps.0.get(),
            connections_lost: self.connections_lost.0.get(),
        }
    }
}
