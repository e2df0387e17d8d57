//! A buffer that whoever empties its own leaves for the next.

use std::cell::Cell;
use std::thread::LocalKey;

/// One buffer of a thread, so that what is needed shortly and often allocates nothing.
pub(crate) struct SpareBuffer {
    buffer: Cell<Vec<u8>>,
    /// The largest worth keeping, in bytes: one that held a single huge message is freed.
    limit: usize,
}

impl SpareBuffer {
    pub(crate) const fn up_to(limit: usize) -> Self {
        Self { buffer: Cell::new(Vec::new()), limit }
    }

    /// Takes what is there; an empty buffer of no memory if nothing is.
    pub(crate) fn take(place: &'static LocalKey<Self>) -> Vec<u8> {
        place.try_with(|spare| spare.buffer.take()).unwrap_or_default()
    }

    /// Leaves a buffer, with nothing in it. While the thread ends it is freed: what is dropped then may come after the place.
    pub(crate) fn give(place: &'static LocalKey<Self>, mut buffer: Vec<u8>) {
        buffer.clear();
        place
            .try_with(|spare| {
                if (1..=spare.limit).contains(&buffer.capacity()) {
                    spare.buffer.set(buffer);
                }
            })
            .ok();
    }
}
