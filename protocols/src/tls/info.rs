use std::fmt;

use super::common_name::common_name;

/// A version of TLS. Older ones are not supported.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[non_exhaustive]
#[doc(alias = "TLSVersion")]
pub enum TlsVersion {
    /// TLS 1.2, RFC 5246.
    Tls12,
    /// TLS 1.3, RFC 8446.
    Tls13,
}

impl fmt::Display for TlsVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tls12 => "TLS 1.2",
            Self::Tls13 => "TLS 1.3",
        })
    }
}

/// The result of a TLS handshake; available from `handshake_completed` until the connection is lost.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct TlsInfo {
    /// The cipher suite, as IANA names it.
    pub cipher_suite: String,
    /// The negotiated application protocol (ALPN); `None` if a side offered none.
    pub negotiated_protocol: Option<Vec<u8>>,
    /// The peer's certificate chain in DER, its own certificate first; empty if it sent none.
    pub peer_certificates: Vec<Vec<u8>>,
    /// Whether the session was resumed: its keys come from an earlier one, and no certificate was sent.
    pub resumed: bool,
    /// On the server, the host name the client sent (SNI), in lower case; `None` if it sent none.
    pub server_name: Option<String>,
    /// The version of TLS.
    pub version: TlsVersion,
}

impl TlsInfo {
    /// The common name (CN) in the peer's certificate: the first one of its subject.
    ///
    /// None if it sent no certificate, or one without a common name, or with one that is neither ASCII nor UTF-8.
    #[must_use]
    pub fn peer_common_name(&self) -> Option<String> {
        common_name(self.peer_certificates.first()?)
    }

    /// For implementations of TLS and test doubles.
    #[must_use]
    pub const fn new(version: TlsVersion, cipher_suite: String) -> Self {
        Self {
            cipher_suite,
            negotiated_protocol: None,
            peer_certificates: Vec::new(),
            resumed: false,
            server_name: None,
            version,
        }
    }
}
