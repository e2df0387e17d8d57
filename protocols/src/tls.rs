//! TLS as protocols see it.
//!
//! Nothing here encrypts: these are versions, errors and negotiated values, so that a protocol can switch on TLS without
//! depending on the library that implements it. Configurations are made by `torsade-transports` with its feature `tls`.

mod common_name;
mod error;
mod info;
mod start_error;

use std::any::Any;
use std::fmt;
use std::rc::Rc;

pub use error::{CertificateProblem, TlsError};
pub use info::{TlsInfo, TlsVersion};
pub use start_error::StartTlsError;

/// A TLS configuration as [`Transport::start_tls`](crate::Transport::start_tls) takes it; a cheap handle.
///
/// It is made from a `TlsServerConfig` or a `TlsClientConfig`, which determines our side of the handshake.
#[derive(Clone)]
#[doc(alias = "CertificateOptions")]
pub struct TlsConfig(Rc<dyn Any>);

impl TlsConfig {
    /// Wraps a configuration of a TLS implementation.
    #[must_use]
    pub fn new<T: Any>(config: T) -> Self {
        Self(Rc::new(config))
    }

    /// The wrapped value, for the implementation that made it.
    #[must_use]
    pub fn downcast_ref<T: Any>(&self) -> Option<&T> {
        self.0.downcast_ref()
    }
}

/// Two configurations are equal if they are handles of the same value.
impl PartialEq for TlsConfig {
    fn eq(&self, other: &Self) -> bool {
        Rc::ptr_eq(&self.0, &other.0)
    }
}

impl From<&Self> for TlsConfig {
    fn from(config: &Self) -> Self {
        config.clone()
    }
}

impl fmt::Debug for TlsConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsConfig").finish_non_exhaustive()
    }
}

/// How to treat bytes that arrived before TLS was switched on and were not delivered yet.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "they are TLS or they are not")]
pub enum AlreadyReceived {
    /// The connection ends with [`TlsError::Injected`]: an attacker in the middle may have sent them.
    Refuse,
    /// They are the beginning of the peer's TLS: it did not wait for an answer.
    IsTls,
}
