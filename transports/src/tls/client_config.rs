//! The configuration of the client's side.

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use torsade_protocols::{Host, StartTlsError, TlsVersion};

use super::certificates::{PrivateCertificate, TrustRoots, provider};
use super::config_error::TlsConfigError;
use super::hello::{HANDSHAKE_TIMEOUT, sendable, unusable, versions};
use super::layer::TlsLayer;
use super::session::Session;
use super::verification::ServerVerifier;

/// How we speak TLS as a client; a cheap handle, made once and used for all connections.
///
/// The server's certificate has to be issued by a trusted root, or be one, and be for the name that we connect to. Sessions
/// are resumed where the server allows it.
#[derive(Clone)]
#[doc(alias = "optionsForClientTLS")]
#[doc(alias = "ClientContextFactory")]
pub struct TlsClientConfig {
    config: Arc<ClientConfig>,
    server_name: Option<ServerName<'static>>,
    handshake_timeout: Duration,
}

impl TlsClientConfig {
    /// The usual configuration: servers that the system's roots vouch for.
    ///
    /// # Errors
    /// As [`TrustRoots::system`].
    pub fn with_system_roots() -> Result<Self, TlsConfigError> {
        Self::builder().build()
    }

    /// Servers whose issuers are in this PEM file, and no others.
    ///
    /// # Errors
    /// As [`TrustRoots::from_pem_file`].
    pub fn with_roots_file(path: impl AsRef<Path>) -> Result<Self, TlsConfigError> {
        Self::builder().roots(TrustRoots::from_pem_file(path)?).build()
    }

    /// Begins a configuration with options.
    ///
    /// # Examples
    /// ```no_run
    /// use torsade::{PrivateCertificate, TlsClientConfig, TrustRoots};
    ///
    /// let config = TlsClientConfig::builder()
    ///     .roots(TrustRoots::from_pem_file("ca.pem")?)
    ///     .certificate(PrivateCertificate::from_pem_files("me.pem", "me.key")?)
    ///     .server_name("example.com")
    ///     .build()?;
    /// # Ok::<(), torsade::TlsConfigError>(())
    /// ```
    #[must_use]
    pub fn builder() -> TlsClientConfigBuilder {
        TlsClientConfigBuilder {
            trust: Trust::System,
            certificate: None,
            server_name: None,
            application_protocols: Vec::new(),
            minimum_version: TlsVersion::Tls12,
            handshake_timeout: HANDSHAKE_TIMEOUT,
        }
    }

    /// The same with these application protocols (ALPN) in place of its own, the best first.
    ///
    /// # Errors
    /// `Unusable` if one of them cannot be named (1 to 255 bytes each, 16 KiB in all).
    pub fn with_application_protocols<P: AsRef<[u8]>>(
        &self,
        protocols: impl IntoIterator<Item = P>,
    ) -> Result<Self, TlsConfigError> {
        let mut config = ClientConfig::clone(&self.config);
        config.alpn_protocols = sendable(protocols.into_iter().map(|name| name.as_ref().to_vec()).collect())?;
        Ok(Self { config: Arc::new(config), ..self.clone() })
    }

    /// The same for a server of this name, unless it names one already: for connections whose address is not the server's own,
    /// such as one through a proxy.
    ///
    /// # Errors
    /// `ServerName` if nobody can have that name.
    pub fn or_server_name(mut self, name: &str) -> Result<Self, TlsConfigError> {
        if self.server_name.is_none() {
            let name = ServerName::try_from(name.to_owned()).map_err(|_| TlsConfigError::ServerName(name.to_owned()))?;
            self.server_name = Some(name);
        }
        Ok(self)
    }

    pub(super) fn open(&self, host: Option<&Host>, now: Duration) -> Result<TlsLayer, StartTlsError> {
        let name = match (&self.server_name, host) {
            (Some(name), _) => name.clone(),
            (None, Some(Host::Ip(ip))) => ServerName::IpAddress((*ip).into()),
            (None, Some(Host::Name(name))) => ServerName::try_from(name.clone())
                .map_err(|_| StartTlsError::Config(format!("no certificate can be for {name:?}; set server_name")))?,
            (None, None) => return Err(StartTlsError::NoServerName),
        };
        let session = Session::client(Arc::clone(&self.config), name)?;
        Ok(TlsLayer::new(session, now.saturating_add(self.handshake_timeout)))
    }
}

impl fmt::Debug for TlsClientConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsClientConfig")
            .field("server_name", &self.server_name)
            .field("handshake_timeout", &self.handshake_timeout)
            .finish_non_exhaustive()
    }
}

/// The options of a [`TlsClientConfig`].
#[derive(Clone, Debug)]
pub struct TlsClientConfigBuilder {
    trust: Trust,
    certificate: Option<PrivateCertificate>,
    server_name: Option<String>,
    application_protocols: Vec<Vec<u8>>,
    minimum_version: TlsVersion,
    handshake_timeout: Duration,
}

#[derive(Clone, Debug)]
enum Trust {
    Anyone,
    Roots(TrustRoots),
    System,
}

impl TlsClientConfigBuilder {
    /// Sets whose servers are trusted; the system's roots unless set.
    #[must_use]
    pub fn roots(mut self, roots: TrustRoots) -> Self {
        self.trust = Trust::Roots(roots);
        self
    }

    /// Accepts any certificate of anybody, so that whoever sits between can read and change everything.
    ///
    /// For experiments only. To reach a server with a certificate of its own making, give that certificate to
    /// [`roots`](Self::roots) instead.
    #[must_use]
    pub fn dangerous_no_verification(mut self) -> Self {
        self.trust = Trust::Anyone;
        self
    }

    /// Sets the certificate that we show to servers that ask for one (mutual TLS); none unless set.
    #[must_use]
    pub fn certificate(mut self, certificate: PrivateCertificate) -> Self {
        self.certificate = Some(certificate);
        self
    }

    /// Sets the name that the server's certificate has to have, and that is sent to it (SNI; not if it is an IP address).
    ///
    /// Unless set it is the host that was connected to.
    #[doc(alias = "SNI")]
    #[must_use]
    pub fn server_name(mut self, name: &str) -> Self {
        self.server_name = Some(name.to_owned());
        self
    }

    /// Sets the application protocols (ALPN, RFC 7301) that we offer, the best first; none unless set.
    #[doc(alias = "acceptableProtocols")]
    #[doc(alias = "ALPN")]
    #[must_use]
    pub fn application_protocols<P: AsRef<[u8]>>(mut self, protocols: impl IntoIterator<Item = P>) -> Self {
        self.application_protocols = protocols.into_iter().map(|name| name.as_ref().to_vec()).collect();
        self
    }

    /// Sets the oldest version that is spoken; TLS 1.2 unless set.
    #[must_use]
    pub const fn minimum_version(mut self, version: TlsVersion) -> Self {
        self.minimum_version = version;
        self
    }

    /// Sets how long a handshake may take; 30 s unless set. After that the connection is lost, with
    /// `Reason::TimedOut(Deadline::Handshake)`.
    #[must_use]
    pub const fn handshake_timeout(mut self, timeout: Duration) -> Self {
        self.handshake_timeout = timeout;
        self
    }

    /// Makes the configuration.
    ///
    /// # Errors
    /// [`TlsConfigError::NoSystemRoots`] where those are wanted and there are none; `ServerName` if nobody can have that name;
    /// `Unusable` if an application protocol cannot be named (1 to 255 bytes each, 16 KiB in all).
    pub fn build(self) -> Result<TlsClientConfig, TlsConfigError> {
        let server_name = match self.server_name {
            Some(name) => Some(ServerName::try_from(name.clone()).map_err(|_| TlsConfigError::ServerName(name))?),
            None => None,
        };
        let provider = provider();
        let algorithms = provider.signature_verification_algorithms;
        let builder = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(versions(self.minimum_version))
            .map_err(unusable)?;
        let roots = match self.trust {
            Trust::Anyone => None,
            Trust::Roots(roots) => Some(roots),
            Trust::System => Some(TrustRoots::system()?),
        };
        let verifier = Arc::new(ServerVerifier { roots, algorithms });
        let builder = builder.dangerous().with_custom_certificate_verifier(verifier);
        let mut config = match self.certificate {
            Some(certificate) => {
                let one = rustls::sign::SingleCertAndKey::from(certificate.0);
                builder.with_client_cert_resolver(Arc::new(one))
            }
            None => builder.with_no_client_auth(),
        };
        config.alpn_protocols = sendable(self.application_protocols)?;
        Ok(TlsClientConfig { config: Arc::new(config), server_name, handshake_timeout: self.handshake_timeout })
    }
}
