//! Why a datagram was not sent.

use std::error::Error;
use std::fmt;
use std::io;

use crate::address::Address;

/// Why a datagram was dropped instead of being sent.
#[non_exhaustive]
pub enum DatagramError {
    /// The address does not fit this transport: another IP version, or not a datagram address. A transport on `0.0.0.0` sends to
    /// IPv4, one on `[::]` to IPv6.
    #[doc(alias = "InvalidAddressError")]
    Address {
        /// The local address.
        host: Address,
        /// The destination.
        to: Address,
    },
    /// There was no room in the system's send buffer, or on a UNIX socket in the peer's. Send less at a time, or later.
    Full,
    /// The system refused: no route, a broadcast that is not [allowed](crate::DatagramTransport::set_broadcast_allowed), or no
    /// socket at a UNIX address.
    Io {
        /// The destination.
        to: Address,
        /// The system's error.
        cause: io::Error,
    },
    /// No address was given and the transport is not connected: use [`write_to`](crate::DatagramTransport::write_to).
    NotConnected,
    /// The datagram is longer than the socket can send: 65,507 bytes over IPv4; over a UNIX socket, the size of the send buffer.
    #[doc(alias = "MessageLengthError")]
    TooLong {
        /// Its length in bytes.
        length: usize,
    },
}

impl DatagramError {
    /// Classifies an error of [`send_to`](torsade_reactor::spi::Datagrams::send_to).
    pub fn new(cause: io::Error, length: usize, host: Address, to: &Address) -> Self {
        match cause.kind() {
            io::ErrorKind::WouldBlock => Self::Full,
            io::ErrorKind::FileTooLarge => Self::TooLong { length },
            io::ErrorKind::InvalidInput => Self::Address { host, to: to.clone() },
            _ => Self::Io { to: to.clone(), cause },
        }
    }
}

impl fmt::Display for DatagramError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address { host, to } => {
                write!(f, "a transport on {host} cannot send to {to}: use a datagram address of the same kind")
            }
            Self::Full => f.write_str("the send buffer is full: send less at a time"),
            Self::Io { to, cause } if cause.kind() == io::ErrorKind::PermissionDenied && to.ip().is_some() => {
                write!(f, "sending to {to} is not permitted; for a broadcast, call set_broadcast_allowed(true): {cause}")
            }
            Self::Io { to, cause } => write!(f, "sending to {to} failed: {cause}"),
            Self::NotConnected => {
                f.write_str("the datagram has no address, and the transport is not connected: use write_to, or connect it first")
            }
            Self::TooLong { length } => write!(f, "a datagram cannot be {length} bytes long"),
        }
    }
}

torsade_reactor::debug_as_display!(DatagramError);

impl Error for DatagramError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        if let Self::Io { cause, .. } = self { Some(cause) } else { None }
    }
}
