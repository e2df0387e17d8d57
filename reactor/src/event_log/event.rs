//! A dispatched callback.

use std::borrow::Cow;
use std::time::Duration;

use crate::reactor::system_event::{Phase, SystemEvent};

/// A dispatched callback.
///
/// # Examples
/// ```
/// use torsade::event_log::{Event, Subject};
///
/// let subject = Subject::Connection { id: 1, peer: "10.0.0.2:49152".into() };
/// let event = Event::new(subject, "data_received").with_data(b"hello");
/// let line = "0 0.000000000 connection/1/10.0.0.2:49152 data_received bytes=5 hash=a430d84680aabd0b";
/// assert_eq!(event.to_string(), line);
/// ```
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Event {
    /// The number of the turn; 0 before the first. Set by the reactor.
    pub turn: u64,
    /// The time on the reactor's clock. Set by the reactor.
    pub time: Duration,
    /// What the callback belongs to.
    pub subject: Subject,
    /// The name of the callback.
    pub callback: Cow<'static, str>,
    /// The number of bytes it got.
    pub bytes: Option<u64>,
    /// The [`fingerprint`] of these bytes.
    pub hash: Option<u64>,
    /// The kind of the reason or error it got.
    pub reason: Option<Cow<'static, str>>,
}

impl Event {
    /// Makes an event without details; the reactor adds turn and time.
    #[must_use]
    pub fn new(subject: Subject, callback: impl Into<Cow<'static, str>>) -> Self {
        let callback = callback.into();
        Self { turn: 0, time: Duration::ZERO, subject, callback, bytes: None, hash: None, reason: None }
    }

    /// Adds the length and the [`fingerprint`] of `data`.
    #[must_use]
    pub fn with_data(self, data: &[u8]) -> Self {
        Self { bytes: Some(data.len() as u64), hash: Some(fingerprint(data)), ..self }
    }

    /// Adds the kind of a reason, preferably one word: `ConnectionDone`.
    #[must_use]
    pub fn with_reason(self, reason: impl Into<Cow<'static, str>>) -> Self {
        Self { reason: Some(reason.into()), ..self }
    }
}

/// What a callback belongs to.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Subject {
    /// A connection.
    Connection {
        /// The `Transport::id`.
        id: u64,
        /// The peer's address.
        peer: String,
    },
    /// An outgoing connection that is not established yet.
    Connector {
        /// Its destination.
        destination: String,
    },
    /// A listening port.
    Port {
        /// The address it listens on.
        address: String,
    },
    /// A child process.
    Process {
        /// Its process id.
        id: u32,
    },
    /// The reactor itself.
    Reactor,
    /// A call from another thread.
    Thread,
    /// A delayed call.
    Timer {
        /// How many delayed calls this reactor had made before it.
        sequence: u64,
    },
    /// A trigger of the reactor's startup or shutdown.
    Trigger {
        /// Its phase.
        phase: Phase,
        /// The event it belongs to.
        event: SystemEvent,
    },
}

/// The hash used in the log: 64-bit FNV-1a. It distinguishes payloads; it is not cryptographic.
#[must_use]
pub fn fingerprint(data: &[u8]) -> u64 {
    data.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}
