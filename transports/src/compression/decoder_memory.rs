//! The bound on what all decoders of a reactor hold together: a window is cheap to ask for, and each peer may ask for one.

use std::cell::Cell;
use std::rc::Rc;

/// The default bound, in bytes: enough for 5,000 decoders of deflate, or for 30 with zstd's largest windows.
const LIMIT: usize = 256 << 20;

/// The sum of what the decoders of one reactor hold, and its bound.
///
/// A decoder may grow as long as it holds no more than is left for all others. So those that ask for most are refused first,
/// and those that ask for little find room, however many the others are.
pub(crate) struct DecoderMemory {
    limit: Cell<usize>,
    held: Cell<usize>,
    refused: Cell<u64>,
    /// A refusal was logged; the next one is, once half of the memory has been free again.
    told: Cell<bool>,
}

/// What one decoder holds; given back when it is dropped.
pub(super) struct Share {
    memory: Rc<DecoderMemory>,
    bytes: usize,
}

impl Default for DecoderMemory {
    fn default() -> Self {
        Self { limit: Cell::new(LIMIT), held: Cell::new(0), refused: Cell::new(0), told: Cell::new(false) }
    }
}

impl DecoderMemory {
    /// Sets the bound, in bytes. What is above a smaller one already is kept, and refused when it grows.
    pub(crate) fn set_limit(&self, limit: usize) {
        self.limit.set(limit);
    }

    /// What all decoders hold now, in bytes.
    pub(crate) const fn held(&self) -> usize {
        self.held.get()
    }

    /// How many times a decoder was refused what it needed.
    pub(crate) const fn refused(&self) -> u64 {
        self.refused.get()
    }

    /// Counts and logs a refusal; gives the bound.
    fn refuse(&self) -> usize {
        let (limit, held) = (self.limit.get(), self.held.get());
        self.refused.set(self.refused.get() + 1);
        if !self.told.replace(true) {
            log::warn!(
                "decompressors hold {held} of {limit} bytes, and a stream that needs more is refused: allow more \
                 (set_decompression_memory), or smaller windows (Decompression::max_window), or fewer connections"
            );
        }
        limit
    }
}

impl Share {
    pub(super) const fn new(memory: Rc<DecoderMemory>) -> Self {
        Self { memory, bytes: 0 }
    }

    /// Sets what the decoder holds now.
    ///
    /// # Errors
    /// The bound, if that is too much. What is held counts until the decoder is dropped.
    pub(super) fn resize(&mut self, bytes: usize) -> Result<(), usize> {
        let memory = &self.memory;
        let before = std::mem::replace(&mut self.bytes, bytes);
        memory.held.set(memory.held.get() - before + bytes);
        if bytes > before && memory.held.get().saturating_add(bytes) > memory.limit.get() {
            return Err(memory.refuse());
        }
        if memory.held.get() <= memory.limit.get() / 2 {
            memory.told.set(false);
        }
        Ok(())
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.memory.held.set(self.memory.held.get() - self.bytes);
    }
}
