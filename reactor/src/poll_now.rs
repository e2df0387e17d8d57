//! Polling one descriptor.

use std::io;
use std::os::fd::AsFd;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::retry_on_intr;
use rustix::time::Timespec;

/// Returns which of `asked` the descriptor is ready for now, plus errors, which are always reported. Does not block. If a signal
/// interrupts the poll(2), it is repeated.
pub(crate) fn poll_now(descriptor: impl AsFd, asked: PollFlags) -> io::Result<PollFlags> {
    let mut polled = [PollFd::new(&descriptor, asked)];
    retry_on_intr(|| poll(&mut polled, Some(&Timespec::default())))?;
    let [polled] = polled;
    Ok(polled.revents())
}
