//! Buffers that go from one connection that writes to the next: an idle one has none.

use std::cell::{Cell, RefCell};

use torsade_protocols::SharedBytes;
use torsade_reactor::spi::drop_quietly;

use super::unsent::Unsent;

/// How many are kept, and their size in sum, in bytes.
const BUFFERS: usize = 1024;
const BYTES: usize = 4 << 20;

/// The buffers of one reactor that nobody uses now.
#[derive(Default)]
pub(crate) struct Buffers {
    spare: RefCell<Spare>,
    /// Shared bytes that are sent, and that nobody else has: what owns them is dropped where it may use a transport.
    sent: RefCell<Vec<SharedBytes>>,
    /// Whether there are any.
    drops: Cell<bool>,
}

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
        let spare = &mut *self.spare.borrow_mut();
        let buffer = spare.buffers.pop().unwrap_or_default();
        spare.bytes -= buffer.capacity();
        buffer
    }

    /// Takes a buffer that is not needed any more.
    pub(super) fn give(&self, mut buffer: Box<Unsent>) {
        buffer.clear(self);
        let spare = &mut *self.spare.borrow_mut();
        let bytes = spare.bytes + buffer.capacity();
        if spare.buffers.len() < BUFFERS && bytes <= BYTES {
            spare.buffers.push(buffer);
            spare.bytes = bytes;
        }
    }

    /// Takes shared bytes that are sent.
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
            // Taken out before it is dropped: that may send, and so bring more.
            let next = self.sent.borrow_mut().pop();
            let Some(bytes) = next else { break };
            drop_quietly("shared bytes", bytes);
        }
    }
}
