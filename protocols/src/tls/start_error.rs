use std::error::Error;
use std::fmt;

/// Why TLS was not switched on. Except after `Injected`, the connection is unchanged.
#[derive(Clone, Eq, PartialEq)]
#[non_exhaustive]
pub enum StartTlsError {
    /// TLS is on already.
    AlreadyOn,
    /// The connection is lost or closing, in at least one direction. Call it earlier.
    Closed,
    /// Compression is on. TLS goes below it, so it has to be switched on first.
    Compressing,
    /// The configuration cannot be used for this connection.
    Config(String),
    /// Bytes that were sent before TLS have already arrived. The connection ends with
    /// [`TlsError::Injected`](super::TlsError::Injected).
    Injected {
        /// How many.
        bytes: usize,
    },
    /// A client needs the server's name, and this connection was not made to a named host.
    NoServerName,
    /// This transport does not support TLS, or not with this configuration. Connections over sockets do, with the cargo feature
    /// `tls`.
    Unsupported,
}

impl fmt::Display for StartTlsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AlreadyOn => f.write_str("cannot start TLS: it is already on"),
            Self::Closed => f.write_str("cannot start TLS: the connection is closing; call start_tls before lose_connection"),
            Self::Compressing => {
                f.write_str("cannot start TLS: compression is running, and goes above TLS; start TLS first, then compress")
            }
            Self::Config(what) => write!(f, "cannot start TLS with this configuration: {what}"),
            Self::Injected { bytes } => {
                write!(f, "cannot start TLS: {bytes} bytes arrived after the switch and before TLS; the connection is closed")
            }
            Self::NoServerName => {
                f.write_str("cannot start TLS: the server's name is not known; set server_name in the client's configuration")
            }
            Self::Unsupported => {
                f.write_str("this transport cannot do TLS; connections over sockets can, with the cargo feature `tls` of torsade")
            }
        }
    }
}

torsade_reactor::debug_as_display!(StartTlsError);

impl Error for StartTlsError {}
