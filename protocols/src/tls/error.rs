use std::error::Error;
use std::fmt;

use torsade_reactor::Escaped;

/// Why TLS ended a connection. No unauthenticated data has been delivered.
#[doc(alias = "SSLError")]
#[derive(Clone, Eq, PartialEq)]
#[non_exhaustive]
pub enum TlsError {
    /// The peer sent a fatal alert (RFC 8446, 6.2); most often it does not accept our certificate.
    AlertReceived {
        /// The alert's number.
        code: u8,
        /// Its name, as the TLS library spells it.
        name: String,
    },
    /// We do not accept the peer's certificate.
    Certificate(CertificateProblem),
    /// The peer closed the connection before the handshake was complete.
    ClosedInHandshake,
    /// Data was changed in transit, or encrypted with other keys.
    Decrypt,
    /// The two sides have no version, cipher or key exchange in common.
    Incompatible(String),
    /// Bytes arrived between the command that switched on TLS and TLS itself: a STARTTLS injection, or a peer that does not wait
    /// for the answer.
    Injected {
        /// How many.
        bytes: usize,
    },
    /// An internal or system error: no random numbers, no time.
    Internal(String),
    /// The peer violates the TLS protocol.
    Misbehaved(String),
    /// Both sides named application protocols (ALPN) and have none in common.
    NoApplicationProtocol,
    /// We asked for the peer's certificate and it has none.
    NoCertificate,
    /// The peer's data is not TLS: it is plaintext or another protocol.
    NotTls,
}

impl fmt::Display for TlsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AlertReceived { code, name } => {
                write!(f, "the peer ended TLS with alert {code} ({}); its log says more", Escaped(name))
            }
            Self::Certificate(problem) => write!(f, "the peer's certificate is not accepted: {problem}"),
            Self::ClosedInHandshake => {
                f.write_str("the peer closed the connection during the TLS handshake; it may not speak TLS here")
            }
            Self::Decrypt => f.write_str("a TLS record cannot be decrypted; it was changed in transit"),
            Self::Incompatible(what) => write!(f, "no TLS version or cipher in common with the peer: {}", Escaped(what)),
            Self::Injected { bytes } => write!(
                f,
                "{bytes} bytes arrived before TLS was on; if the peer does not wait for an answer, use start_tls_with_rest"
            ),
            Self::Internal(what) => write!(f, "TLS failed on our side: {}", Escaped(what)),
            Self::Misbehaved(what) => write!(f, "the peer violates the TLS protocol: {}", Escaped(what)),
            Self::NoApplicationProtocol => f.write_str("no application protocol (ALPN) in common with the peer"),
            Self::NoCertificate => f.write_str("the peer sent no certificate, but this port requires one"),
            Self::NotTls => f.write_str("the peer does not speak TLS; check the port, and that both sides switch it on"),
        }
    }
}

torsade_reactor::debug_as_display!(TlsError);

impl Error for TlsError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Certificate(problem) => Some(problem),
            _ => None,
        }
    }
}

/// Why a certificate is not accepted.
#[doc(alias = "CertificateError")]
#[doc(alias = "PeerVerifyError")]
#[doc(alias = "VerifyError")]
#[derive(Clone, Eq, PartialEq)]
#[non_exhaustive]
#[doc(alias = "VerificationError")]
pub enum CertificateProblem {
    /// It is a CA certificate (`CA:TRUE`, the default of `openssl req -x509`), not one for a peer, and is not itself a trusted
    /// root. Have the CA issue one for the peer, or trust exactly this one.
    Authority,
    /// It has expired.
    Expired,
    /// It cannot be parsed, or uses an unsupported feature.
    Malformed(String),
    /// It is not valid yet; one of the two clocks may be wrong.
    NotYetValid,
    /// It is for another purpose: a client's where a server's is needed, or vice versa.
    Purpose,
    /// Its issuer has revoked it.
    Revoked,
    /// A signature is wrong or of an unsupported kind.
    Signature,
    /// Its issuer is not trusted. Self-signed certificates are among these.
    UnknownIssuer,
    /// It is for other names.
    WrongName {
        /// The host name we connect to.
        expected: String,
        /// The names it has, as far as known.
        presented: Vec<String>,
    },
}

impl fmt::Display for CertificateProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Authority => f.write_str(
                "it is an authority's, meant to issue certificates, not to be presented (CA:TRUE, as openssl req -x509 makes \
                 them): have it issue one, or add exactly this one to the trusted roots",
            ),
            Self::Expired => f.write_str("it has expired"),
            Self::Malformed(what) => write!(f, "it cannot be used: {}", Escaped(what)),
            Self::NotYetValid => f.write_str("it is not valid yet; check both clocks"),
            Self::Purpose => f.write_str("it is not meant for this side of a connection"),
            Self::Revoked => f.write_str("it has been revoked"),
            Self::Signature => f.write_str("a signature is wrong or of a kind that is not accepted"),
            Self::UnknownIssuer => f.write_str("its issuer is not among the trusted roots; add the issuer to them"),
            Self::WrongName { expected, presented } => {
                write!(f, "it is not for {}, but for {}", Escaped(expected), Escaped(presented.join(", ")))
            }
        }
    }
}

torsade_reactor::debug_as_display!(CertificateProblem);

impl Error for CertificateProblem {}
