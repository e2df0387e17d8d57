//! A child process of the system.

use std::io;
use std::os::unix::process::ExitStatusExt;
use std::process;
use std::rc::Rc;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use super::Registry;
use super::child_exit::ExitWatch;
use crate::backend::{Child, ProcessEnd, ProcessSignal, Token};

/// How long to wait for the end of a child that was killed.
const KILLED: Duration = Duration::from_secs(1);

pub(super) struct OsChild {
    /// `None` once it was passed to another thread.
    child: Option<process::Child>,
    exit: ExitWatch,
    /// Whether it was waited for, so that its id is no longer valid.
    ended: bool,
    registry: Rc<Registry>,
}

impl OsChild {
    /// Takes over a child that has just been started. If it cannot be watched, it is killed.
    pub(super) fn new(mut child: process::Child, registry: Rc<Registry>) -> io::Result<Self> {
        match ExitWatch::new(child.id(), Rc::clone(&registry)) {
            Ok(exit) => Ok(Self { child: Some(child), exit, ended: false, registry }),
            Err(error) => {
                child.kill().ok();
                reap(child);
                Err(error)
            }
        }
    }
}

impl Child for OsChild {
    fn id(&self) -> u32 {
        self.child.as_ref().map_or(0, process::Child::id)
    }

    fn register(&mut self, token: Token) -> io::Result<()> {
        self.exit.register(token)
    }

    fn try_wait(&mut self) -> io::Result<Option<ProcessEnd>> {
        let Some(child) = &mut self.child else { return Ok(None) };
        self.exit.clear();
        let end = match child.try_wait() {
            Ok(status) => status.map(end_of),
            // Other code has waited for it, or the system did because SIGCHLD is ignored.
            Err(error) if error.raw_os_error() == Some(libc::ECHILD) => Some(ProcessEnd::Unknown),
            Err(error) => return Err(error),
        };
        self.ended = end.is_some();
        Ok(end)
    }

    fn signal(&mut self, signal: ProcessSignal) -> io::Result<()> {
        // In a process forked from ours it is the child of another process, and is left alone.
        if self.ended || self.registry.is_forked() {
            return Err(io::ErrorKind::NotFound.into());
        }
        let child = i32::try_from(self.id()).ok().and_then(Pid::from_raw).ok_or(io::ErrorKind::NotFound)?;
        let signal = Signal::from_named_raw(signal.number()).ok_or(io::ErrorKind::InvalidInput)?;
        // It was not waited for, so its id is still its own.
        Ok(kill_process(child, signal)?)
    }

    fn kill_and_wait(&mut self) -> ProcessEnd {
        // This fails only if the child has ended or is another process's: both are found below.
        self.signal(ProcessSignal::KILL).ok();
        let begin = Instant::now();
        loop {
            match self.try_wait() {
                Ok(Some(end)) => return end,
                Ok(None) if begin.elapsed() < KILLED => self.exit.wait(KILLED.saturating_sub(begin.elapsed())),
                Ok(None) | Err(_) => return ProcessEnd::Unknown,
            }
        }
    }
}

impl Drop for OsChild {
    fn drop(&mut self) {
        if let Some(child) = self.child.take().filter(|_| !self.ended && !self.registry.is_forked()) {
            reap(child);
        }
    }
}

/// Waits for a child on a thread of its own, for as long as it takes.
fn reap(mut child: process::Child) {
    let name = child.id();
    let reaper = thread::Builder::new().name("torsade-reaper".to_owned());
    if let Err(error) = reaper.spawn(move || child.wait()) {
        log::warn!("cannot wait for the child process {name}, which stays a zombie once it has ended: {error}");
    }
}

fn end_of(status: process::ExitStatus) -> ProcessEnd {
    let code = status.code().map(ProcessEnd::Exited);
    let killed = || status.signal().map(|signal| ProcessEnd::Killed(ProcessSignal::from_number(signal)));
    code.or_else(killed).unwrap_or(ProcessEnd::Unknown)
}
