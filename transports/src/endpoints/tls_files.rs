//! The files that an endpoint's text names for TLS; they are read when it listens or connects.

use std::cell::OnceCell;
use std::rc::Rc;

use torsade_protocols::TlsConfig;
use torsade_reactor::Result;

#[cfg(feature = "tls")]
use crate::tls::{PrivateCertificate, TlsClientConfig, TlsServerConfig, TrustRoots};

/// Those of a server.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct ServerTlsFiles {
    pub(crate) key: String,
    /// The certificate; in the file of the key unless there is another.
    pub(crate) certificate: Option<String>,
    /// What comes between it and a root.
    pub(crate) chain: Option<String>,
}

impl ServerTlsFiles {
    /// Reads them, each time, so that certificates that were renewed are used when the program listens anew.
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

/// Those of a client, and for whom the server's certificate has to be.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct ClientTlsFiles {
    /// The host that is connected to, unless there is another name.
    pub(crate) server_name: Option<String>,
    /// A certificate to show.
    pub(crate) certificate: Option<String>,
    /// Its key; in the same file unless there is another.
    pub(crate) key: Option<String>,
    /// A folder of certificates that are trusted; the system's unless there is one.
    pub(crate) roots: Option<String>,
}

/// What was read of a client's files: once for an endpoint and its clones, since the roots of the system are many, and so that sessions
/// are resumed.
#[derive(Clone, Debug, Default)]
pub(crate) struct ReadOnce(Rc<OnceCell<TlsConfig>>);

/// What was read makes no other endpoint of it.
impl PartialEq for ReadOnce {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl ReadOnce {
    /// Reads the files, if that was not done before.
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
