//! How a connection is made.

use std::net::SocketAddr;
use std::time::Duration;

use torsade_reactor::SocketOptions;

/// How a connection is made.
///
/// # Examples
/// ```
/// use std::time::Duration;
/// use torsade::ConnectOptions;
///
/// let patient = ConnectOptions { timeout: Duration::from_secs(60), ..ConnectOptions::default() };
/// assert_eq!((patient.attempt_delay, patient.bind_address), (Duration::from_millis(250), None));
/// ```
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "made with the update syntax")]
pub struct ConnectOptions {
    /// How long it may take to connect, with the look-up of the name and the attempts at all addresses; 30 s unless set, as in
    /// Twisted.
    pub timeout: Duration,
    /// How long one address of a name is given before the next is tried beside it; 250 ms unless set (RFC 8305, 8; Twisted's
    /// `HostnameEndpoint` has 300 ms).
    #[doc(alias = "attemptDelay")]
    pub attempt_delay: Duration,
    /// How long one address is given to answer, whatever others do; none unless set, which leaves it to
    /// [`timeout`](Self::timeout). An address that is given up is noted in [`ConnectError::EveryAddress`](crate::ConnectError).
    pub attempt_timeout: Option<Duration>,
    /// The address on our side, with port 0 for any that is free; none unless set, which leaves it to the system. One that is not
    /// ours is `AddrNotAvailable`, a port that is in use `AddrInUse`, also for some time after a connection from it was closed.
    ///
    /// Addresses of the other family are not tried then, which is noted like a failure. It is not used for UNIX sockets.
    #[doc(alias = "bindAddress")]
    pub bind_address: Option<SocketAddr>,
    /// What the system is told about the socket.
    pub socket: SocketOptions,
}

impl Default for ConnectOptions {
    fn default() -> Self {
        Self {
            timeout: Duration::from_secs(30),
            attempt_delay: Duration::from_millis(250),
            attempt_timeout: None,
            bind_address: None,
            socket: SocketOptions::default(),
        }
    }
}
