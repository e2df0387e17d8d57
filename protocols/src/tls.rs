//! The values with which protocols use TLS.
//!
//! Nothing here encrypts: these are versions, errors and what a handshake agreed on, so that a protocol can switch TLS
//! on without knowing the library that does it. Configurations are made by `torsade-transports` with its feature `tls`.

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
/// Made from a `TlsServerConfig` or a `TlsClientConfig`, which decides on which side of the handshake we are.
#[derive(Clone)]
#[doc(alias = "CertificateOptions")]
pub struct TlsConfig(Rc<dyn Any>);

impl TlsConfig {
    /// Wraps the value of an implementation of TLS.
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

/// Whether they are handles of one value.
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

/// What to do with bytes that came in before TLS was switched on and were not delivered yet.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "they are TLS or they are not")]
pub enum AlreadyReceived {
    /// The connection ends with [`TlsError::Injected`]: they may come from an attacker between us and the peer.
    Refuse,
    /// They are the beginning of the peer's TLS: it did not wait for an answer.
    IsTls,
}
