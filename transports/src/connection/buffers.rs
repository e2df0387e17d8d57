//! Buffers that go from one connection that writes to the next: an idle one has none.

use std::cell::RefCell;

/// How many are kept, and their size in sum, in bytes.
const BUFFERS: usize = 1024;
const BYTES: usize = 4 << 20;

/// A buffer whose first bytes were sent.
#[derive(Default)]
pub(super) struct Unsent {
    pub(super) bytes: Vec<u8>,
    /// Where the unsent bytes begin.
    pub(super) start: usize,
}

impl Unsent {
    /// Moves fewer bytes than were sent since the last time, so the work stays linear.
    #[cold]
    pub(super) fn drop_sent(&mut self) {
        self.bytes.drain(..self.start);
        self.start = 0;
    }
}

/// The buffers of one reactor that nobody uses now.
#[derive(Default)]
pub(crate) struct Buffers(RefCell<Spare>);

#[derive(Default)]
struct Spare {
    #[expect(clippy::vec_box, reason = "an idle connection has a pointer only, so the boxes are what is used again")]
    buffers: Vec<Box<Unsent>>,
    bytes: usize,
}

impl Buffers {
    /// An empty buffer, used before if there is one.
    #[inline(never)] // so that appending is inlined
    pub(super) fn take(&self) -> Box<Unsent> {
        let spare = &mut *self.0.borrow_mut();
        let buffer = spare.buffers.pop().unwrap_or_default();
        spare.bytes -= buffer.bytes.capacity();
        buffer
    }

    /// Takes a buffer that is not needed any more.
    pub(super) fn give(&self, mut buffer: Box<Unsent>) {
        let spare = &mut *self.0.borrow_mut();
        let bytes = spare.bytes + buffer.bytes.capacity();
        if buffer.bytes.capacity() > 0 && spare.buffers.len() < BUFFERS && bytes <= BYTES {
            buffer.bytes.clear();
            buffer.start = 0;
            spare.buffers.push(buffer);
            spare.bytes = bytes;
        }
    }
}
