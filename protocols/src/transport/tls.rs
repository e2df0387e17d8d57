//! TLS on a live connection.

use super::Transport;
use crate::tls::{AlreadyReceived, StartTlsError, TlsConfig, TlsInfo};

/// The TLS of a [`Connection`](crate::spi::Connection). Each method implements the one of the same name on [`Transport`].
pub trait ConnectionTls {
    /// Switches on TLS; `rest` holds bytes after the switch that were already delivered to the protocol.
    ///
    /// # Errors
    /// See [`StartTlsError`].
    fn start_tls(&self, config: &TlsConfig, rest: &[u8], already: AlreadyReceived) -> Result<(), StartTlsError>;

    /// Returns whether a handshake is under way.
    fn is_handshaking(&self) -> bool;

    /// The result of the handshake.
    fn tls_info(&self) -> Option<TlsInfo>;

    /// Sets whether a stream end without close_notify counts as a proper one.
    fn set_tls_truncation_allowed(&self, allowed: bool);
}

/// # TLS
/// From the start with `listen_tls` and `connect_tls`, in mid-stream with `start_tls`; all need the cargo feature `tls`.
impl Transport {
    /// Encrypts everything from here on, in both directions (STARTTLS), and begins the handshake.
    ///
    /// Takes a `TlsServerConfig` or a `TlsClientConfig`, which determines our side of the handshake. What was written before is
    /// sent as plaintext; what is written from now on is held until the handshake is complete, and then sent encrypted. Data is
    /// delivered once it is authenticated, after [`handshake_completed`](crate::Protocol::handshake_completed). A failed
    /// handshake ends the connection with `Reason::Tls`.
    ///
    /// Bytes that arrived after the command that switches are **refused**, because an attacker in the middle could have sent
    /// them. Those that the transport still holds end the connection, with [`TlsError::Injected`](crate::TlsError::Injected). A
    /// protocol must not use those it holds itself (a [`LineTransport`](crate::LineTransport) takes care of that).
    ///
    /// Compression goes above TLS: switch it on afterwards.
    ///
    /// # Errors
    /// [`StartTlsError::AlreadyOn`], `Compressing`, `Closed`; `NoServerName` for a client whose configuration has no name, on a
    /// connection that was not made to a host name; `Injected` (the connection then ends); `Unsupported` by a transport that is
    /// not a connection, such as a test double, or without the cargo feature `tls`.
    #[doc(alias = "startTLS")]
    #[doc(alias = "ITLSTransport")]
    pub fn start_tls(&self, config: impl Into<TlsConfig>) -> Result<(), StartTlsError> {
        self.start_tls_after(&config.into(), b"", AlreadyReceived::Refuse)
    }

    /// The same for a peer that begins TLS without waiting, for example after a PROXY header.
    ///
    /// `rest` holds bytes after the switch that were already delivered to the protocol. Use it only if an attacker could not gain
    /// from inserting bytes there: they are read as TLS, never as data.
    ///
    /// # Errors
    /// See [`start_tls`](Self::start_tls); `Injected` only for bytes that were given back with [`unread`](Self::unread) before.
    pub fn start_tls_with_rest(&self, config: impl Into<TlsConfig>, rest: &[u8]) -> Result<(), StartTlsError> {
        self.start_tls_after(&config.into(), rest, AlreadyReceived::IsTls)
    }

    /// [`start_tls`](Self::start_tls) for an adapter with a buffer, which says how to treat `rest`.
    pub(crate) fn start_tls_after(&self, config: &TlsConfig, rest: &[u8], already: AlreadyReceived) -> Result<(), StartTlsError> {
        self.0.tls().ok_or(StartTlsError::Unsupported)?.start_tls(config, rest, already)
    }

    /// Returns whether a TLS handshake is under way: no data is delivered meanwhile, and what is written waits.
    ///
    /// If an adapter still holds bytes then, they are plaintext from before the switch, and it must not deliver them. Passing
    /// them to [`unread`](Self::unread) ends the connection, as injected.
    #[must_use]
    pub fn is_handshaking(&self) -> bool {
        self.0.tls().is_some_and(ConnectionTls::is_handshaking)
    }

    /// The result of the TLS handshake: version, certificates, names.
    ///
    /// `None` without TLS, before [`handshake_completed`](crate::Protocol::handshake_completed), and once the connection is lost.
    #[doc(alias = "ISSLTransport")]
    #[must_use]
    pub fn tls_info(&self) -> Option<TlsInfo> {
        self.0.tls()?.tls_info()
    }

    /// The peer's certificate chain in DER, its own certificate first; empty if it sent none, or without TLS.
    #[doc(alias = "getPeerCertificate")]
    #[must_use]
    pub fn peer_certificates(&self) -> Vec<Vec<u8>> {
        self.tls_info().map_or_else(Vec::new, |info| info.peer_certificates)
    }

    /// The common name (CN) in the peer's certificate: [`TlsInfo::peer_common_name`](crate::TlsInfo::peer_common_name).
    ///
    /// On a server that requires client certificates this says who the client is, according to the authority that it trusts.
    #[doc(alias = "getSubject")]
    #[doc(alias = "peerFromTransport")]
    #[must_use]
    pub fn peer_common_name(&self) -> Option<String> {
        self.tls_info()?.peer_common_name()
    }

    /// The negotiated application protocol (ALPN); `None` if none was negotiated, or without TLS.
    #[doc(alias = "negotiatedProtocol")]
    #[doc(alias = "INegotiated")]
    #[must_use]
    pub fn negotiated_protocol(&self) -> Option<Vec<u8>> {
        self.tls_info()?.negotiated_protocol
    }

    /// The host name the client asked for (SNI); servers only. `None` if it sent none.
    #[must_use]
    pub fn server_name(&self) -> Option<String> {
        self.tls_info()?.server_name
    }

    /// Sets whether a stream end without a TLS close_notify counts as a proper one; by default it is `Reason::TlsTruncated`.
    ///
    /// Set it only if the protocol itself says where its messages end: an attacker in the middle can truncate the stream.
    pub fn set_tls_truncation_allowed(&self, allowed: bool) {
        if let Some(tls) = self.0.tls() {
            tls.set_tls_truncation_allowed(allowed);
        }
    }
}
