//! The configuration of a TLS server.

use std::collections::HashMap;
use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustls::ServerConfig;
use rustls::pki_types::DnsName;
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use torsade_protocols::{StartTlsError, TlsVersion};

use super::certificates::{PrivateCertificate, TrustRoots, provider};
use super::config_error::TlsConfigError;
use super::hello::{HANDSHAKE_TIMEOUT, sendable, unusable, versions};
use super::layer::TlsLayer;
use super::server_names::ServerNames;
use super::session::Session;
use super::verification::ClientVerifier;

/// The configuration of a TLS server; a cheap handle, made once and used for all connections.
///
/// Clients can resume their sessions; this value remembers the last 256.
#[derive(Clone)]
#[doc(alias = "CertificateOptions")]
#[doc(alias = "DefaultOpenSSLContextFactory")]
pub struct TlsServerConfig {
    config: Arc<ServerConfig>,
    handshake_timeout: Duration,
}

impl TlsServerConfig {
    /// Makes the usual configuration from PEM files: the certificate chain, leaf first, and the key.
    ///
    /// # Errors
    /// As [`PrivateCertificate::from_pem_files`].
    pub fn from_pem_files(chain: impl AsRef<Path>, key: impl AsRef<Path>) -> Result<Self, TlsConfigError> {
        Self::builder().certificate(PrivateCertificate::from_pem_files(chain, key)?).build()
    }

    /// Begins a configuration with options.
    ///
    /// # Examples
    /// ```no_run
    /// use torsade::{PrivateCertificate, TlsServerConfig, TrustRoots};
    ///
    /// let config = TlsServerConfig::builder()
    ///     .certificate(PrivateCertificate::from_pem_files("chain.pem", "key.pem")?)
    ///     .require_client_certificates(TrustRoots::from_pem_file("clients.pem")?)
    ///     .application_protocols(["h2", "http/1.1"])
    ///     .build()?;
    /// # Ok::<(), torsade::TlsConfigError>(())
    /// ```
    #[must_use]
    pub fn builder() -> TlsServerConfigBuilder {
        TlsServerConfigBuilder {
            certificate: None,
            by_name: HashMap::new(),
            clients: Clients::Anonymous,
            application_protocols: Vec::new(),
            minimum_version: TlsVersion::Tls12,
            handshake_timeout: HANDSHAKE_TIMEOUT,
        }
    }

    pub(super) fn open(&self, now: Duration) -> Result<TlsLayer, StartTlsError> {
        let session = Session::server(Arc::clone(&self.config))?;
        Ok(TlsLayer::new(session, now.saturating_add(self.handshake_timeout)))
    }
}

impl fmt::Debug for TlsServerConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsServerConfig").field("handshake_timeout", &self.handshake_timeout).finish_non_exhaustive()
    }
}

/// The options of a [`TlsServerConfig`].
#[derive(Clone, Debug)]
pub struct TlsServerConfigBuilder {
    certificate: Option<PrivateCertificate>,
    by_name: HashMap<String, PrivateCertificate>,
    clients: Clients,
    application_protocols: Vec<Vec<u8>>,
    minimum_version: TlsVersion,
    handshake_timeout: Duration,
}

/// What is asked of clients.
#[derive(Clone, Debug)]
enum Clients {
    Anonymous,
    MayShow(TrustRoots),
    MustShow(TrustRoots),
}

impl TlsServerConfigBuilder {
    /// Sets the certificate for clients that ask for no name, or for a name without a [`certificate_for`](Self::certificate_for).
    #[must_use]
    pub fn certificate(mut self, certificate: PrivateCertificate) -> Self {
        self.certificate = Some(certificate);
        self
    }

    /// Adds the certificate for clients that ask for this server name (SNI).
    ///
    /// `*.example.com` matches every name with one more label. Without a [`certificate`](Self::certificate), clients that ask
    /// for any other name are refused.
    #[doc(alias = "SNI")]
    #[must_use]
    pub fn certificate_for(mut self, name: &str, certificate: PrivateCertificate) -> Self {
        // A name with a dot at its end is sent without it (RFC 6066, 3).
        let name = name.strip_suffix('.').unwrap_or(name);
        self.by_name.insert(name.to_ascii_lowercase(), certificate);
        self
    }

    /// Refuses every client without a certificate that is issued by these roots, or is one of them (mutual TLS).
    ///
    /// [`Transport::peer_certificates`](torsade_protocols::Transport::peer_certificates) says who the client is. The system's
    /// roots are hardly ever what you want here: anybody can get a certificate from them.
    #[must_use]
    pub fn require_client_certificates(mut self, roots: TrustRoots) -> Self {
        self.clients = Clients::MustShow(roots);
        self
    }

    /// Asks clients for a certificate that is issued by these roots, but also accepts clients without one.
    #[must_use]
    pub fn request_client_certificates(mut self, roots: TrustRoots) -> Self {
        self.clients = Clients::MayShow(roots);
        self
    }

    /// Sets the supported application protocols (ALPN, RFC 7301), in order of preference. Default: none.
    ///
    /// A client that offers protocols, but none of these, is refused; a client that offers none is not.
    #[doc(alias = "IProtocolNegotiationFactory")]
    #[doc(alias = "acceptableProtocols")]
    #[doc(alias = "ALPN")]
    #[must_use]
    pub fn application_protocols<P: AsRef<[u8]>>(mut self, protocols: impl IntoIterator<Item = P>) -> Self {
        self.application_protocols = protocols.into_iter().map(|name| name.as_ref().to_vec()).collect();
        self
    }

    /// Sets the oldest version to accept. Default: TLS 1.2.
    #[doc(alias = "insecurelyLowerMinimumTo")]
    #[doc(alias = "raiseMinimumTo")]
    #[must_use]
    pub const fn minimum_version(mut self, version: TlsVersion) -> Self {
        self.minimum_version = version;
        self
    }

    /// Sets the timeout of a handshake. Default 30 s. After that the connection is lost with
    /// `Reason::TimedOut(Deadline::Handshake)`.
    #[must_use]
    pub const fn handshake_timeout(mut self, timeout: Duration) -> Self {
        self.handshake_timeout = timeout;
        self
    }

    /// Makes the configuration.
    ///
    /// # Errors
    /// [`TlsConfigError::NoCertificate`] if there is none; `ServerName` if the name of one is not a host name; `Unusable` if
    /// the roots for clients cannot be used (there must be at least one), or the name of an application protocol has an invalid
    /// length (1 to 255 bytes each, 16 KiB in all).
    pub fn build(self) -> Result<TlsServerConfig, TlsConfigError> {
        if self.certificate.is_none() && self.by_name.is_empty() {
            return Err(TlsConfigError::NoCertificate);
        }
        for name in self.by_name.keys() {
            let own = name.strip_prefix("*.").unwrap_or(name);
            DnsName::try_from(own).map_err(|_| TlsConfigError::ServerName(name.clone()))?;
        }
        let builder = ServerConfig::builder_with_provider(provider())
            .with_protocol_versions(versions(self.minimum_version))
            .map_err(unusable)?;
        let builder = match client_verifier(self.clients)? {
            Some(verifier) => builder.with_client_cert_verifier(verifier),
            None => builder.with_no_client_auth(),
        };
        let names = ServerNames {
            default: self.certificate.map(|certificate| certificate.0),
            by_name: self.by_name.into_iter().map(|(name, certificate)| (name, certificate.0)).collect(),
        };
        let mut config = builder.with_cert_resolver(Arc::new(names));
        config.alpn_protocols = sendable(self.application_protocols)?;
        Ok(TlsServerConfig { config: Arc::new(config), handshake_timeout: self.handshake_timeout })
    }
}

fn client_verifier(clients: Clients) -> Result<Option<Arc<dyn ClientCertVerifier>>, TlsConfigError> {
    let (roots, optional) = match clients {
        Clients::Anonymous => return Ok(None),
        Clients::MayShow(roots) => (roots, true),
        Clients::MustShow(roots) => (roots, false),
    };
    let mut verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots.store.clone()), provider());
    if optional {
        verifier = verifier.allow_unauthenticated();
    }
    let issued = verifier.build().map_err(|error| TlsConfigError::Unusable(format!("{error}; clients need at least one")))?;
    Ok(Some(Arc::new(ClientVerifier { roots, issued })))
}
