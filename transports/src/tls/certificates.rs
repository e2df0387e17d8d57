//! Certificates: our own with their keys, and those that we trust.

use std::collections::HashSet;
use std::fmt;
use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;

use rustls::RootCertStore;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;

use super::config_error::TlsConfigError;

/// A certificate of ours: its chain, leaf first, and its private key; a cheap handle.
///
/// Making it checks that the key belongs to the certificate.
#[derive(Clone)]
#[doc(alias = "KeyPair")]
pub struct PrivateCertificate(pub(super) Arc<CertifiedKey>);

impl PrivateCertificate {
    /// Reads PEM text: the chain, leaf first, and the key. Both may be the same text.
    ///
    /// # Errors
    /// [`TlsConfigError::Pem`], `NoCertificateInPem`, `NoKeyInPem`, `Certificate`, `Key`, `KeyMismatch`.
    #[doc(alias = "loadPEM")]
    pub fn from_pem(chain: impl AsRef<[u8]>, key: impl AsRef<[u8]>) -> Result<Self, TlsConfigError> {
        Self::from_parts(certificates(chain.as_ref())?, private_key(key.as_ref())?)
    }

    /// Reads PEM files: the chain, leaf first, and the key. Both may be the same file.
    ///
    /// # Errors
    /// [`TlsConfigError::File`] if something is wrong with one of the files; `Certificate`, `Key`, `KeyMismatch`.
    pub fn from_pem_files(chain: impl AsRef<Path>, key: impl AsRef<Path>) -> Result<Self, TlsConfigError> {
        Self::from_pem_files_of_chain([chain], key)
    }

    /// Reads PEM files, each with a part of the chain.
    pub(crate) fn from_pem_files_of_chain<P: AsRef<Path>>(
        chain: impl IntoIterator<Item = P>,
        key: impl AsRef<Path>,
    ) -> Result<Self, TlsConfigError> {
        let mut whole = Vec::new();
        for part in chain {
            whole.extend(in_file(part.as_ref(), certificates)?);
        }
        Self::from_parts(whole, in_file(key.as_ref(), private_key)?)
    }

    /// Takes DER values: the chain, leaf first, and the key as PKCS #8, PKCS #1 or SEC 1.
    ///
    /// # Errors
    /// [`TlsConfigError::NoCertificate`], `Certificate`, `Key`, `KeyMismatch`.
    pub fn from_der(chain: impl IntoIterator<Item = Vec<u8>>, key: Vec<u8>) -> Result<Self, TlsConfigError> {
        let chain = chain.into_iter().map(CertificateDer::from).collect();
        let key = PrivateKeyDer::try_from(key).map_err(|what| TlsConfigError::Key(what.to_owned()))?;
        Self::from_parts(chain, key)
    }

    fn from_parts(chain: Vec<CertificateDer<'static>>, key: PrivateKeyDer<'static>) -> Result<Self, TlsConfigError> {
        if chain.is_empty() {
            return Err(TlsConfigError::NoCertificate);
        }
        let certified = CertifiedKey::from_der(chain, key, &provider()).map_err(|error| match error {
            rustls::Error::InconsistentKeys(_) => TlsConfigError::KeyMismatch,
            error @ rustls::Error::InvalidCertificate(_) => unusable(error),
            error => TlsConfigError::Key(error.to_string()),
        })?;
        Ok(Self(Arc::new(certified)))
    }
}

impl fmt::Debug for PrivateCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PrivateCertificate").field("chain", &self.0.cert.len()).finish_non_exhaustive()
    }
}

/// The certificates that we trust, together with those that they have issued.
///
/// A peer may present a root itself, such as the certificate that `openssl req -x509` makes for a single server:
/// exactly that certificate, while it is valid, for its names, and with its key.
#[derive(Clone)]
#[doc(alias = "trustRootFromCertificates")]
#[doc(alias = "self-signed")]
pub struct TrustRoots {
    pub(super) store: RootCertStore,
    /// The roots that peers may present themselves: all but those that are trusted for some names only.
    pub(super) certificates: HashSet<CertificateDer<'static>>,
}

impl TrustRoots {
    /// Reads the system's roots, which browsers and package managers trust.
    ///
    /// The environment variables `SSL_CERT_FILE` and `SSL_CERT_DIR` name others, as for OpenSSL. Reading them takes a few
    /// milliseconds: make one configuration and use it for all connections.
    ///
    /// # Errors
    /// [`TlsConfigError::NoSystemRoots`].
    #[doc(alias = "platformTrust")]
    pub fn system() -> Result<Self, TlsConfigError> {
        let found = rustls_native_certs::load_native_certs();
        let mut roots = Self::none();
        let ignored = found.certs.into_iter().filter_map(|certificate| roots.add(certificate).err()).count();
        if roots.store.is_empty() {
            let why = found.errors.first().map_or_else(|| "none found".to_owned(), ToString::to_string);
            return Err(TlsConfigError::NoSystemRoots(why));
        }
        if ignored + found.errors.len() > 0 {
            log::debug!("{ignored} of the system's trusted roots cannot be used; {} errors", found.errors.len());
        }
        Ok(roots)
    }

    /// Reads the certificates in PEM text.
    ///
    /// # Errors
    /// [`TlsConfigError::Pem`], `NoCertificateInPem`, `Certificate`.
    pub fn from_pem(text: impl AsRef<[u8]>) -> Result<Self, TlsConfigError> {
        Self::from_certificates(certificates(text.as_ref())?)
    }

    /// Reads the certificates in a PEM file.
    ///
    /// # Errors
    /// [`TlsConfigError::File`], which also says what is wrong with the file.
    pub fn from_pem_file(path: impl AsRef<Path>) -> Result<Self, TlsConfigError> {
        in_file(path.as_ref(), |text| Self::from_pem(text))
    }

    /// Reads the certificates in those files of a folder whose names end in `.pem`, ignoring case.
    ///
    /// Files that cannot be read or used are skipped, since the system's folders contain some.
    ///
    /// # Errors
    /// [`TlsConfigError::File`] if the folder cannot be read or has no certificate.
    #[doc(alias = "caCertsDir")]
    pub fn from_pem_folder(path: impl AsRef<Path>) -> Result<Self, TlsConfigError> {
        let folder = path.as_ref();
        let named = |cause| TlsConfigError::File { path: folder.to_owned(), cause };
        let mut roots = Self::none();
        for entry in fs::read_dir(folder).map_err(named)? {
            let path = entry.map_err(named)?.path();
            if path.extension().is_none_or(|extension| !extension.eq_ignore_ascii_case("pem")) {
                continue;
            }
            match Self::from_pem_file(&path) {
                Ok(found) => roots = roots.and(found),
                Err(error) => log::debug!("ignored as a trusted root: {error}"),
            }
        }
        if roots.store.is_empty() {
            return Err(named(io::Error::new(io::ErrorKind::InvalidData, "its *.pem files contain no certificate")));
        }
        Ok(roots)
    }

    /// Takes certificates in DER.
    ///
    /// # Errors
    /// [`TlsConfigError::Certificate`].
    pub fn from_der(certificates: impl IntoIterator<Item = Vec<u8>>) -> Result<Self, TlsConfigError> {
        Self::from_certificates(certificates.into_iter().map(CertificateDer::from))
    }

    /// Makes an empty set, which refuses every certificate, to add to with [`and`](Self::and).
    #[must_use]
    pub fn none() -> Self {
        Self { store: RootCertStore::empty(), certificates: HashSet::new() }
    }

    /// Adds the roots in `others`.
    #[must_use]
    pub fn and(mut self, others: Self) -> Self {
        self.store.roots.extend(others.store.roots);
        self.certificates.extend(others.certificates);
        self
    }

    fn from_certificates(certificates: impl IntoIterator<Item = CertificateDer<'static>>) -> Result<Self, TlsConfigError> {
        let mut roots = Self::none();
        for certificate in certificates {
            roots.add(certificate).map_err(unusable)?;
        }
        Ok(roots)
    }

    fn add(&mut self, certificate: CertificateDer<'static>) -> Result<(), rustls::Error> {
        self.store.add(certificate.clone())?;
        if self.store.roots.last().is_some_and(|root| root.name_constraints.is_none()) {
            self.certificates.insert(certificate);
        }
        Ok(())
    }
}

impl fmt::Debug for TrustRoots {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TrustRoots").field("roots", &self.store.len()).finish_non_exhaustive()
    }
}

/// The cryptography that everything here uses.
pub(super) fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

fn certificates(text: &[u8]) -> Result<Vec<CertificateDer<'static>>, TlsConfigError> {
    let found: Vec<_> = CertificateDer::pem_slice_iter(text).collect::<Result<_, _>>().map_err(|error| no_pem(&error))?;
    if found.is_empty() { Err(TlsConfigError::NoCertificateInPem) } else { Ok(found) }
}

fn private_key(text: &[u8]) -> Result<PrivateKeyDer<'static>, TlsConfigError> {
    PrivateKeyDer::from_pem_slice(text).map_err(|error| match error {
        pem::Error::NoItemsFound => TlsConfigError::NoKeyInPem,
        error => no_pem(&error),
    })
}

fn no_pem(error: &pem::Error) -> TlsConfigError {
    TlsConfigError::Pem(match error {
        pem::Error::MissingSectionEnd { end_marker } => {
            format!("there is no END {} where it should be", String::from_utf8_lossy(end_marker))
        }
        error => error.to_string(),
    })
}

fn unusable(error: rustls::Error) -> TlsConfigError {
    TlsConfigError::Certificate(match error {
        // rustls reports it as a peer's certificate.
        rustls::Error::InvalidCertificate(what) => what.to_string(),
        error => error.to_string(),
    })
}

/// Parses the contents of a file. The error names the file.
fn in_file<T>(path: &Path, parse: impl FnOnce(&[u8]) -> Result<T, TlsConfigError>) -> Result<T, TlsConfigError> {
    let named = |cause| TlsConfigError::File { path: path.to_owned(), cause };
    let text = fs::read(path).map_err(named)?;
    parse(&text).map_err(|error| named(io::Error::new(io::ErrorKind::InvalidData, error)))
}
