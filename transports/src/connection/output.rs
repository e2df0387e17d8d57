//! Bytes on their way to the socket.

use super::buffers::{Buffers, Unsent};

/// The bytes that a connection has written and the system has not taken yet. It has a buffer only while there are any.
#[derive(Default)]
pub(crate) struct Output(Option<Box<Unsent>>);

impl Output {
    pub(crate) fn len(&self) -> usize {
        self.0.as_ref().map_or(0, |unsent| unsent.bytes.len() - unsent.start)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The buffer, to append to.
    #[inline]
    pub(crate) fn buffer(&mut self, buffers: &Buffers) -> &mut Vec<u8> {
        &mut self.0.get_or_insert_with(|| buffers.take()).bytes
    }

    #[inline]
    pub(crate) fn unsent(&self) -> &[u8] {
        self.0.as_ref().and_then(|unsent| unsent.bytes.get(unsent.start..)).unwrap_or_default()
    }

    /// The system has taken so many bytes.
    pub(crate) fn consume(&mut self, count: usize, buffers: &Buffers) {
        if let Some(unsent) = &mut self.0 {
            unsent.start += count;
            if unsent.start > unsent.bytes.len() / 2 && unsent.start < unsent.bytes.len() {
                unsent.drop_sent();
            }
        }
        if self.is_empty() {
            self.clear(buffers);
        }
    }

    pub(crate) fn clear(&mut self, buffers: &Buffers) {
        if let Some(unsent) = self.0.take() {
            buffers.give(unsent);
        }
    }
}
