//! Standard input and output.
//!
//! What the program was started with belongs to its shell and the shell's other programs, and outlives this program. So nothing
//! is changed that would remain afterwards, even if the program is killed.

use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};
use std::rc::Rc;
use std::sync::atomic::{AtomicU32, Ordering};

use rustix::fs::{FileType, OFlags, fcntl_getfl, fstat};
use rustix::io::{Errno, fcntl_dupfd_cloexec};
use rustix::net::{Shutdown, shutdown};
use rustix::stdio::{dup2_stdout, stdin, stdout};

use super::Registry;
use super::descriptor::Descriptor;
use super::descriptor_stream::DescriptorStream;
use super::pooled_descriptor::PooledDescriptor;
use super::thread_pool::ThreadPool;

/// Opens standard input and output as one stream. A closed side has ended.
pub(super) fn open(registry: &Rc<Registry>, pool: &Rc<ThreadPool>) -> io::Result<DescriptorStream> {
    let standard = StandardOutput { _claim: Claim::new()? };
    let side = |descriptor: BorrowedFd<'_>, access: OFlags| match fstat(descriptor) {
        Ok(stat) => {
            let kind = FileType::from_raw_mode(stat.st_mode);
            let copy = || fcntl_dupfd_cloexec(descriptor, 3);
            Ok(Some(match (kind, reopen(descriptor, kind, access)) {
                (_, Some(own)) => Descriptor::Own(own),
                (FileType::Socket, None) => Descriptor::Socket(copy()?),
                _ => Descriptor::Pooled(PooledDescriptor::new(copy()?, Rc::clone(registry), Rc::clone(pool))),
            }))
        }
        Err(Errno::BADF) => Ok(None),
        Err(error) => Err(io::Error::from(error)),
    };
    let (input, output) = (side(stdin(), OFlags::RDONLY)?, side(stdout(), OFlags::WRONLY)?);
    if input.is_none() && output.is_none() {
        return Err(io::Error::new(io::ErrorKind::NotConnected, "neither standard input nor standard output is open"));
    }
    DescriptorStream::of(input, output, Some(standard), Rc::clone(registry))
}

/// Reopens a pipe or terminal, for a description of our own that may be non-blocking. `None` if that is not possible, or would
/// open something other than what the program was started with.
fn reopen(descriptor: BorrowedFd<'_>, kind: FileType, access: OFlags) -> Option<OwnedFd> {
    // On Linux its path in /proc leads to the same pipe or terminal, even to one without a name; elsewhere it gives a mere
    // duplicate.
    let anew = cfg!(target_os = "linux") && (kind == FileType::Fifo || is_terminal(descriptor));
    let granted = fcntl_getfl(descriptor).ok()? & OFlags::RWMODE;
    if !anew || granted != access && granted != OFlags::RDWR {
        return None;
    }
    let path = format!("/proc/self/fd/{}", descriptor.as_raw_fd());
    rustix::fs::open(path, access | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC, rustix::fs::Mode::empty()).ok()
}

/// A terminal, but not the master side of a pseudo-terminal: opening that would make another one.
fn is_terminal(descriptor: BorrowedFd<'_>) -> bool {
    rustix::termios::isatty(descriptor) && rustix::pty::ptsname(descriptor, Vec::new()).is_err()
}

/// What remains to be done with standard output when nothing more will be written.
pub(super) struct StandardOutput {
    _claim: Claim,
}

impl StandardOutput {
    /// Lets the reader of standard output see its end: on a pipe by replacing the process's own descriptor with `/dev/null`, on a
    /// socket by a half-close. Terminals and files have no end.
    pub(super) fn end(&self) -> io::Result<()> {
        match FileType::from_raw_mode(fstat(stdout())?.st_mode) {
            FileType::Fifo => Ok(dup2_stdout(File::options().write(true).open("/dev/null")?)?),
            FileType::Socket => Ok(shutdown(stdout(), Shutdown::Write)?),
            _ => Ok(()),
        }
    }
}

/// The process that has a connection over its standard input and output; 0 if none.
static CLAIMED: AtomicU32 = AtomicU32::new(0);

/// The right to use standard input and output, which one connection of a process has at a time.
struct Claim;

impl Claim {
    fn new() -> io::Result<Self> {
        let process = std::process::id();
        // A process forked from one with such a connection may have its own.
        if CLAIMED.swap(process, Ordering::Relaxed) == process {
            let text =
                "this program already has a connection over its standard input and output: use that, or wait until it is lost";
            return Err(io::Error::new(io::ErrorKind::ResourceBusy, text));
        }
        Ok(Self)
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        // This fails if a forked process drops its parent's claim.
        CLAIMED.compare_exchange(std::process::id(), 0, Ordering::Relaxed, Ordering::Relaxed).ok();
    }
}
