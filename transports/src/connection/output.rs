//! Bytes on their way to the socket.

use crate::connection::shared::Shared;

/// The bytes that a connection has written and the system has not taken yet. It has a buffer only while there are any.
#[derive(Default)]
pub(crate) struct Output {
    buffer: Vec<u8>,
    /// Where the unsent bytes begin.
    start: usize,
}

impl Output {
    pub(crate) fn len(&self) -> usize {
        self.buffer.len() - self.start
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The buffer, to append to.
    #[inline]
    pub(crate) fn buffer(&mut self, shared: &Shared) -> &mut Vec<u8> {
        if self.start == 0 && self.buffer.capacity() > 0 {
            return &mut self.buffer;
        }
        self.make_room(shared);
        &mut self.buffer
    }

    fn make_room(&mut self, shared: &Shared) {
        if self.buffer.capacity() == 0 {
            self.buffer = shared.take_buffer();
        } else if self.start > self.buffer.len() / 2 {
            // Moves fewer bytes than were sent since the last time, so the work stays linear.
            self.buffer.drain(..self.start);
            self.start = 0;
        }
    }

    pub(crate) fn unsent(&self) -> &[u8] {
        self.buffer.get(self.start..).unwrap_or_default()
    }

    /// The system has taken so many bytes.
    pub(crate) fn consume(&mut self, count: usize, shared: &Shared) {
        self.start += count;
        if self.start >= self.buffer.len() {
            self.clear(shared);
        }
    }

    pub(crate) fn clear(&mut self, shared: &Shared) {
        self.start = 0;
        shared.give_buffer(std::mem::take(&mut self.buffer));
    }
}
