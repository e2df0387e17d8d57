//! What can be set for a TCP socket before it is connected.

use std::time::Duration;

/// What the system is told about a TCP socket when it is opened; what is `None` stays as the system has it.
///
/// For a port it goes for each connection that is accepted. Whoever asks for nothing pays nothing: no system call is made. In a
/// simulated world they are taken and have no effect. Source: socket(7), tcp(7), ip(7).
///
/// What the system refuses is an error of the port or of the attempt to connect, which names the option.
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
    /// Probes of a peer that says nothing; none unless set.
    #[doc(alias = "SO_KEEPALIVE")]
    pub keepalive: Option<Keepalive>,
    /// How long bytes may stay unacknowledged before the connection is lost, in whole milliseconds (Linux; elsewhere `Unsupported`).
    #[doc(alias = "TCP_USER_TIMEOUT")]
    pub user_timeout: Option<Duration>,
    /// The type of service, or traffic class: the byte in each packet's header that networks may rank it by.
    #[doc(alias = "IP_TOS")]
    pub tos: Option<u8>,
    /// How many bytes the system keeps that are to be sent. Linux doubles it, for its own needs.
    #[doc(alias = "SO_SNDBUF")]
    pub send_buffer: Option<usize>,
    /// How many bytes the system keeps that were received, likewise.
    #[doc(alias = "SO_RCVBUF")]
    pub receive_buffer: Option<usize>,
}

/// How a peer that says nothing is probed, so that one that is gone is noticed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "made with the update syntax")]
pub struct Keepalive {
    /// The silence before the first probe, in whole seconds; two hours unless set.
    pub idle: Duration,
    /// The time from one probe to the next, in whole seconds; 75 s unless set.
    pub interval: Duration,
    /// How many probes stay unanswered before the connection is lost; 9 unless set.
    pub retries: u32,
}

impl Default for Keepalive {
    /// Linux's own values.
    fn default() -> Self {
        Self { idle: Duration::from_secs(7200), interval: Duration::from_secs(75), retries: 9 }
    }
}
