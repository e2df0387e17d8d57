//! Bytes on their way to the socket.

use std::io;

use torsade_protocols::SharedBytes;
use torsade_reactor::spi::Stream;

use super::buffers::Buffers;
use super::unsent::Unsent;

/// The unsent bytes of a connection. It has a buffer only while some of them are its own.
pub(super) enum Output {
    Own(Option<Box<Unsent>>),
    /// Shared bytes alone, as most members of a room have to send: needs neither a buffer nor a copy.
    Shared(SharedBytes),
}

impl Default for Output {
    fn default() -> Self {
        Self::Own(None)
    }
}

impl Output {
    #[inline]
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Own(None) => 0,
            Self::Own(Some(unsent)) => unsent.len(),
            Self::Shared(bytes) => bytes.len(),
        }
    }

    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The connection's own buffer, to append to.
    #[inline]
    pub(super) fn own(&mut self, buffers: &Buffers) -> &mut Unsent {
        if matches!(self, Self::Shared(_)) {
            self.queue(buffers);
        }
        let Self::Own(unsent) = self else { unreachable!("it was just made so") };
        unsent.get_or_insert_with(|| buffers.take())
    }

    /// Moves shared bytes that were alone into a buffer's queue.
    #[cold]
    fn queue(&mut self, buffers: &Buffers) {
        if let Self::Shared(bytes) = std::mem::take(self) {
            self.own(buffers).share(bytes, buffers);
        }
    }

    #[inline]
    pub(super) fn buffer(&mut self, buffers: &Buffers) -> &mut Vec<u8> {
        self.own(buffers).buffer()
    }

    /// Appends shared bytes of this length, without a copy if that is cheaper. Returns the number of unsent bytes.
    #[inline]
    pub(super) fn share(&mut self, bytes: &SharedBytes, length: usize, buffers: &Buffers) -> usize {
        if matches!(self, Self::Own(None)) {
            *self = Self::Shared(bytes.clone());
            return length;
        }
        let unsent = self.own(buffers);
        unsent.share(bytes.clone(), buffers);
        unsent.len()
    }

    /// All unsent bytes, if they are in one piece.
    #[inline]
    pub(super) fn whole(&self) -> Option<&[u8]> {
        match self {
            Self::Own(None) => Some(&[]),
            Self::Own(Some(unsent)) => unsent.whole(),
            Self::Shared(bytes) => Some(bytes),
        }
    }

    /// Writes as many pieces as one call takes to `stream`, and returns their length in bytes.
    #[cold]
    pub(super) fn write_pieces(&self, stream: &dyn Stream) -> (usize, io::Result<usize>) {
        if let Self::Own(Some(unsent)) = self { unsent.write_pieces(stream) } else { (0, Ok(0)) }
    }

    /// Removes `count` bytes that the system has taken.
    pub(super) fn consume(&mut self, count: usize, buffers: &Buffers) {
        let more = match self {
            Self::Own(None) => false,
            Self::Shared(bytes) if count == bytes.len() => false,
            Self::Own(_) | Self::Shared(_) => self.own(buffers).consume(count, buffers),
        };
        if !more {
            self.clear(buffers);
        }
    }

    #[inline]
    pub(super) fn clear(&mut self, buffers: &Buffers) {
        match std::mem::take(self) {
            Self::Own(None) => {}
            Self::Own(Some(unsent)) => buffers.give(unsent),
            Self::Shared(bytes) => buffers.release(bytes),
        }
    }
}
