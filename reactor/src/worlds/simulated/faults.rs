//! How badly the simulated world behaves.

use std::ops::RangeInclusive;
use std::time::Duration;

/// How badly a simulated world behaves; plain numbers, drawn from the seed.
///
/// Probabilities are from 0.0 (never) to 1.0 (always). Ranges are drawn from evenly, those of bytes evenly by magnitude,
/// so that one byte is as likely as a full segment. Everything holds for connections within one host as well, except
/// that a host cannot be [parted](super::Simulation::partition) from itself.
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
    /// The probability that an accept takes nobody and fails with ECONNABORTED, its connection reset. Calm: 0.
    pub accept_aborted: f64,
    /// The probability that an accept fails with EMFILE and leaves its connection waiting. Calm: 0.
    pub accept_out_of_descriptors: f64,
    /// Bytes a second in each direction of each connection; none: no limit. Calm: 125 MB/s, a gigabit.
    pub bandwidth: Option<u64>,
    /// The probability that a connect fails at once, as with no route to the network. Calm: 0.
    pub connect_fails: f64,
    /// The probability that a connect is never answered: it ends after 127 s, as on Linux. Calm: 0.
    pub connect_hangs: f64,
    /// The probability that a connect is refused though there is a listener. Calm: 0.
    pub connect_refused: f64,
    /// Descriptors that the program of a host may have for its connections: above that, accepts and connects fail with
    /// EMFILE. Calm: no limit.
    pub descriptors: usize,
    /// The probability that a datagram arrives twice. Calm: 0.
    pub duplication: f64,
    /// How long a job of the thread pool takes. Calm: 0.1 to 1 ms.
    pub job: RangeInclusive<Duration>,
    /// How long a segment is on its way, at least 1 µs. Calm: 0.2 to 0.5 ms.
    pub latency: RangeInclusive<Duration>,
    /// The probability that a segment is lost, and comes after a [`retransmission`](Self::retransmission); a datagram that is lost
    /// does not come. Calm: 0.
    pub loss: f64,
    /// How long looking up a name takes. Calm: 0.5 to 2 ms.
    pub lookup: RangeInclusive<Duration>,
    /// The probability that looking up a known name fails. Calm: 0.
    pub lookup_fails: f64,
    /// Bytes that a socket holds before the program reads them: at 0 bytes of room the peer stops sending, and datagrams are lost.
    /// Drawn for each socket; at least 1. Calm: 128 KiB.
    pub receive_buffer: RangeInclusive<usize>,
    /// The probability that a datagram is held up for as long as two others take, so that later ones overtake it. Otherwise those
    /// of one socket to one host arrive in their order. Calm: 0.
    pub reordering: f64,
    /// The probability, for each segment, that something on the way resets the connection instead. Calm: 0.
    pub reset: f64,
    /// How much later a lost segment comes, and what was held back by a partition. Calm: 200 to 400 ms.
    pub retransmission: RangeInclusive<Duration>,
    /// How long a socket keeps trying to send through a partition before it is lost with ETIMEDOUT, and a closed one to a
    /// peer that does not read. Calm: 15 min.
    pub retransmission_timeout: Duration,
    /// Bytes of one segment, which is what becomes readable at once; at least 1. Calm: 1 to 64 KiB.
    pub segment: RangeInclusive<usize>,
    /// Bytes that a socket holds until the peer's has them: above that, writes are short, and datagrams are not sent. Drawn for each
    /// socket; at least 1. Calm: 128 KiB.
    pub send_buffer: RangeInclusive<usize>,
    /// The probability that a write takes less than there is room for, or nothing, as always of a datagram; room comes after one
    /// latency. Calm: 0.
    pub short_write: f64,
    /// The probability that a direction of a connection is slow: its reader takes only
    /// [`slow_bandwidth`](Self::slow_bandwidth). Calm: 0.
    pub slow: f64,
    /// Bytes a second in a slow direction. Calm: 1000.
    pub slow_bandwidth: u64,
    /// The probability that a direction of a connection gets stuck: after some bytes (up to 64 KiB) its reader takes no
    /// more, as a program that hangs. Calm: 0.
    pub stuck: f64,
    /// The probability that a socket is as those of poll(2) and of Windows: what was reported once is reported again only after a
    /// call that ended with `WouldBlock`. Calm: 0.
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

    /// Nothing takes time, and everything has room.
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

    /// A bad mobile network: long and uneven ways, loss, small segments, short writes; but nothing is lost for good.
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

    /// Everything fails now and then, and buffers may be one byte small.
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
