//! Bytes received and not yet delivered.

use std::cell::{Cell, RefCell};

use crate::framing::byte_buffer::ByteBuffer;
use crate::framing::decoder::Gate;
use crate::framing::message_deadline::MessageDeadline;

/// What a receiver keeps between two messages; its transports share it, so that callbacks can reach it.
pub(crate) struct Inbox {
    /// Borrowed while a message is being received.
    pub(crate) buffer: RefCell<ByteBuffer>,
    /// Bytes that were given back; they go before all others.
    extra: RefCell<Vec<u8>>,
    /// Whether something changed, in here or in the framing, that the delivering loop has to know before the next message.
    touched: Cell<bool>,
    /// What is known about the bytes at the front; forgotten when they change.
    pub(crate) gate: Gate,
    pub(crate) max_length: Cell<usize>,
    pub(crate) deadline: MessageDeadline,
}

impl Inbox {
    pub(crate) fn new(max_length: usize) -> Self {
        Self {
            buffer: RefCell::default(),
            extra: RefCell::default(),
            touched: Cell::default(),
            gate: Gate::default(),
            max_length: Cell::new(max_length),
            deadline: MessageDeadline::default(),
        }
    }

    /// Takes out everything not delivered, and clears an error of the decoder.
    pub(crate) fn take_rest(&self) -> Vec<u8> {
        let mut rest = self.extra.take();
        rest.extend_from_slice(self.buffer.borrow().take(usize::MAX));
        self.reopen();
        self.deadline.forget();
        rest
    }

    /// Gives bytes back, before all others.
    pub(crate) fn unread(&self, data: &[u8]) {
        self.extra.borrow_mut().splice(..0, data.iter().copied());
        self.reopen();
    }

    /// Gives back the end of what was delivered last, without copying; returns false if `data` is something else.
    pub(crate) fn take_back(&self, data: &[u8]) -> bool {
        let taken = self.extra.borrow().is_empty() && self.buffer.borrow().take_back(data);
        if taken {
            self.reopen();
        }
        taken
    }

    /// Other bytes are at the front, or they mean something else: forgets what was known about them.
    pub(crate) fn reopen(&self) {
        self.gate.open();
        self.touch();
    }

    /// Makes the delivering loop check everything again before the next message.
    pub(crate) fn touch(&self) {
        self.touched.set(true);
    }

    #[inline]
    pub(crate) fn was_touched(&self) -> bool {
        self.touched.get()
    }

    /// Puts the bytes given back at the front. Nothing may be borrowed.
    #[inline]
    pub(crate) fn take_extra(&self) {
        self.touched.set(false);
        if !self.extra.borrow().is_empty() {
            self.buffer.borrow_mut().unread(&self.extra.take());
        }
    }
}
