//! A log of events.

use std::fmt;
use std::rc::Rc;

use super::event::{Event, Subject};

/// An event and the host on which it was dispatched.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Entry {
    /// The host's name; empty if it has none.
    pub host: Rc<str>,
    /// What was dispatched.
    pub event: Event,
}

/// The events of one or several hosts, in the order of dispatching.
///
/// [`event_log`](super) describes its text format, which [`str::parse`] reads. To use a log, narrow it down and compare:
///
/// # Examples
/// ```
/// use torsade::event_log::Log;
///
/// let log: Log = "torsade-events 1\n\
///     10.0.0.1 1 0.000000000 connection/1/10.0.0.2:49152 connection_made\n\
///     10.0.0.1 2 0.000001000 connection/1/10.0.0.2:49152 data_received bytes=5 hash=a430d84680aabd0b\n\
///     10.0.0.1 3 0.000002000 connection/1/10.0.0.2:49152 connection_lost reason=ConnectionDone\n"
///     .parse()?;
/// assert_eq!(log.on("10.0.0.1").of_connection(1).callbacks(), ["connection_made", "data_received", "connection_lost"]);
/// assert_eq!(log.named("data_received").bytes(), 5);
/// log.assert_order(["connection_made", "connection_lost"]);
/// # Ok::<(), torsade::event_log::ParseLogError>(())
/// ```
#[derive(Clone, Default, Eq, PartialEq)]
pub struct Log(Vec<Entry>);

impl Log {
    /// Adds an event.
    pub fn push(&mut self, host: &Rc<str>, event: Event) {
        self.0.push(Entry { host: Rc::clone(host), event });
    }

    /// The events.
    #[must_use]
    pub fn entries(&self) -> &[Entry] {
        &self.0
    }

    /// The number of events.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.0.len()
    }

    /// Returns whether there are no events.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The events for which `keep` returns true.
    #[must_use]
    pub fn select(&self, keep: impl Fn(&Entry) -> bool) -> Self {
        Self(self.0.iter().filter(|entry| keep(entry)).cloned().collect())
    }

    /// The events of one host.
    #[must_use]
    pub fn on(&self, host: impl AsRef<str>) -> Self {
        self.select(|entry| &*entry.host == host.as_ref())
    }

    /// The events of one connection, by its `Transport::id`, which is unique only on its host.
    #[must_use]
    pub fn of_connection(&self, connection: u64) -> Self {
        self.select(|entry| matches!(entry.event.subject, Subject::Connection { id, .. } if id == connection))
    }

    /// The events of all connections.
    #[must_use]
    pub fn of_connections(&self) -> Self {
        self.select(|entry| matches!(entry.event.subject, Subject::Connection { .. }))
    }

    /// The events with this callback.
    #[must_use]
    pub fn named(&self, callback: &str) -> Self {
        self.select(|entry| entry.event.callback == callback)
    }

    /// The events with this kind of reason.
    #[must_use]
    pub fn with_reason(&self, reason: &str) -> Self {
        self.select(|entry| entry.event.reason.as_deref() == Some(reason))
    }

    /// The names of the callbacks.
    #[must_use]
    pub fn callbacks(&self) -> Vec<&str> {
        self.0.iter().map(|entry| &*entry.event.callback).collect()
    }

    /// The total bytes of all callbacks.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.0.iter().filter_map(|entry| entry.event.bytes).sum()
    }

    /// The first difference between two logs: its line in the text, and both lines; `None` if they are equal.
    #[must_use]
    pub fn first_difference(&self, other: &Self) -> Option<String> {
        let index = (0..self.len().max(other.len())).find(|index| self.0.get(*index) != other.0.get(*index))?;
        let line = |log: &Self| match log.0.get(index) {
            Some(entry) => format!("{} {}", entry.host, entry.event),
            None => "(the log ends)".to_owned(),
        };
        // The first line of the text is the version.
        Some(format!("line {}:\n  {}\n  {}", index + 2, line(self), line(other)))
    }

    /// Asserts that two logs are equal.
    ///
    /// # Panics
    /// With the [first difference](Self::first_difference), if they are not.
    #[track_caller]
    pub fn assert_same(&self, other: &Self) {
        if let Some(difference) = self.first_difference(other) {
            panic!("the logs differ in {difference}");
        }
    }

    /// Asserts that callbacks with these names were dispatched in this order; others may be between them.
    ///
    /// # Panics
    /// With the first missing one and the log, if they were not.
    #[track_caller]
    pub fn assert_order<'a>(&self, callbacks: impl IntoIterator<Item = &'a str>) {
        let mut entries = self.0.iter();
        let mut before = "the beginning";
        for callback in callbacks {
            let found = entries.any(|entry| entry.event.callback == callback);
            assert!(found, "no {callback} after {before} in\n{self}");
            before = callback;
        }
    }
}

/// The text, so that failed assertions are readable.
impl fmt::Debug for Log {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
