//! The faults of a simulated world.

use std::ops::RangeInclusive;
use std::time::Duration;

/// The faults of a simulated world, drawn from the seed.
///
/// Probabilities are from 0.0 (never) to 1.0 (always). Ranges of time are drawn from evenly; ranges of bytes evenly by magnitude,
/// so that one byte is as likely as a full segment. Everything applies to connections within one host too, except that a host
/// cannot be [partitioned](super::Simulation::partition) from itself.
///
/// # Examples
/// ```
/// use torsade::simulated::{Faults, Simulation};
///
/// let faults = Faults { segment: 1..=1, ..Faults::calm() };
/// let simulation = Simulation::with_faults(7, faults);
/// assert_eq!(simulation.seed(), 7);
/// ```
#[derive(Clone, Debug, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "made with the update syntax, from a preset")]
pub struct Faults {
    /// The probability that an accept fails with ECONNABORTED and resets its connection. Calm: 0.
    pub accept_aborted: f64,
    /// The probability that an accept fails with EMFILE, leaving its connection waiting. Calm: 0.
    pub accept_out_of_descriptors: f64,
    /// Bytes a second in each direction of each connection; `None` for no limit. Calm: 125 MB/s, a gigabit.
    pub bandwidth: Option<u64>,
    /// The probability that a connect fails at once, as if there were no route. Calm: 0.
    pub connect_fails: f64,
    /// The probability that a connect is never answered; it times out after 127 s, as on Linux. Calm: 0.
    pub connect_hangs: f64,
    /// The probability that a connect is refused although something listens. Calm: 0.
    pub connect_refused: f64,
    /// How many descriptors the program of a host may have for connections; beyond that, accepts and connects fail with EMFILE.
    /// Calm: no limit.
    pub descriptors: usize,
    /// The probability that a datagram arrives twice. Calm: 0.
    pub duplication: f64,
    /// How long a job of the thread pool takes. Calm: 0.1 to 1 ms.
    pub job: RangeInclusive<Duration>,
    /// How long a segment is in transit, at least 1 µs. Calm: 0.2 to 0.5 ms.
    pub latency: RangeInclusive<Duration>,
    /// The probability that a segment is lost and arrives after a [`retransmission`](Self::retransmission), or that a datagram is
    /// lost for good. Calm: 0.
    pub loss: f64,
    /// How long looking up a name takes. Calm: 0.5 to 2 ms.
    pub lookup: RangeInclusive<Duration>,
    /// The probability that looking up a known name fails. Calm: 0.
    pub lookup_fails: f64,
    /// The size of a socket's receive buffer in bytes: when it is full the peer stops sending, and datagrams are lost. Drawn for
    /// each socket; at least 1. Calm: 128 KiB.
    pub receive_buffer: RangeInclusive<usize>,
    /// The probability that a datagram takes as long as two others, so that later ones overtake it. Otherwise datagrams from one
    /// socket to one host stay in order. Calm: 0.
    pub reordering: f64,
    /// The probability, for each segment, that something in the network resets the connection instead. Calm: 0.
    pub reset: f64,
    /// The extra delay of a lost segment, and of what a partition held back. Calm: 200 to 400 ms.
    pub retransmission: RangeInclusive<Duration>,
    /// How long a socket retries through a partition before it is lost with ETIMEDOUT, and a closed socket to a peer that does
    /// not read. Calm: 15 min.
    pub retransmission_timeout: Duration,
    /// The size in bytes of a segment, which becomes readable as a whole; at least 1. Calm: 1 to 64 KiB.
    pub segment: RangeInclusive<usize>,
    /// The size of a socket's send buffer in bytes, including bytes in transit: beyond it, writes are short and datagrams are not
    /// sent. Drawn for each socket; at least 1. Calm: 128 KiB.
    pub send_buffer: RangeInclusive<usize>,
    /// The probability that a write takes less than there is room for (for a datagram, nothing). Room is reported after one
    /// latency. Calm: 0.
    pub short_write: f64,
    /// The probability that a direction of a connection is slow: its reader reads at [`slow_bandwidth`](Self::slow_bandwidth).
    /// Calm: 0.
    pub slow: f64,
    /// The bytes a second of a slow direction. Calm: 1000.
    pub slow_bandwidth: u64,
    /// The probability that a direction of a connection gets stuck: after some bytes (up to 64 KiB) its reader stops reading,
    /// like a hanging program. Calm: 0.
    pub stuck: f64,
    /// The probability that a socket behaves like those of poll(2) and Windows: readiness is reported again only after a call
    /// that returned `WouldBlock`. Calm: 0.
    pub without_edges: f64,
}

impl Faults {
    /// A good local network on which nothing fails.
    #[must_use]
    pub const fn calm() -> Self {
        Self {
            accept_aborted: 0.0,
            accept_out_of_descriptors: 0.0,
            bandwidth: Some(125_000_000),
            connect_fails: 0.0,
            connect_hangs: 0.0,
            connect_refused: 0.0,
            descriptors: usize::MAX,
            duplication: 0.0,
            job: Duration::from_micros(100)..=Duration::from_millis(1),
            latency: Duration::from_micros(200)..=Duration::from_micros(500),
            loss: 0.0,
            lookup: Duration::from_micros(500)..=Duration::from_millis(2),
            lookup_fails: 0.0,
            receive_buffer: 131_072..=131_072,
            reordering: 0.0,
            reset: 0.0,
            retransmission: Duration::from_millis(200)..=Duration::from_millis(400),
            retransmission_timeout: Duration::from_secs(15 * 60),
            segment: 1024..=65536,
            send_buffer: 131_072..=131_072,
            short_write: 0.0,
            slow: 0.0,
            slow_bandwidth: 1000,
            stuck: 0.0,
            without_edges: 0.0,
        }
    }

    /// No delays and unlimited buffers.
    pub(super) const fn none() -> Self {
        const NO_TIME: RangeInclusive<Duration> = Duration::ZERO..=Duration::ZERO;
        Self {
            bandwidth: None,
            job: NO_TIME,
            latency: NO_TIME,
            lookup: NO_TIME,
            receive_buffer: usize::MAX..=usize::MAX,
            segment: usize::MAX..=usize::MAX,
            send_buffer: usize::MAX..=usize::MAX,
            ..Self::calm()
        }
    }

    /// A bad mobile network: long and variable latency, loss, small segments, short writes; but streams lose no data.
    #[must_use]
    pub const fn lossy() -> Self {
        Self {
            bandwidth: Some(250_000),
            duplication: 0.01,
            job: Duration::from_micros(100)..=Duration::from_millis(50),
            latency: Duration::from_millis(5)..=Duration::from_millis(150),
            loss: 0.02,
            lookup: Duration::from_millis(1)..=Duration::from_millis(500),
            receive_buffer: 2048..=131_072,
            reordering: 0.05,
            segment: 1..=1460,
            send_buffer: 2048..=131_072,
            short_write: 0.05,
            ..Self::calm()
        }
    }

    /// Everything fails now and then, and buffers may be a single byte.
    #[must_use]
    pub const fn hostile() -> Self {
        Self {
            accept_aborted: 0.05,
            accept_out_of_descriptors: 0.05,
            connect_fails: 0.03,
            connect_hangs: 0.03,
            connect_refused: 0.03,
            latency: Duration::from_micros(1)..=Duration::from_millis(300),
            lookup_fails: 0.03,
            receive_buffer: 1..=65536,
            reset: 0.003,
            send_buffer: 1..=65536,
            short_write: 0.2,
            slow: 0.05,
            stuck: 0.02,
            without_edges: 0.5,
            ..Self::lossy()
        }
    }
}

impl Default for Faults {
    /// [`Faults::calm`].
    fn default() -> Self {
        Self::calm()
    }
}
