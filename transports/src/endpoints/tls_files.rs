//! The TLS files that an endpoint's text names; they are read when it listens or connects.

use std::cell::OnceCell;
use std::rc::Rc;

use torsade_protocols::TlsConfig;
use torsade_reactor::Result;

#[cfg(feature = "tls")]
use crate::tls::{PrivateCertificate, TlsClientConfig, TlsServerConfig, TrustRoots};

/// A server's files.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct ServerTlsFiles {
    pub(crate) key: String,
    /// The certificate; `None` if it is in the key's file.
    pub(crate) certificate: Option<String>,
    /// The intermediate certificates.
    pub(crate) chain: Option<String>,
}

impl ServerTlsFiles {
    /// Reads the files each time, so that listening again uses renewed certificates.
    #[cfg(feature = "tls")]
    pub(crate) fn read(&self) -> Result<TlsConfig> {
        let chain = [Some(self.certificate.as_ref().unwrap_or(&self.key)), self.chain.as_ref()];
        let certificate = PrivateCertificate::from_pem_files_of_chain(chain.into_iter().flatten(), &self.key)?;
        Ok(TlsConfig::from(&TlsServerConfig::builder().certificate(certificate).build()?))
    }

    #[cfg(not(feature = "tls"))]
    pub(crate) fn read(&self) -> Result<TlsConfig> {
        Err(NOT_BUILT.into())
    }
}

/// A client's files, and the name that the server's certificate must have.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct ClientTlsFiles {
    /// `None` for the host that we connect to.
    pub(crate) server_name: Option<String>,
    /// A certificate to present.
    pub(crate) certificate: Option<String>,
    /// Its key; `None` if it is in the certificate's file.
    pub(crate) key: Option<String>,
    /// A folder of trusted certificates; `None` for the system's.
    pub(crate) roots: Option<String>,
}

/// The configuration from a client's files, read once for an endpoint and its clones: the system has many roots, and sessions can
/// then be resumed.
#[derive(Clone, Debug, Default)]
pub(crate) struct ReadOnce(Rc<OnceCell<TlsConfig>>);

/// Always equal: having read the files does not make an endpoint different.
impl PartialEq for ReadOnce {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl ReadOnce {
    /// Reads the files the first time.
    pub(crate) fn read(&self, files: &ClientTlsFiles) -> Result<TlsConfig> {
        if let Some(config) = self.0.get() {
            return Ok(config.clone());
        }
        let config = files.read()?;
        Ok(self.0.get_or_init(|| config).clone())
    }
}

impl ClientTlsFiles {
    #[cfg(feature = "tls")]
    fn read(&self) -> Result<TlsConfig> {
        let mut builder = TlsClientConfig::builder();
        if let Some(folder) = &self.roots {
            builder = builder.roots(TrustRoots::from_pem_folder(folder)?);
        }
        if let Some(certificate) = &self.certificate {
            let key = self.key.as_ref().unwrap_or(certificate);
            builder = builder.certificate(PrivateCertificate::from_pem_files(certificate, key)?);
        }
        if let Some(name) = &self.server_name {
            builder = builder.server_name(name);
        }
        Ok(TlsConfig::from(&builder.build()?))
    }

    #[cfg(not(feature = "tls"))]
    fn read(&self) -> Result<TlsConfig> {
        Err(NOT_BUILT.into())
    }
}

#[cfg(not(feature = "tls"))]
const NOT_BUILT: &str = "TLS is not built in: build with the feature `tls` of torsade";
