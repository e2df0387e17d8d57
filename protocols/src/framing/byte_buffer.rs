//! The bytes that a decoder keeps between two reads.

use std::cell::Cell;

/// The largest buffer worth keeping, in bytes: two full reads. One that held a single huge message is freed.
const SPARE_LIMIT: usize = 128 << 10;

thread_local! {
    /// A buffer that whoever empties its own leaves for the next: one for all idle connections.
    static SPARE: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// Bytes that came in and are given out from the front, by shared reference, so that a callback may take some more.
///
/// An empty one owns no memory once [`drop_taken`](Self::drop_taken) was called.
#[derive(Default)]
pub(crate) struct ByteBuffer {
    bytes: Vec<u8>,
    /// Where the bytes begin that are not given out yet.
    start: Cell<usize>,
}

impl ByteBuffer {
    pub(crate) fn feed(&mut self, data: &[u8]) {
        self.drop_taken();
        if self.bytes.capacity() == 0 {
            self.bytes = SPARE.try_with(Cell::take).unwrap_or_default();
        }
        self.bytes.extend_from_slice(data);
    }

    /// Puts bytes before those that are still here.
    pub(crate) fn unread(&mut self, data: &[u8]) {
        let start = self.start.replace(0);
        self.bytes.splice(..start, data.iter().copied());
    }

    /// What is not given out yet.
    pub(crate) fn remaining(&self) -> &[u8] {
        self.bytes.get(self.start.get()..).unwrap_or_default()
    }

    /// Gives out the next `count` bytes.
    pub(crate) fn take(&self, count: usize) -> &[u8] {
        let remaining = self.remaining();
        let taken = remaining.get(..count).unwrap_or(remaining);
        self.start.set(self.start.get() + taken.len());
        taken
    }

    /// Counts the next `count` bytes, which are there, as given out.
    pub(crate) fn skip(&self, count: usize) {
        debug_assert!(count <= self.len());
        self.start.set(self.start.get() + count);
    }

    /// Takes `data` back if it is the end of what was given out last, which costs nothing; false if it is not.
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

    /// Frees what has been given out, and the buffer itself when nothing is left in it.
    pub(crate) fn drop_taken(&mut self) {
        let start = self.start.get();
        if start >= self.bytes.len() {
            self.start.set(0);
            let mut spare = std::mem::take(&mut self.bytes);
            spare.clear();
            if (1..=SPARE_LIMIT).contains(&spare.capacity()) {
                // Not while the thread ends: what is dropped then may come after it.
                SPARE.try_with(|place| place.set(spare)).ok();
            }
        } else if start >= self.bytes.len() / 2 {
            // Moves no more bytes than were given out since the last time, so the work stays linear.
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
