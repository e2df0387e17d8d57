//! The bytes a decoder keeps between two reads.

use std::cell::Cell;

use crate::framing::spare_buffer::SpareBuffer;

thread_local! {
    /// Shared by all idle connections; holds at most two full reads.
    static SPARE: SpareBuffer = const { SpareBuffer::up_to(128 << 10) };
}

/// A queue of bytes, given out at the front through a shared reference so that a callback may take more.
///
/// An empty one owns no memory after [`drop_taken`](Self::drop_taken).
#[derive(Default)]
pub(crate) struct ByteBuffer {
    bytes: Vec<u8>,
    /// Where the bytes not yet given out begin.
    start: Cell<usize>,
}

impl ByteBuffer {
    pub(crate) fn feed(&mut self, data: &[u8]) {
        self.drop_taken();
        if self.bytes.capacity() == 0 {
            self.bytes = SpareBuffer::take(&SPARE);
        }
        self.bytes.extend_from_slice(data);
    }

    /// Puts bytes before the remaining ones.
    pub(crate) fn unread(&mut self, data: &[u8]) {
        let start = self.start.replace(0);
        self.bytes.splice(..start, data.iter().copied());
    }

    /// The bytes not given out yet.
    pub(crate) fn remaining(&self) -> &[u8] {
        self.bytes.get(self.start.get()..).unwrap_or_default()
    }

    pub(crate) fn take(&self, count: usize) -> &[u8] {
        let remaining = self.remaining();
        let taken = remaining.get(..count).unwrap_or(remaining);
        self.start.set(self.start.get() + taken.len());
        taken
    }

    /// Counts the next `count` bytes, which must be there, as given out.
    pub(crate) fn skip(&self, count: usize) {
        debug_assert!(count <= self.len());
        self.start.set(self.start.get() + count);
    }

    /// Takes `data` back without copying if it is the end of what was given out last; otherwise returns false.
    pub(crate) fn take_back(&self, data: &[u8]) -> bool {
        let given = self.bytes.get(..self.start.get()).unwrap_or_default();
        let is_its_end = data.len() <= given.len() && data.as_ptr_range().end == given.as_ptr_range().end;
        if is_its_end {
            self.start.set(given.len() - data.len());
        }
        is_its_end
    }

    pub(crate) fn len(&self) -> usize {
        self.remaining().len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.remaining().is_empty()
    }

    /// Frees what was given out, and the whole buffer once nothing remains.
    pub(crate) fn drop_taken(&mut self) {
        let start = self.start.get();
        if start >= self.bytes.len() {
            self.start.set(0);
            SpareBuffer::give(&SPARE, std::mem::take(&mut self.bytes));
        } else if start >= self.bytes.len() / 2 {
            // This moves no more bytes than were given out since the last time, so the work stays linear.
            self.bytes.drain(..start);
            self.start.set(0);
        }
    }
}

impl Drop for ByteBuffer {
    fn drop(&mut self) {
        self.take(usize::MAX);
        self.drop_taken();
    }
}

#[cfg(test)]
mod tests {
    use super::ByteBuffer;

    #[test]
    fn an_empty_buffer_owns_no_memory() {
        let mut buffer = ByteBuffer::default();
        buffer.feed(&[1; 1000]);
        buffer.take(1000);
        buffer.drop_taken();
        assert_eq!(buffer.bytes.capacity(), 0);
    }
}
