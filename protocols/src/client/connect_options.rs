//! Options of an outgoing connection.

use std::net::SocketAddr;
use std::time::Duration;

use torsade_reactor::SocketOptions;

/// Options of an outgoing connection.
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
    /// How long connecting may take in all, including looking up the name and trying every address. Default 30 s, as in Twisted.
    pub timeout: Duration,
    /// How long to wait for one of a name's addresses before trying the next in parallel. Default 250 ms (RFC 8305, 8; Twisted's
    /// `HostnameEndpoint` uses 300 ms).
    #[doc(alias = "attemptDelay")]
    pub attempt_delay: Duration,
    /// How long a single address may take to answer. Default `None`: only [`timeout`](Self::timeout) applies. An address that
    /// times out is listed in [`ConnectError::EveryAddress`](crate::ConnectError).
    pub attempt_timeout: Option<Duration>,
    /// The local address to connect from; port 0 takes any free port. Default `None`: the system chooses. An address that is not
    /// local fails with `AddrNotAvailable`. A port in use fails with `AddrInUse`, which includes a port whose last connection was
    /// closed a short while ago.
    ///
    /// Addresses of the other IP version are then not tried, and count as failed. UNIX sockets ignore this option.
    #[doc(alias = "bindAddress")]
    pub bind_address: Option<SocketAddr>,
    /// Options of the socket.
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
