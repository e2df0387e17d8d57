//! A callback as a value.

use std::cell::Cell;
use std::fmt;

use torsade_reactor::{Descriptor, Result};

use super::Protocol;
use crate::reason::Reason;
use crate::transport::Transport;

/// One of the callbacks of a [`Protocol`], as a value: to pass on or to record.
///
/// The variants are in the order in which the callbacks are called.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Callback<'a> {
    /// [`Protocol::connection_made`].
    ConnectionMade,
    /// [`Protocol::handshake_completed`].
    HandshakeCompleted,
    /// [`Protocol::data_received`], with these bytes.
    Data(&'a [u8]),
    /// [`Protocol::descriptor_received`], with this descriptor.
    Descriptor(&'a PassedDescriptor),
    /// [`Protocol::reading_resumed`].
    ReadingResumed,
    /// [`Protocol::read_connection_lost`].
    ReadConnectionLost,
    /// [`Protocol::write_connection_lost`].
    WriteConnectionLost,
    /// [`Protocol::connection_lost`], for this reason.
    ConnectionLost(&'a Reason),
}

impl Callback<'_> {
    /// The name of the method, as in the event log.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::ConnectionMade => "connection_made",
            Self::HandshakeCompleted => "handshake_completed",
            Self::Data(_) => "data_received",
            Self::Descriptor(_) => "descriptor_received",
            Self::ReadingResumed => "reading_resumed",
            Self::ReadConnectionLost => "read_connection_lost",
            Self::WriteConnectionLost => "write_connection_lost",
            Self::ConnectionLost(_) => "connection_lost",
        }
    }

    /// Calls the corresponding method of `protocol`.
    ///
    /// # Errors
    /// Any error of the method.
    #[inline]
    pub fn dispatch(self, protocol: &mut (impl Protocol + ?Sized), transport: &Transport) -> Result {
        match self {
            Self::ConnectionMade => protocol.connection_made(transport),
            Self::HandshakeCompleted => protocol.handshake_completed(transport),
            Self::Data(data) => protocol.data_received(transport, data),
            Self::Descriptor(passed) => {
                passed.take().map_or(Ok(()), |descriptor| protocol.descriptor_received(transport, descriptor))
            }
            Self::ReadingResumed => protocol.reading_resumed(transport),
            Self::ReadConnectionLost => protocol.read_connection_lost(transport),
            Self::WriteConnectionLost => protocol.write_connection_lost(transport),
            Self::ConnectionLost(reason) => protocol.connection_lost(transport, reason),
        }
    }
}

/// A descriptor on its way to a protocol; closed unless taken.
pub struct PassedDescriptor(Cell<Option<Descriptor>>);

impl PassedDescriptor {
    /// Wraps a descriptor to be passed on.
    #[must_use]
    pub const fn new(descriptor: Descriptor) -> Self {
        Self(Cell::new(Some(descriptor)))
    }

    /// Takes the descriptor; `None` if it was taken already.
    #[must_use]
    pub fn take(&self) -> Option<Descriptor> {
        self.0.take()
    }
}

impl fmt::Debug for PassedDescriptor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PassedDescriptor").finish_non_exhaustive()
    }
}
