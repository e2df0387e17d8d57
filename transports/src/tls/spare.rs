//! One empty buffer for all idle connections of a thread.

use std::cell::Cell;

/// A buffer larger than this is not kept, in bytes.
const LIMIT: usize = 256 << 10;

thread_local! {
    /// Left by the layer that has emptied its own, for the next one that needs some.
    static SPARE: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// Appends to a buffer, which is the spare one if it had no memory yet.
pub(super) fn append(buffer: &mut Vec<u8>, bytes: &[u8]) {
    if buffer.capacity() == 0 && !bytes.is_empty() {
        *buffer = SPARE.take();
    }
    buffer.extend_from_slice(bytes);
}

/// Takes a buffer that is not needed any more.
pub(super) fn give(mut buffer: Vec<u8>) {
    buffer.clear();
    if (1..=LIMIT).contains(&buffer.capacity()) {
        SPARE.set(buffer);
    }
}
