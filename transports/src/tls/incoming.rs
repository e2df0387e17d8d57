//! Bytes from the wire on their way to the session, which is shown one record after the other.

use super::session::RECORD_HEADER;
use super::spare;

/// What has come of which no whole record, or no whole handshake message, could be taken yet.
///
/// The session sees no more than what was [shown](Self::show) to it: so what a record costs is counted before it is taken.
#[derive(Default)]
pub(super) struct Incoming {
    bytes: Vec<u8>,
    /// How many at the front are done with.
    taken: usize,
    /// How many of those behind them the session sees.
    shown: usize,
}

impl Incoming {
    /// Puts new input behind what is left of the old.
    pub(super) fn push(&mut self, wire: &[u8]) {
        spare::append(&mut self.bytes, wire);
    }

    /// What the session sees.
    pub(super) fn shown(&mut self) -> &mut [u8] {
        self.bytes.get_mut(self.taken..).and_then(|rest| rest.get_mut(..self.shown)).unwrap_or_default()
    }

    /// The session is done with so many bytes of what it sees.
    pub(super) const fn take(&mut self, count: usize) {
        self.taken += count;
        self.shown = self.shown.saturating_sub(count);
    }

    /// The length of the next record that was not shown, header and all, if it has come whole.
    pub(super) fn next_record(&self) -> Option<usize> {
        let unseen = self.bytes.get(self.taken + self.shown..).unwrap_or_default();
        let (header, _) = unseen.split_first_chunk::<RECORD_HEADER>()?;
        let length = RECORD_HEADER + usize::from(u16::from_be_bytes([header[3], header[4]]));
        (unseen.len() >= length).then_some(length)
    }

    /// How many bytes were not shown.
    pub(super) const fn unseen(&self) -> usize {
        self.bytes.len() - self.taken - self.shown
    }

    /// Whether the session sees anything.
    pub(super) const fn is_shown(&self) -> bool {
        self.shown > 0
    }

    /// Has the session see so many bytes more.
    pub(super) const fn show(&mut self, length: usize) {
        self.shown += length;
    }

    /// Takes back what was shown last.
    pub(super) const fn hide(&mut self, length: usize) {
        self.shown = self.shown.saturating_sub(length);
    }

    /// How many bytes are not done with.
    pub(super) const fn len(&self) -> usize {
        self.bytes.len() - self.taken
    }

    /// Keeps no more memory than the rest needs.
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
