//! The layers that a connection begins with.

use std::rc::Rc;

use crate::compression::{Compression, Detect};
use crate::reason::Reason;
use crate::tls::{TlsConfig, TlsError};
use crate::transport::Transport;

/// The layers that a connection begins with: they are on when `connection_made` comes.
#[derive(Clone, Debug, Default, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "made with the update syntax")]
pub struct Layers {
    /// TLS, on whichever side the configuration says.
    pub tls: Option<TlsConfig>,
    /// Compression of what is sent, within TLS. A peer that announces compression is understood.
    pub compression: Option<Compression>,
}

impl Layers {
    /// Whether there is none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.tls.is_none() && self.compression.is_none()
    }

    /// Switches them on, before anything was sent or received.
    ///
    /// # Errors
    /// What the connection has to end with, at once, where it cannot have such a layer.
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
