//! TLS on a live connection.

use super::Transport;
use crate::tls::{AlreadyReceived, StartTlsError, TlsConfig, TlsInfo};

/// The TLS of a [`Connection`](crate::spi::Connection). Each method is the one of the same name on [`Transport`].
pub trait ConnectionTls {
    /// Switches TLS on; `rest` is what the protocol had been given already of what came after the switch.
    ///
    /// # Errors
    /// As described at [`StartTlsError`].
    fn start_tls(&self, config: &TlsConfig, rest: &[u8], already: AlreadyReceived) -> Result<(), StartTlsError>;

    /// Whether a handshake is under way.
    fn is_handshaking(&self) -> bool;

    /// What the handshake agreed on.
    fn tls_info(&self) -> Option<TlsInfo>;

    /// Takes an end without close_notify for a proper one.
    fn set_tls_truncation_allowed(&self, allowed: bool);
}

/// # TLS
/// From the start by `listen_tls` and `connect_tls`, in mid-stream by `start_tls`; all with the cargo feature `tls`.
impl Transport {
    /// Encrypts everything from here on, in both directions (STARTTLS); the handshake begins.
    ///
    /// Takes a `TlsServerConfig` or a `TlsClientConfig`, which decides whose part we play. What was written before leaves
    /// in plaintext, what is written from now on is held until the handshake is complete, and then sent encrypted. Data is
    /// delivered once it is authenticated, after [`handshake_completed`](crate::Protocol::handshake_completed); a
    /// handshake that fails ends the connection with `Reason::Tls`.
    ///
    /// Bytes that came in behind the command that switches are **refused**: whoever sits between the peers could have
    /// put them there. Those that the transport still holds end the connection, with
    /// [`TlsError::Injected`](crate::TlsError::Injected); those in the hands of a protocol it must not use any more (a
    /// [`LineTransport`](crate::LineTransport) finds them by itself).
    ///
    /// Compression goes above TLS: switch it on afterwards.
    ///
    /// # Errors
    /// [`StartTlsError::AlreadyOn`], `Compressing`, `Closed`; `NoServerName` for a client whose configuration names none,
    /// on a connection that was not made to a host; `Injected` (the connection ends then); `Unsupported` by a transport
    /// that is no connection, such as a test double, or without the cargo feature `tls`.
    #[doc(alias = "startTLS")]
    #[doc(alias = "ITLSTransport")]
    pub fn start_tls(&self, config: impl Into<TlsConfig>) -> Result<(), StartTlsError> {
        self.start_tls_after(&config.into(), b"", AlreadyReceived::Refuse)
    }

    /// The same, where the peer begins its TLS without waiting: after a PROXY header, for instance.
    ///
    /// `rest` is what the protocol was given of it, behind the command that switches. Use it only if nobody could gain by
    /// putting bytes there: they are read as TLS, never as data.
    ///
    /// # Errors
    /// As [`start_tls`](Self::start_tls); `Injected` only for bytes that were given back by [`unread`](Self::unread) before.
    pub fn start_tls_with_rest(&self, config: impl Into<TlsConfig>, rest: &[u8]) -> Result<(), StartTlsError> {
        self.start_tls_after(&config.into(), rest, AlreadyReceived::IsTls)
    }

    /// [`start_tls`](Self::start_tls) for an adapter that keeps a buffer: it says itself what becomes of `rest`.
    pub(crate) fn start_tls_after(&self, config: &TlsConfig, rest: &[u8], already: AlreadyReceived) -> Result<(), StartTlsError> {
        self.0.tls().ok_or(StartTlsError::Unsupported)?.start_tls(config, rest, already)
    }

    /// Whether a TLS handshake is under way: no data comes meanwhile, and what is written waits.
    ///
    /// An adapter that still has bytes while this is so has got them in plaintext, before the switch; it must not deliver
    /// them. Given to [`unread`](Self::unread) they end the connection, as injected.
    #[must_use]
    pub fn is_handshaking(&self) -> bool {
        self.0.tls().is_some_and(ConnectionTls::is_handshaking)
    }

    /// What the TLS handshake agreed on: version, certificates, names.
    ///
    /// None without TLS, before [`handshake_completed`](crate::Protocol::handshake_completed), and once the connection is
    /// lost.
    #[doc(alias = "ISSLTransport")]
    #[must_use]
    pub fn tls_info(&self) -> Option<TlsInfo> {
        self.0.tls()?.tls_info()
    }

    /// The peer's certificate chain in DER, its own first; empty if it sent none, or without TLS.
    #[doc(alias = "getPeerCertificate")]
    #[must_use]
    pub fn peer_certificates(&self) -> Vec<Vec<u8>> {
        self.tls_info().map_or_else(Vec::new, |info| info.peer_certificates)
    }

    /// The application protocol that was agreed on (ALPN); none if there was no agreement, or without TLS.
    #[doc(alias = "negotiatedProtocol")]
    #[doc(alias = "INegotiated")]
    #[must_use]
    pub fn negotiated_protocol(&self) -> Option<Vec<u8>> {
        self.tls_info()?.negotiated_protocol
    }

    /// The name that the client asked for (SNI); for servers only, and none if it named none.
    #[must_use]
    pub fn server_name(&self) -> Option<String> {
        self.tls_info()?.server_name
    }

    /// Takes an end without TLS's close_notify for a proper one, or (unless set) for `Reason::TlsTruncated`.
    ///
    /// Set it only where the protocol itself says where its messages end: whoever sits between can cut the stream.
    pub fn set_tls_truncation_allowed(&self, allowed: bool) {
        if let Some(tls) = self.0.tls() {
            tls.set_tls_truncation_allowed(allowed);
        }
    }
}
