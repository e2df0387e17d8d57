//! Sockets passed by the program that started ours, sd_listen_fds(3).
//!
//! A descriptor's number does not say whose it is. So only those are taken that the environment says were passed and that were
//! not opened by this program: its own descriptors are close-on-exec, which passed ones cannot be. Each is taken once. The
//! environment is not changed, because other threads may be reading it; a child is not misled, because `LISTEN_PID` names our
//! process.

use std::env;
use std::io::{self, ErrorKind};
use std::mem;
use std::os::fd::OwnedFd;
use std::sync::{Mutex, PoisonError};

use rustix::io::{FdFlags, fcntl_getfd, fcntl_setfd};

use crate::backend::{Inherited, PassedSocket, SocketDomain, listening_domain};

/// The number of the first passed descriptor, `SD_LISTEN_FDS_START`.
const FIRST: u32 = 3;

/// More than any service manager passes.
const MOST: u32 = 1 << 16;

/// `None` until first used.
static PASSED: Mutex<Option<Vec<Passed>>> = Mutex::new(None);

struct Passed {
    name: Option<String>,
    state: State,
}

enum State {
    /// It was passed, and waits to be taken.
    Waiting(OwnedFd),
    Taken,
    /// The environment says it was passed, but it is closed or was opened by this program. It is never closed here.
    Wrong(OwnedFd),
}

/// Takes a passed socket.
///
/// # Errors
/// `NotFound` if no such socket was passed, `AlreadyExists` if it was already taken, `InvalidInput` if it is not a listening
/// socket, or of another domain.
pub(super) fn take(socket: &PassedSocket, domain: Option<SocketDomain>) -> io::Result<Inherited> {
    let mut passed = PASSED.lock().unwrap_or_else(PoisonError::into_inner);
    let passed = match &mut *passed {
        Some(passed) => passed,
        none => none.insert(read()?),
    };
    take_from(passed, socket, domain)
        .map_err(|error| io::Error::new(error.kind(), format!("{socket} cannot be listened on: {error}")))
}

/// Reads what was passed according to the environment; children no longer inherit any of it.
fn read() -> io::Result<Vec<Passed>> {
    // The library allocates for as many as the variable says.
    if env::var("LISTEN_FDS").is_ok_and(|count| count.parse().is_ok_and(|count: u32| count > MOST)) {
        return Err(io::Error::new(ErrorKind::InvalidInput, format!("LISTEN_FDS says that more than {MOST} were passed")));
    }
    let wrong = |error: sd_listen_fds::Error| io::Error::new(ErrorKind::InvalidInput, format!("LISTEN_FDS: {error}"));
    let passed = sd_listen_fds::get().map_err(wrong)?.into_iter();
    Ok(passed.map(|(name, descriptor)| Passed { name, state: State::of(descriptor.into_std()) }).collect())
}

impl State {
    fn of(descriptor: OwnedFd) -> Self {
        let passed = fcntl_getfd(&descriptor).is_ok_and(|flags| !flags.contains(FdFlags::CLOEXEC));
        if passed && fcntl_setfd(&descriptor, FdFlags::CLOEXEC).is_ok() {
            Self::Waiting(descriptor)
        } else {
            Self::Wrong(descriptor)
        }
    }
}

fn take_from(passed: &mut [Passed], socket: &PassedSocket, domain: Option<SocketDomain>) -> io::Result<Inherited> {
    let count = passed.len();
    let Some(Passed { state, .. }) = find(passed, socket) else {
        let text = format!(
            "there is none ({count} were passed): start this program with systemd, with systemd-socket-activate, or with \
             LISTEN_FDS and LISTEN_PID set"
        );
        return Err(io::Error::new(ErrorKind::NotFound, text));
    };
    let (error, again) = match mem::replace(state, State::Taken) {
        State::Waiting(descriptor) => match check(&descriptor, domain) {
            Ok(()) => return descriptor.try_into(),
            Err(error) => (error, State::Waiting(descriptor)),
        },
        State::Taken => (io::Error::new(ErrorKind::AlreadyExists, "it was already taken: name each once"), State::Taken),
        State::Wrong(descriptor) => {
            let text = "LISTEN_FDS says so, but it is closed, or was opened by this program itself";
            (io::Error::new(ErrorKind::InvalidInput, text), State::Wrong(descriptor))
        }
    };
    *state = again;
    Err(error)
}

fn find<'a>(passed: &'a mut [Passed], socket: &PassedSocket) -> Option<&'a mut Passed> {
    let index = match socket {
        PassedSocket::Index(index) => *index,
        PassedSocket::Descriptor(number) => usize::try_from(number.checked_sub(FIRST)?).ok()?,
        PassedSocket::Name(name) => {
            let named = |passed: &Passed| passed.name.as_ref() == Some(name);
            let waits = |passed: &Passed| named(passed) && !matches!(passed.state, State::Taken);
            passed.iter().position(waits).or_else(|| passed.iter().position(named))?
        }
    };
    passed.get_mut(index)
}

fn check(descriptor: &OwnedFd, domain: Option<SocketDomain>) -> io::Result<()> {
    let is = listening_domain(descriptor)?;
    match domain {
        Some(said) if said != is => Err(io::Error::new(ErrorKind::InvalidInput, format!("its domain is {is}, not {said}"))),
        _ => Ok(()),
    }
}
