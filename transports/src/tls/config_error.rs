//! Why a TLS configuration cannot be made.

use std::error::Error;
use std::fmt;
use std::io;
use std::path::PathBuf;

/// Why a TLS configuration cannot be made.
#[non_exhaustive]
pub enum TlsConfigError {
    /// A certificate cannot be used: it is not X.509, or of an unknown kind.
    Certificate(String),
    /// A file cannot be read, or its contents cannot be used.
    File {
        /// The file.
        path: PathBuf,
        /// The system's error, or `InvalidData` around a `TlsConfigError` that says what is wrong with the contents.
        cause: io::Error,
    },
    /// The private key cannot be used: it is not PKCS #8, PKCS #1 or SEC 1, or is encrypted with a passphrase.
    Key(String),
    /// The private key does not belong to the certificate.
    KeyMismatch,
    /// A server needs a certificate, and none was given.
    NoCertificate,
    /// There is no certificate in the PEM text.
    NoCertificateInPem,
    /// There is no private key in the PEM text. A key encrypted with a passphrase does not count.
    NoKeyInPem,
    /// The system's store of trusted roots is empty or cannot be read.
    NoSystemRoots(String),
    /// The text is not PEM, or is truncated. A key that OpenSSL has encrypted in its old format is not PEM either.
    Pem(String),
    /// The name is invalid: a client needs a host name or an IP address, a server a host name.
    ServerName(String),
    /// rustls refuses the configuration.
    Unusable(String),
}

impl fmt::Display for TlsConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Certificate(what) => write!(f, "a certificate cannot be used: {what}"),
            Self::File { path, cause } => write!(f, "cannot read {}: {cause}", path.display()),
            Self::Key(what) => write!(f, "the private key cannot be used: {what}; write it as PKCS #8 without a passphrase"),
            Self::KeyMismatch => f.write_str("the private key does not belong to the certificate; the chain begins with its own"),
            Self::NoCertificate => f.write_str("a TLS server needs a certificate: call `certificate` before `build`"),
            Self::NoCertificateInPem => f.write_str("there is no certificate in the PEM text: look for BEGIN CERTIFICATE"),
            Self::NoKeyInPem => {
                f.write_str("there is no private key in the PEM text: look for BEGIN PRIVATE KEY; decrypt it if it is encrypted")
            }
            Self::NoSystemRoots(what) => {
                write!(f, "the system's trusted roots cannot be loaded ({what}): install them, or name a file of roots")
            }
            Self::Pem(what) => {
                write!(f, "this is not PEM: {what}; it may be cut short, or a key that must be decrypted first")
            }
            Self::ServerName(name) => {
                write!(f, "a server cannot be named {name:?}: write a host name, or for a client an IP address")
            }
            Self::Unusable(what) => write!(f, "the TLS configuration cannot be used: {what}"),
        }
    }
}

torsade_reactor::debug_as_display!(TlsConfigError);

impl Error for TlsConfigError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::File { cause, .. } => Some(cause),
            _ => None,
        }
    }
}
