//! Bytes from the wire on their way to the session, which sees them record by record.

use super::session::RECORD_HEADER;
use super::spare;

/// Input that the session has not processed yet.
///
/// The session sees only what was [shown](Self::show) to it, so that the cost of a record is counted before it is processed.
#[derive(Default)]
pub(super) struct Incoming {
    bytes: Vec<u8>,
    /// How many bytes at the front are processed.
    taken: usize,
    /// How many bytes behind those the session sees.
    shown: usize,
}

impl Incoming {
    /// Appends new input.
    pub(super) fn push(&mut self, wire: &[u8]) {
        spare::append(&mut self.bytes, wire);
    }

    pub(super) fn shown(&mut self) -> &mut [u8] {
        self.bytes.get_mut(self.taken..).and_then(|rest| rest.get_mut(..self.shown)).unwrap_or_default()
    }

    /// Removes `count` bytes that the session has processed.
    pub(super) const fn take(&mut self, count: usize) {
        self.taken += count;
        self.shown = self.shown.saturating_sub(count);
    }

    /// The length of the next record that was not shown, header included, if it has arrived completely.
    pub(super) fn next_record(&self) -> Option<usize> {
        let unseen = self.bytes.get(self.taken + self.shown..).unwrap_or_default();
        let (header, _) = unseen.split_first_chunk::<RECORD_HEADER>()?;
        let length = RECORD_HEADER + usize::from(u16::from_be_bytes([header[3], header[4]]));
        (unseen.len() >= length).then_some(length)
    }

    /// How many bytes the session does not see yet.
    pub(super) const fn unseen(&self) -> usize {
        self.bytes.len() - self.taken - self.shown
    }

    /// Whether the session sees anything.
    pub(super) const fn is_shown(&self) -> bool {
        self.shown > 0
    }

    /// Shows the session `length` more bytes.
    pub(super) const fn show(&mut self, length: usize) {
        self.shown += length;
    }

    /// Hides the last `length` bytes that were shown.
    pub(super) const fn hide(&mut self, length: usize) {
        self.shown = self.shown.saturating_sub(length);
    }

    /// How many bytes are not processed.
    pub(super) const fn len(&self) -> usize {
        self.bytes.len() - self.taken
    }

    /// Frees the memory that the rest does not need.
    pub(super) fn shrink(&mut self) {
        let rest = self.bytes.get(self.taken..).unwrap_or_default().to_vec();
        spare::give(std::mem::replace(&mut self.bytes, rest));
        self.taken = 0;
    }

    #[cfg(test)]
    pub(super) const fn capacity(&self) -> usize {
        self.bytes.capacity()
    }
}
