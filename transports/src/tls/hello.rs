//! What both sides send in their hello: versions and application protocols.

use std::time::Duration;

use torsade_protocols::TlsVersion;

use super::config_error::TlsConfigError;

/// The default timeout of a handshake.
pub(super) const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(30);

/// The most bytes that all application protocols may take together: the whole hello has 64 KiB at most.
const PROTOCOLS: usize = 16_384;

static ONLY_TLS13: &[&rustls::SupportedProtocolVersion] = &[&rustls::version::TLS13];

/// The versions from this one on.
pub(super) fn versions(minimum: TlsVersion) -> &'static [&'static rustls::SupportedProtocolVersion] {
    match minimum {
        TlsVersion::Tls13 => ONLY_TLS13,
        _ => rustls::ALL_VERSIONS,
    }
}

/// Checks that a hello can contain these application protocols: rustls panics at others.
pub(super) fn sendable(protocols: Vec<Vec<u8>>) -> Result<Vec<Vec<u8>>, TlsConfigError> {
    let unusable = |what: &str| Err(TlsConfigError::Unusable(format!("an application protocol (ALPN) {what}")));
    if protocols.iter().any(|name| !(1..=255).contains(&name.len())) {
        return unusable("has a name of 1 to 255 bytes");
    }
    if protocols.iter().map(|name| name.len() + 1).sum::<usize>() > PROTOCOLS {
        return unusable("is one of too many; offer fewer");
    }
    Ok(protocols)
}

/// rustls refuses the configuration.
pub(super) fn unusable(error: rustls::Error) -> TlsConfigError {
    TlsConfigError::Unusable(error.to_string())
}
