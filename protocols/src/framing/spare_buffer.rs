//! A spare buffer that is reused by the next user.

use std::cell::Cell;
use std::thread::LocalKey;

/// One spare buffer per thread, so that buffers needed often and briefly are not allocated each time.
pub(crate) struct SpareBuffer {
    buffer: Cell<Vec<u8>>,
    /// The largest capacity worth keeping, in bytes: a buffer that held a single huge message is freed.
    limit: usize,
}

impl SpareBuffer {
    pub(crate) const fn up_to(limit: usize) -> Self {
        Self { buffer: Cell::new(Vec::new()), limit }
    }

    /// Takes the buffer; if there is none, an empty one without memory.
    pub(crate) fn take(key: &'static LocalKey<Self>) -> Vec<u8> {
        key.try_with(|spare| spare.buffer.take()).unwrap_or_default()
    }

    /// Leaves an emptied buffer. During thread exit it is freed instead, since values may be dropped after the place is gone.
    pub(crate) fn give(key: &'static LocalKey<Self>, mut buffer: Vec<u8>) {
        buffer.clear();
        key.try_with(|spare| {
            if (1..=spare.limit).contains(&buffer.capacity()) {
                spare.buffer.set(buffer);
            }
        })
        .ok();
    }
}
