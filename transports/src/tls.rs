//! TLS as a byte layer, and its configuration.
//!
//! Everything that uses rustls is in this module. A [`TlsLayer`] is one connection's TLS, sans-IO like every layer. It
//! uses rustls's unbuffered interface, in which we own the buffers: an idle connection holds none, where rustls's
//! buffered interface keeps 4 to 20 KiB.

mod certificates;
mod client_config;
mod config_error;
mod failure;
mod handshakes;
mod hello;
mod incoming;
mod layer;
mod server_config;
mod server_names;
mod session;
mod spare;
mod verification;

use torsade_protocols::{Host, StartTlsError, TlsConfig};
use torsade_reactor::Reactor;

pub use certificates::{PrivateCertificate, TrustRoots};
pub use client_config::{TlsClientConfig, TlsClientConfigBuilder};
pub use config_error::TlsConfigError;
pub(crate) use handshakes::Handshakes;
pub(crate) use layer::TlsLayer;
pub use server_config::{TlsServerConfig, TlsServerConfigBuilder};

/// The contents of a [`TlsConfig`].
enum AnyConfig {
    Client(TlsClientConfig),
    Server(TlsServerConfig),
}

impl From<TlsClientConfig> for TlsConfig {
    fn from(config: TlsClientConfig) -> Self {
        Self::new(AnyConfig::Client(config))
    }
}

impl From<&TlsClientConfig> for TlsConfig {
    fn from(config: &TlsClientConfig) -> Self {
        config.clone().into()
    }
}

impl From<TlsServerConfig> for TlsConfig {
    fn from(config: TlsServerConfig) -> Self {
        Self::new(AnyConfig::Server(config))
    }
}

impl From<&TlsServerConfig> for TlsConfig {
    fn from(config: &TlsServerConfig) -> Self {
        config.clone().into()
    }
}

/// Makes the layer for a connection; `host` is the host that we connected to, if we did. A server's handshake may take the
/// place of another one.
pub(crate) fn open(config: &TlsConfig, host: Option<&Host>, reactor: &Reactor) -> Result<TlsLayer, StartTlsError> {
    let now = reactor.now();
    match config.downcast_ref::<AnyConfig>() {
        Some(AnyConfig::Client(config)) => config.open(host, now),
        Some(AnyConfig::Server(config)) => Ok(config.open(now)?.placed(Handshakes::of(reactor).enter(now))),
        None => Err(StartTlsError::Unsupported),
    }
}

/// Whether this is a client's configuration.
pub(crate) fn is_client(config: &TlsConfig) -> bool {
    matches!(config.downcast_ref(), Some(AnyConfig::Client(_)))
}

#[cfg(test)]
mod tests;
