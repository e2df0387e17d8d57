//! What is wrong with a PROXY header.

use std::error::Error;
use std::fmt;

/// Why a PROXY header was not accepted.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum ProxyHeaderError {
    /// The first bytes are not a header: the peer is not a proxy, or is not configured to send one.
    Absent,
    /// Its CRC32C does not match: it was changed in transit.
    Checksum,
    /// It is longer than this limit, in bytes.
    TooLong(usize),
    /// It violates the specification in this way.
    Malformed(&'static str),
}

impl fmt::Display for ProxyHeaderError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Absent => f.write_str("the peer sent no PROXY header: have the proxy send one (send-proxy-v2), or expect none"),
            Self::Checksum => f.write_str("the PROXY header's checksum does not match"),
            Self::TooLong(limit) => write!(f, "the PROXY header is longer than {limit} bytes"),
            Self::Malformed(what) => write!(f, "the PROXY header is malformed: {what}"),
        }
    }
}

impl Error for ProxyHeaderError {}
