//! The unsent bytes of one connection: a buffer of its own bytes, and shared bytes at places between them.

use std::collections::VecDeque;
use std::io::{self, IoSlice};

use torsade_protocols::SharedBytes;
use torsade_reactor::spi::Stream;

use super::buffers::Buffers;

/// Shared bytes behind other bytes are copied below this length, where another piece and a vectored write would cost as much
/// (`broadcast` of the benchmarks measures it).
const WORTH_SHARING: usize = 4096;

/// The most pieces that one call writes.
const PIECES: usize = 32;

#[derive(Default)]
pub(super) struct Unsent {
    bytes: Vec<u8>,
    /// Where the unsent part of `bytes` begins.
    start: usize,
    /// In order of their places.
    shared: VecDeque<Piece>,
    /// How many bytes of `shared` are unsent.
    shared_len: usize,
}

/// Unsent shared bytes.
struct Piece {
    bytes: SharedBytes,
    /// How many of them were sent.
    sent: usize,
    /// They go before this index of the connection's own bytes.
    offset: usize,
}

impl Unsent {
    #[inline]
    pub(super) fn len(&self) -> usize {
        self.bytes.len() - self.start + self.shared_len
    }

    /// All unsent bytes, if none are shared.
    #[inline]
    pub(super) fn whole(&self) -> Option<&[u8]> {
        if self.shared_len > 0 { None } else { self.bytes.get(self.start..) }
    }

    #[inline]
    pub(super) const fn buffer(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }

    /// Drops the sent bytes. It moves fewer bytes than were sent since the last time, so the work stays linear.
    #[cold]
    fn drop_sent(&mut self) {
        self.bytes.drain(..self.start);
        self.shared.iter_mut().for_each(|piece| piece.offset -= self.start);
        self.start = 0;
    }

    pub(super) fn share(&mut self, bytes: SharedBytes, buffers: &Buffers) {
        if bytes.len() < WORTH_SHARING {
            self.bytes.extend_from_slice(&bytes);
            buffers.release(bytes);
        } else {
            self.shared_len += bytes.len();
            self.shared.push_back(Piece { bytes, sent: 0, offset: self.bytes.len() });
        }
    }

    /// Writes as many pieces as one call takes, and returns their length in bytes.
    pub(super) fn write_pieces(&self, stream: &dyn Stream) -> (usize, io::Result<usize>) {
        let mut slices = [IoSlice::new(&[]); PIECES];
        let (mut count, mut length, mut from) = (0, 0, self.start);
        let shared = self.shared.iter().map(|piece| (piece.offset, piece.bytes.get(piece.sent..).unwrap_or_default()));
        // The end counts as a place without shared bytes.
        for (offset, shared) in shared.chain([(self.bytes.len(), &[][..])]) {
            let own = self.bytes.get(from..offset).unwrap_or_default();
            from = offset;
            for bytes in [own, shared] {
                if let Some(slice) = slices.get_mut(count).filter(|_| !bytes.is_empty()) {
                    *slice = IoSlice::new(bytes);
                    count += 1;
                    length += bytes.len();
                }
            }
            if count == PIECES {
                break;
            }
        }
        (length, stream.write_vectored(&slices[..count]))
    }

    /// Removes `count` bytes that were taken. Returns whether there are more.
    pub(super) fn consume(&mut self, mut count: usize, buffers: &Buffers) -> bool {
        while let Some(piece) = self.shared.front_mut() {
            let own = count.min(piece.offset - self.start);
            self.start += own;
            count -= own;
            let taken = count.min(piece.bytes.len().saturating_sub(piece.sent));
            piece.sent += taken;
            self.shared_len -= taken;
            count -= taken;
            if piece.offset > self.start || piece.sent < piece.bytes.len() {
                break;
            }
            self.shared.pop_front().into_iter().for_each(|piece| buffers.release(piece.bytes));
        }
        self.start += count;
        if self.start > self.bytes.len() / 2 {
            self.drop_sent();
        }
        self.len() > 0
    }

    /// Empties it, for the next connection.
    #[inline]
    pub(super) fn clear(&mut self, buffers: &Buffers) {
        self.bytes.clear();
        self.start = 0;
        if self.shared.capacity() > 0 {
            self.clear_shared(buffers);
        }
    }

    #[cold]
    fn clear_shared(&mut self, buffers: &Buffers) {
        self.shared_len = 0;
        self.shared.drain(..).for_each(|piece| buffers.release(piece.bytes));
        self.shared.shrink_to(PIECES);
    }

    /// How many of the connection's own bytes it has room for.
    #[inline]
    pub(super) const fn capacity(&self) -> usize {
        self.bytes.capacity()
    }
}
