//! The last bytes of a stream, with which another encoder can go on.

/// Deflate looks back at most this far.
pub(super) const WINDOW: usize = 32 << 10; // fits into 16 bits

/// A bounded ring of the last bytes.
///
/// It grows with use up to the bound: a connection that has sent little keeps little.
pub(super) struct History {
    bytes: Vec<u8>,
    /// Where the oldest byte is, once `bytes` is full.
    oldest: u16,
    keep: u16,
}

impl History {
    pub(super) fn new(keep: usize) -> Self {
        Self { bytes: Vec::new(), oldest: 0, keep: keep.min(WINDOW) as u16 }
    }

    pub(super) fn keep(&self) -> usize {
        usize::from(self.keep)
    }

    /// Whether it has room for `bytes` more bytes without losing any.
    pub(super) fn has_room(&self, bytes: usize) -> bool {
        self.bytes.len() + bytes <= self.keep()
    }

    /// Adds what the stream has just carried.
    pub(super) fn push(&mut self, plain: &[u8]) {
        if plain.len() >= self.keep() {
            self.bytes.clear();
            self.oldest = 0;
            self.extend(&plain[plain.len() - self.keep()..]);
            return;
        }
        let fits = plain.len().min(self.keep() - self.bytes.len());
        self.extend(&plain[..fits]);
        let mut rest = &plain[fits..];
        while !rest.is_empty() {
            let oldest = usize::from(self.oldest);
            let room = rest.len().min(self.keep() - oldest);
            self.bytes[oldest..oldest + room].copy_from_slice(&rest[..room]);
            let next = oldest + room;
            self.oldest = if next == self.keep() { 0 } else { next as u16 }; // less than `keep`, which fits
            rest = &rest[room..];
        }
    }

    /// All of it, oldest byte first.
    pub(super) fn oldest_first(&mut self) -> &[u8] {
        self.bytes.rotate_left(usize::from(self.oldest));
        self.oldest = 0;
        &self.bytes
    }

    /// The last `count` bytes, or all, in two parts.
    pub(super) fn latest(&self, count: usize) -> (&[u8], &[u8]) {
        let (newer, older) = self.bytes.split_at(usize::from(self.oldest));
        let (newer_count, older_count) = (count.min(newer.len()), count.saturating_sub(newer.len()));
        (&older[older.len().saturating_sub(older_count)..], &newer[newer.len() - newer_count..])
    }

    /// Forgets everything, and frees it.
    pub(super) fn clear(&mut self) {
        self.bytes = Vec::new();
        self.oldest = 0;
    }

    /// Grows to exactly the bound, where `Vec` would double beyond it.
    fn extend(&mut self, bytes: &[u8]) {
        let needed = self.bytes.len() + bytes.len();
        if needed > self.bytes.capacity() {
            let wanted = needed.max(2 * self.bytes.capacity()).min(self.keep());
            self.bytes.reserve_exact(wanted - self.bytes.len());
        }
        self.bytes.extend_from_slice(bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_keeps_the_last_bytes_in_order_however_they_arrived() {
        let stream: Vec<u8> = (0..=255).cycle().take(3000).collect();
        for keep in [0, 1, 7, 100, 256] {
            for piece in [1, 3, 7, 99, 100, 101, 300] {
                let mut history = History::new(keep);
                let mut seen = 0;
                for chunk in stream.chunks(piece) {
                    history.push(chunk);
                    seen += chunk.len();
                    if seen % 5 == 0 {
                        let wanted = &stream[..seen][seen.saturating_sub(keep)..];
                        for count in [0, keep / 3, wanted.len()] {
                            let (older, newer) = history.latest(count);
                            assert_eq!([older, newer].concat(), wanted[wanted.len() - count.min(wanted.len())..]);
                        }
                        assert_eq!(history.oldest_first(), wanted, "keep {keep}, piece {piece}");
                    }
                }
                assert!(history.bytes.capacity() <= keep.max(8), "{}", history.bytes.capacity());
            }
        }
    }
}
