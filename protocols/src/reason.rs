//! Why a connection ended.

use std::error::Error;
use std::fmt;
use std::io;
use std::rc::Rc;

use torsade_reactor::{Escaped, Panic};

use crate::compression::DecompressError;
use crate::proxy_protocol::error::ProxyHeaderError;
use crate::tls::TlsError;

/// Why a connection ended, as passed to [`connection_lost`](crate::Protocol::connection_lost).
///
/// Cheap to clone.
#[derive(Clone)]
#[non_exhaustive]
pub enum Reason {
    /// Outgoing data could not be compressed, because of an internal error.
    CompressFailed(String),
    /// We closed it at once with `abort_connection`; unsent bytes were dropped.
    ConnectionAborted,
    /// It ended gracefully: the peer or we closed it, and everything written was passed to the system.
    #[doc(alias = "Done")]
    ConnectionDone,
    /// The system lost it: a reset by the peer, a broken route, a failed system call.
    ConnectionLost(Rc<io::Error>),
    /// Incoming data could not be decompressed, or its compressed stream was truncated.
    Decompress(DecompressError),
    /// A limit was exceeded.
    LimitExceeded {
        /// What grew too large.
        what: &'static str,
        /// The limit, in bytes.
        limit: usize,
    },
    /// A callback panicked.
    Panicked(Panic),
    /// A callback returned this error.
    Protocol(Rc<dyn Error>),
    /// The connection came through a proxy that did not properly say whose it is.
    ProxyHeader(ProxyHeaderError),
    /// The reactor stopped.
    ShuttingDown,
    /// A deadline passed.
    TimedOut(Deadline),
    /// The TLS handshake failed, or later data violated TLS.
    Tls(TlsError),
    /// The stream ended without a TLS close_notify: the peer crashed, or an attacker truncated it.
    ///
    /// What was delivered is authentic, but there may have been more. For peers that never send close_notify there is
    /// [`set_tls_truncation_allowed`](crate::Transport::set_tls_truncation_allowed).
    TlsTruncated,
}

/// Which deadline passed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Deadline {
    /// While closing, the peer acknowledged nothing more for this long: it does not read, or our own producer produced nothing.
    Flush,
    /// The TLS handshake took too long. Default 30 s, set in the configuration.
    Handshake,
    /// A message (a line, a frame, a string) was begun and its rest did not arrive. Default 60 s, plus one second for each 1,000
    /// bytes of it that have arrived, set by the receiver's `message_timeout`.
    Message,
    /// The PROXY header did not arrive. Default 6 s, set in the [`ProxyProtocolFactory`](crate::ProxyProtocolFactory).
    ProxyHeader,
}

impl Reason {
    /// Returns whether this is one of Twisted's three: done, lost or aborted, not an error of a protocol or layer.
    #[doc(alias = "ConnectionClosed")]
    #[must_use]
    pub const fn is_connection_closed(&self) -> bool {
        matches!(self, Self::ConnectionAborted | Self::ConnectionDone | Self::ConnectionLost(_))
    }

    /// The kind of reason in one word, as in the event log: `ConnectionDone`, `TimedOut`, and so on.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::CompressFailed(_) => "CompressFailed",
            Self::ConnectionAborted => "ConnectionAborted",
            Self::ConnectionDone => "ConnectionDone",
            Self::ConnectionLost(_) => "ConnectionLost",
            Self::Decompress(_) => "Decompress",
            Self::LimitExceeded { .. } => "LimitExceeded",
            Self::Panicked(_) => "Panicked",
            Self::Protocol(_) => "Protocol",
            Self::ProxyHeader(_) => "ProxyHeader",
            Self::ShuttingDown => "ShuttingDown",
            Self::TimedOut(_) => "TimedOut",
            Self::Tls(_) => "Tls",
            Self::TlsTruncated => "TlsTruncated",
        }
    }

    /// Returns whether closing for this reason sends a reset (RST) instead of ending our stream (FIN).
    ///
    /// That is the case when the peer must not mistake what it has received for everything and nothing else would tell it.
    #[must_use]
    pub const fn breaks_off(&self) -> bool {
        match self {
            Self::ConnectionAborted | Self::LimitExceeded { .. } | Self::TimedOut(Deadline::Flush) => true,
            Self::CompressFailed(_)
            | Self::ConnectionDone
            | Self::ConnectionLost(_)
            | Self::Decompress(_)
            | Self::Panicked(_)
            | Self::Protocol(_)
            | Self::ProxyHeader(_)
            | Self::ShuttingDown
            | Self::TimedOut(Deadline::Handshake | Deadline::Message | Deadline::ProxyHeader)
            | Self::Tls(_)
            | Self::TlsTruncated => false,
        }
    }

    /// The log level for the end of a connection: `Warn` for a fault of the peer or the network, `Error` for one of Torsade,
    /// otherwise `Debug`. Errors of callbacks were reported when they happened.
    #[must_use]
    pub const fn log_level(&self) -> log::Level {
        match self {
            Self::CompressFailed(_) | Self::Tls(TlsError::Internal(_)) => log::Level::Error,
            Self::Decompress(_)
            | Self::LimitExceeded { .. }
            | Self::ProxyHeader(_)
            | Self::TimedOut(_)
            | Self::Tls(_)
            | Self::TlsTruncated => log::Level::Warn,
            Self::ConnectionAborted
            | Self::ConnectionDone
            | Self::ConnectionLost(_)
            | Self::Panicked(_)
            | Self::Protocol(_)
            | Self::ShuttingDown => log::Level::Debug,
        }
    }

    /// Returns whether the connection ended gracefully, with nothing lost on our side.
    #[must_use]
    pub const fn is_clean(&self) -> bool {
        matches!(self, Self::ConnectionDone)
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CompressFailed(error) => write!(f, "compressing failed: {}", Escaped(error)),
            Self::ConnectionAborted => f.write_str("connection was aborted by us"),
            Self::ConnectionDone => f.write_str("connection was closed cleanly"),
            Self::ConnectionLost(error) => write!(f, "connection was lost: {error}"),
            Self::Decompress(error) => error.fmt(f),
            Self::LimitExceeded { what, limit } => write!(f, "{what} exceeded its limit of {limit} bytes"),
            Self::Panicked(panic) => write!(f, "a callback {panic}"),
            Self::Protocol(error) => write!(f, "the protocol failed: {}", Escaped(error)),
            Self::ProxyHeader(error) => error.fmt(f),
            Self::ShuttingDown => f.write_str("the reactor is shutting down"),
            Self::TimedOut(Deadline::Flush) => f.write_str("timed out: the peer does not read the unsent bytes"),
            Self::TimedOut(Deadline::Handshake) => f.write_str("timed out: the TLS handshake took too long"),
            Self::TimedOut(Deadline::Message) => f.write_str("timed out: the rest of a message did not arrive"),
            Self::TimedOut(Deadline::ProxyHeader) => f.write_str("timed out: the proxy's header did not arrive"),
            Self::Tls(error) => error.fmt(f),
            Self::TlsTruncated => f.write_str("the connection was cut off: it ended without TLS's close_notify"),
        }
    }
}

torsade_reactor::debug_as_display!(Reason);

impl Error for Reason {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::ConnectionLost(error) => Some(&**error),
            Self::Decompress(error) => Some(error),
            Self::Panicked(panic) => Some(panic),
            Self::Protocol(error) => Some(&**error),
            Self::ProxyHeader(error) => Some(error),
            Self::Tls(error) => Some(error),
            _ => None,
        }
    }
}

impl From<io::Error> for Reason {
    fn from(error: io::Error) -> Self {
        Self::ConnectionLost(Rc::new(error))
    }
}
