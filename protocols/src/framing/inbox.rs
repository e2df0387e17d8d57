//! What was received and is not delivered yet.

use std::cell::{Cell, RefCell};

use crate::framing::byte_buffer::ByteBuffer;
use crate::framing::decoder::Gate;
use crate::framing::message_deadline::MessageDeadline;

/// What a receiver keeps between two messages; shared with its transports, by which callbacks reach it.
pub(crate) struct Inbox {
    /// Borrowed while a message is being received.
    pub(crate) buffer: RefCell<ByteBuffer>,
    /// Bytes that were given back, to go before all others.
    extra: RefCell<Vec<u8>>,
    /// What is known of the bytes at the front; forgotten when others come to be there.
    pub(crate) gate: Gate,
    pub(crate) max_length: Cell<usize>,
    pub(crate) deadline: MessageDeadline,
}

impl Inbox {
    pub(crate) fn new(max_length: usize) -> Self {
        Self {
            buffer: RefCell::default(),
            extra: RefCell::default(),
            gate: Gate::default(),
            max_length: Cell::new(max_length),
            deadline: MessageDeadline::default(),
        }
    }

    /// Takes out everything that is not delivered, and forgets an error of the decoder.
    pub(crate) fn take_rest(&self) -> Vec<u8> {
        let mut rest = self.extra.take();
        rest.extend_from_slice(self.buffer.borrow().take(usize::MAX));
        self.gate.open();
        self.deadline.forget();
        rest
    }

    /// Gives bytes back, before all others.
    pub(crate) fn unread(&self, data: &[u8]) {
        self.extra.borrow_mut().splice(..0, data.iter().copied());
        self.gate.open();
    }

    /// Gives back the end of what was delivered last, which costs nothing; false if `data` is not that.
    pub(crate) fn take_back(&self, data: &[u8]) -> bool {
        let taken = self.extra.borrow().is_empty() && self.buffer.borrow().take_back(data);
        if taken {
            self.gate.open();
        }
        taken
    }

    /// Puts what was given back to the front. Nothing may be borrowed.
    #[inline]
    pub(crate) fn take_extra(&self) {
        if !self.extra.borrow().is_empty() {
            self.buffer.borrow_mut().unread(&self.extra.take());
        }
    }
}
