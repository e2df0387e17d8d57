//! Options of a TCP socket that are set before it is connected.

use std::time::Duration;

/// Options of a TCP socket, set when it is opened; `None` leaves the system's default.
///
/// For a port they apply to each accepted connection. Options that are not set cost no system call. A simulated world accepts
/// them and ignores them. Source: socket(7), tcp(7), ip(7).
///
/// If the system refuses an option, listening or connecting fails with an error that names it.
///
/// # Examples
/// ```
/// use std::time::Duration;
/// use torsade::{Keepalive, SocketOptions};
///
/// let minute = Duration::from_secs(60);
/// let probed = SocketOptions { keepalive: Some(Keepalive { idle: minute, ..Keepalive::default() }), ..SocketOptions::default() };
/// assert_eq!(probed.user_timeout, None);
/// ```
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "made with the update syntax")]
pub struct SocketOptions {
    /// Keepalive probes of a silent peer; default `None`.
    #[doc(alias = "SO_KEEPALIVE")]
    pub keepalive: Option<Keepalive>,
    /// How long bytes may stay unacknowledged before the connection is lost, in whole milliseconds (Linux; elsewhere
    /// `Unsupported`).
    #[doc(alias = "TCP_USER_TIMEOUT")]
    pub user_timeout: Option<Duration>,
    /// The type of service or traffic class: the byte in each packet's header that networks may use for prioritization.
    #[doc(alias = "IP_TOS")]
    pub tos: Option<u8>,
    /// The size of the system's send buffer in bytes. Linux doubles it for its own overhead.
    #[doc(alias = "SO_SNDBUF")]
    pub send_buffer: Option<usize>,
    /// The size of the system's receive buffer in bytes, likewise.
    #[doc(alias = "SO_RCVBUF")]
    pub receive_buffer: Option<usize>,
}

/// How a silent peer is probed, so that a dead connection is noticed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "made with the update syntax")]
pub struct Keepalive {
    /// The silence before the first probe, in whole seconds; default two hours.
    pub idle: Duration,
    /// The time between probes, in whole seconds; default 75 s.
    pub interval: Duration,
    /// The number of unanswered probes after which the connection is lost; default 9.
    pub retries: u32,
}

impl Default for Keepalive {
    /// Linux's own values.
    fn default() -> Self {
        Self { idle: Duration::from_secs(7200), interval: Duration::from_secs(75), retries: 9 }
    }
}
