//! Buffers that pass from one writing connection to the next: an idle connection has none.

use std::cell::{Cell, RefCell};

use torsade_protocols::SharedBytes;
use torsade_reactor::spi::drop_quietly;

use super::unsent::Unsent;

/// How many buffers are kept, and their total size in bytes.
const BUFFERS: usize = 1024;
const BYTES: usize = 4 << 20;

/// The unused buffers of one reactor.
#[derive(Default)]
pub(crate) struct Buffers {
    spare: RefCell<Spare>,
    /// Shared bytes that were sent, and that nobody else holds: their owner is dropped later, where it may use a transport.
    sent: RefCell<Vec<SharedBytes>>,
    /// Whether `sent` has any.
    drops: Cell<bool>,
}

#[derive(Default)]
struct Spare {
    #[expect(clippy::vec_box, reason = "an idle connection has a pointer only, so the boxes are what is used again")]
    buffers: Vec<Box<Unsent>>,
    bytes: usize,
}

impl Buffers {
    /// An empty buffer, a used one if possible.
    #[inline(never)] // so that appending is inlined
    pub(super) fn take(&self) -> Box<Unsent> {
        let spare = &mut *self.spare.borrow_mut();
        let buffer = spare.buffers.pop().unwrap_or_default();
        spare.bytes -= buffer.capacity();
        buffer
    }

    pub(super) fn give(&self, mut buffer: Box<Unsent>) {
        buffer.clear(self);
        let spare = &mut *self.spare.borrow_mut();
        let bytes = spare.bytes + buffer.capacity();
        if spare.buffers.len() < BUFFERS && bytes <= BYTES {
            spare.buffers.push(buffer);
            spare.bytes = bytes;
        }
    }

    /// Takes shared bytes that were sent.
    #[inline]
    pub(super) fn release(&self, bytes: SharedBytes) {
        if bytes.is_last() {
            self.drop_later(bytes);
        }
    }

    #[cold]
    fn drop_later(&self, bytes: SharedBytes) {
        self.sent.borrow_mut().push(bytes);
        self.drops.set(true);
    }

    /// Drops what was sent. Called from the loop only, while no state is borrowed.
    #[inline]
    pub(super) fn drop_sent(&self) {
        if self.drops.get() {
            self.drop_owners();
        }
    }

    #[cold]
    fn drop_owners(&self) {
        self.drops.set(false);
        loop {
            // Taken out before it is dropped: dropping may send, and so bring more.
            let next = self.sent.borrow_mut().pop();
            let Some(bytes) = next else { break };
            drop_quietly("shared bytes", bytes);
        }
    }
}
