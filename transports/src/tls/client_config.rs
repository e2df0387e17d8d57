//! The configuration of a TLS client.

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

/// The configuration of a TLS client; a cheap handle, made once and used for all connections.
///
/// The server's certificate has to be issued by a trusted root, or be one, and be valid for the name that we connect to. Sessions
/// are resumed if the server allows it.
#[derive(Clone)]
#[doc(alias = "optionsForClientTLS")]
#[doc(alias = "ClientContextFactory")]
pub struct TlsClientConfig {
    config: Arc<ClientConfig>,
    server_name: Option<ServerName<'static>>,
    handshake_timeout: Duration,
}

impl TlsClientConfig {
    /// Makes the usual configuration, which trusts the system's roots.
    ///
    /// # Errors
    /// As [`TrustRoots::system`].
    pub fn with_system_roots() -> Result<Self, TlsConfigError> {
        Self::builder().build()
    }

    /// Makes a configuration that trusts only the roots in this PEM file.
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

    /// Returns a copy with these application protocols (ALPN), in order of preference, in place of its own.
    ///
    /// # Errors
    /// `Unusable` if a name has an invalid length (1 to 255 bytes each, 16 KiB in all).
    pub fn with_application_protocols<P: AsRef<[u8]>>(
        &self,
        protocols: impl IntoIterator<Item = P>,
    ) -> Result<Self, TlsConfigError> {
        let mut config = ClientConfig::clone(&self.config);
        config.alpn_protocols = sendable(protocols.into_iter().map(|name| name.as_ref().to_vec()).collect())?;
        Ok(Self { config: Arc::new(config), ..self.clone() })
    }

    /// Sets the server's name unless one is set already: for a connection to another address than the server's, such as a
    /// proxy's.
    ///
    /// # Errors
    /// `ServerName` if the name is invalid.
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
    /// Sets the roots that are trusted. Default: the system's.
    #[must_use]
    pub fn roots(mut self, roots: TrustRoots) -> Self {
        self.trust = Trust::Roots(roots);
        self
    }

    /// Accepts any certificate, so that anybody on the way can read and change everything.
    ///
    /// For experiments only. For a server with a self-signed certificate, pass that certificate to [`roots`](Self::roots)
    /// instead.
    #[must_use]
    pub fn dangerous_no_verification(mut self) -> Self {
        self.trust = Trust::Anyone;
        self
    }

    /// Sets the certificate to present to servers that ask for one (mutual TLS). Default: none.
    #[must_use]
    pub fn certificate(mut self, certificate: PrivateCertificate) -> Self {
        self.certificate = Some(certificate);
        self
    }

    /// Sets the name that the server's certificate must be valid for, and that is sent to the server (SNI; not an IP address).
    ///
    /// Default: the host that we connect to.
    #[doc(alias = "SNI")]
    #[must_use]
    pub fn server_name(mut self, name: &str) -> Self {
        self.server_name = Some(name.to_owned());
        self
    }

    /// Sets the application protocols (ALPN, RFC 7301) to offer, in order of preference. Default: none.
    #[doc(alias = "acceptableProtocols")]
    #[doc(alias = "ALPN")]
    #[must_use]
    pub fn application_protocols<P: AsRef<[u8]>>(mut self, protocols: impl IntoIterator<Item = P>) -> Self {
        self.application_protocols = protocols.into_iter().map(|name| name.as_ref().to_vec()).collect();
        self
    }

    /// Sets the oldest version to accept. Default: TLS 1.2.
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
    /// [`TlsConfigError::NoSystemRoots`] if the system's roots are needed and there are none; `ServerName` if the name is
    /// invalid; `Unusable` if the name of an application protocol has an invalid length (1 to 255 bytes each, 16 KiB in all).
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
