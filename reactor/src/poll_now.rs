//! What the system says of one descriptor at this moment.

use std::io;
use std::os::fd::AsFd;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::retry_on_intr;
use rustix::time::Timespec;

/// What of `asked` the descriptor is ready for, besides the errors that are reported without being asked for. Does not wait; yet
/// a signal that comes at this very moment ends a poll(2), which is made again then.
pub(crate) fn poll_now(descriptor: impl AsFd, asked: PollFlags) -> io::Result<PollFlags> {
    let mut polled = [PollFd::new(&descriptor, asked)];
    retry_on_intr(|| poll(&mut polled, Some(&Timespec::default())))?;
    let [polled] = polled;
    Ok(polled.revents())
}
