//! The layers that a connection starts with.

use std::rc::Rc;

use crate::compression::{Compression, Detect};
use crate::reason::Reason;
use crate::tls::{TlsConfig, TlsError};
use crate::transport::Transport;

/// The layers that a connection starts with: they are on when `connection_made` is called.
#[derive(Clone, Debug, Default, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "made with the update syntax")]
pub struct Layers {
    /// TLS, as client or server according to the configuration.
    pub tls: Option<TlsConfig>,
    /// Compression of what is sent, inside TLS. A peer's announcement of compression is recognized.
    pub compression: Option<Compression>,
}

impl Layers {
    /// Returns whether there are no layers.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.tls.is_none() && self.compression.is_none()
    }

    /// Switches the layers on, before anything was sent or received.
    ///
    /// # Errors
    /// The reason with which the connection has to end at once, if it does not support a layer.
    pub fn switch_on(&self, transport: &Transport) -> Result<(), Reason> {
        if let Some(config) = &self.tls {
            transport.start_tls(config).map_err(|error| Reason::Tls(TlsError::Internal(error.to_string())))?;
        }
        if let Some(compression) = &self.compression {
            transport.set_detection(Detect::AtStart);
            transport.set_compression(compression.clone()).map_err(|error| Reason::Protocol(Rc::new(error)))?;
        }
        Ok(())
    }
}
