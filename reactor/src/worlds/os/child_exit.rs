//! How the loop is told that a child process has ended.

use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::rc::Rc;
use std::time::Duration;

use mio::Interest;
use mio::unix::SourceFd;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::time::Timespec;
use signal_hook::SigId;
use signal_hook::consts::SIGCHLD;
use signal_hook::low_level::{pipe, unregister};

use super::Registry;
use crate::backend::Token;

/// A descriptor that is readable once the child has ended, and perhaps before.
///
/// It does not wait for any process, so children of other code in this program are not affected.
pub(super) struct ExitWatch {
    descriptor: OwnedFd,
    /// The signal handler that writes to it when any child has ended, on systems without process descriptors.
    signal: Option<SigId>,
    registry: Rc<Registry>,
}

impl ExitWatch {
    /// Watches a child that was not waited for.
    pub(super) fn new(child: u32, registry: Rc<Registry>) -> io::Result<Self> {
        match process_descriptor(child) {
            Some(descriptor) => Ok(Self { descriptor, signal: None, registry }),
            None => Self::by_signal(registry),
        }
    }

    /// Watches for the end of any child, by SIGCHLD.
    fn by_signal(registry: Rc<Registry>) -> io::Result<Self> {
        let (ours, signalled) = UnixStream::pair()?;
        ours.set_nonblocking(true)?;
        let signal = pipe::register(SIGCHLD, signalled)?;
        Ok(Self { descriptor: ours.into(), signal: Some(signal), registry })
    }

    pub(super) fn register(&self, token: Token) -> io::Result<()> {
        let source = self.descriptor.as_raw_fd();
        self.registry.register(&mut SourceFd(&source), mio::Token(token.to_usize()), Interest::READABLE)
    }

    /// Clears the report, so that the next one is noticed.
    pub(super) fn clear(&self) {
        if self.signal.is_some() {
            let mut buffer = [0; 64];
            while matches!(rustix::io::read(&self.descriptor, &mut buffer), Ok(1..)) {}
        }
    }

    /// Waits until the child may have ended, or for at most `timeout`.
    pub(super) fn wait(&self, timeout: Duration) {
        let mut polled = [PollFd::from_borrowed_fd(self.descriptor.as_fd(), PollFlags::IN)];
        // An interruption may be treated like a report: the child is checked, and there is a deadline.
        poll(&mut polled, Timespec::try_from(timeout).ok().as_ref()).ok();
    }
}

impl Drop for ExitWatch {
    fn drop(&mut self) {
        if let Some(signal) = self.signal {
            unregister(signal);
        }
        if !self.registry.is_forked() {
            // This fails only if it was never registered.
            self.registry.deregister(&mut SourceFd(&self.descriptor.as_raw_fd())).ok();
        }
    }
}

/// The process as a descriptor (Linux 5.3).
#[cfg(target_os = "linux")]
fn process_descriptor(child: u32) -> Option<OwnedFd> {
    use rustix::process::{Pid, PidfdFlags, pidfd_open};

    let child = Pid::from_raw(i32::try_from(child).ok()?)?;
    pidfd_open(child, PidfdFlags::empty()).ok()
}

#[cfg(not(target_os = "linux"))]
fn process_descriptor(_: u32) -> Option<OwnedFd> {
    None
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn where_a_process_has_no_descriptor_the_signal_reports_the_end_of_any_child() {
        let registry = Rc::clone(&crate::worlds::os::Os::new().expect("a poll").registry);
        let (first, second) = (ExitWatch::by_signal(Rc::clone(&registry)), ExitWatch::by_signal(registry));
        let (first, second) = (first.expect("a watch"), second.expect("a watch"));
        for _ in 0..2 {
            let mut child = Command::new("cat").stdin(Stdio::piped()).stdout(Stdio::null()).spawn().expect("a child");
            drop(child.stdin.take());
            for watch in [&first, &second] {
                watch.wait(Duration::from_secs(600));
                watch.clear();
            }
            child.wait().expect("its end");
        }
    }
}
