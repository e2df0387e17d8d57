//! rustls's errors as ours.

use rustls::{CertificateError, Error, InvalidMessage};
use torsade_protocols::{CertificateProblem, TlsError};

use super::verification::is_authority_shown;

/// Translates an error of a connection. In a handshake, invalid input is reported as another protocol.
pub(super) fn tls_error(error: Error, handshaking: bool) -> TlsError {
    match error {
        Error::AlertReceived(alert) => TlsError::AlertReceived { code: alert.into(), name: format!("{alert:?}") },
        Error::InvalidCertificate(problem) => TlsError::Certificate(certificate_problem(problem)),
        Error::DecryptError => TlsError::Decrypt,
        Error::PeerIncompatible(what) => TlsError::Incompatible(format!("{what:?}")),
        Error::NoApplicationProtocol => TlsError::NoApplicationProtocol,
        Error::NoCertificatesPresented => TlsError::NoCertificate,
        Error::InvalidMessage(InvalidMessage::InvalidContentType | InvalidMessage::UnknownProtocolVersion) if handshaking => {
            TlsError::NotTls
        }
        Error::General(_) | Error::FailedToGetCurrentTime | Error::FailedToGetRandomBytes | Error::EncryptError => {
            TlsError::Internal(error.to_string())
        }
        // All others say what the peer did.
        _ => TlsError::Misbehaved(error.to_string()),
    }
}

fn certificate_problem(problem: CertificateError) -> CertificateProblem {
    match problem {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => CertificateProblem::Expired,
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => CertificateProblem::NotYetValid,
        CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => CertificateProblem::Purpose,
        problem if is_authority_shown(&problem) => CertificateProblem::Authority,
        CertificateError::Revoked => CertificateProblem::Revoked,
        CertificateError::BadSignature
        | CertificateError::UnsupportedSignatureAlgorithmContext { .. }
        | CertificateError::UnsupportedSignatureAlgorithmForPublicKeyContext { .. } => CertificateProblem::Signature,
        CertificateError::UnknownIssuer => CertificateProblem::UnknownIssuer,
        CertificateError::NotValidForName => {
            CertificateProblem::WrongName { expected: "the name that was asked for".into(), presented: Vec::new() }
        }
        CertificateError::NotValidForNameContext { expected, presented } => {
            let presented = presented.iter().map(|name| bare(name).to_owned()).collect();
            CertificateProblem::WrongName { expected: expected.to_str().into_owned(), presented }
        }
        other => CertificateProblem::Malformed(other.to_string()),
    }
}

/// The name alone, out of `DnsName("example.com")`.
fn bare(name: &str) -> &str {
    let inner = name.split_once('(').and_then(|(_, rest)| rest.strip_suffix(')'));
    inner.unwrap_or(name).trim_matches('"')
}
