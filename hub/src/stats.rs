//! Counters.

use std::cell::Cell;

/// Counters of what a [`Hub`](crate::Hub) has done since it was opened.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct HubStats {
    /// Messages sent to the broker, including stored ones.
    pub published: u64,
    /// Messages delivered to subscribers, counted once for each subscriber.
    pub delivered: u64,
    /// Messages dropped for a slow member, or for a slow worker of a `local:` hub.
    pub dropped_slow: u64,
    /// Connections ended because they did not read their messages.
    pub disconnected_slow: u64,
    /// Messages dropped, instead of published, because the broker was unreachable.
    pub dropped_disconnected: u64,
    /// Messages refused because of an error, such as a full queue, or refused by the broker.
    pub refused: u64,
    /// Messages that had been sent to the broker when the connection was lost and may not have arrived, including those on
    /// topics of an unreachable node of a Redis cluster. Stored messages are sent again, and not counted.
    pub unconfirmed: u64,
    /// Duplicates of stored messages that were left out.
    pub duplicates: u64,
    /// Gaps reported to subscribers, counted once for each subscription at the broker.
    pub gaps: u64,
    /// How often the connection to the broker was lost or could not be made.
    pub connections_lost: u64,
}

/// A number that only grows.
#[derive(Debug, Default)]
pub(crate) struct Counter(Cell<u64>);

impl Counter {
    pub(crate) fn add(&self, more: u64) {
        self.0.set(self.0.get().wrapping_add(more));
    }
}

/// The counters behind [`HubStats`].
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
