//! Descriptors of other libraries on the loop.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::rc::{Rc, Weak};

use rustix::event::PollFlags;

use super::Reactor;
use crate::backend::{Interest, Ready, Token};
use crate::panic::catch;
use crate::poll_now::poll_now;
use crate::reactor::source::Source;
use crate::report::{drop_quietly, report_error};

/// Watches a descriptor until dropped; made by [`Reactor::watch`].
#[must_use = "the descriptor is watched only as long as this is kept"]
pub struct Watch(Weak<Watched>);

impl Watch {
    /// Changes the interest. May be called from within its own callback. Does nothing once the watch has ended.
    ///
    /// # Errors
    /// See [`Reactor::watch`]; the watch is then unchanged.
    ///
    /// # Examples
    /// ```
    /// use torsade::{Interest, Watch};
    ///
    /// /// What a database client calls before each of its operations.
    /// fn note_output(watch: &Watch, has_output: bool) -> std::io::Result<()> {
    ///     watch.set_interest(if has_output { Interest::Both } else { Interest::Readable })
    /// }
    /// ```
    pub fn set_interest(&self, interest: Interest) -> io::Result<()> {
        let Some(watched) = self.0.upgrade() else { return Ok(()) };
        let Some(descriptor) = watched.descriptor() else { return Ok(()) };
        watched.reactor.backend().watch_descriptor(descriptor.as_fd(), watched.token.get(), interest, true)?;
        watched.interest.set(interest);
        Ok(())
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        if let Some(watched) = self.0.upgrade() {
            watched.leave();
        }
    }
}

impl fmt::Debug for Watch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Watch").field(&self.0.upgrade().map(|watched| watched.describe())).finish()
    }
}

type Call = Box<dyn FnMut(Interest)>;

struct Watched {
    reactor: Reactor,
    token: Cell<Token>,
    interest: Cell<Interest>,
    /// `None` once it is no longer watched.
    descriptor: RefCell<Option<Rc<dyn AsFd>>>,
    /// Taken out while it is being called.
    call: RefCell<Option<Call>>,
}

impl Watched {
    fn descriptor(&self) -> Option<Rc<dyn AsFd>> {
        self.descriptor.borrow().clone()
    }

    /// What it is ready for now, according to the system.
    fn look(&self, descriptor: &dyn AsFd) -> io::Result<Option<Interest>> {
        let interest = self.interest.get();
        let found = poll_now(descriptor, flags(interest))?;
        if found.contains(PollFlags::NVAL) {
            return Err(io::Error::other("it was closed while it was being watched; drop the Watch first"));
        }
        Ok(reported(interest, found))
    }

    /// Some systems report readiness again only if asked again.
    fn rearm(&self, descriptor: &dyn AsFd) {
        let (token, interest) = (self.token.get(), self.interest.get());
        if let Err(error) = self.reactor.backend().watch_descriptor(descriptor.as_fd(), token, interest, true) {
            report_error("watch", format_args!("{} ended: {error}", self.describe()));
            self.leave();
        }
    }

    /// Ends the watch.
    fn leave(&self) {
        if let Some(descriptor) = self.descriptor.take() {
            self.reactor.backend().forget_descriptor(descriptor.as_fd());
            drop_quietly("a descriptor that was watched", descriptor);
        }
        self.reactor.remove_source(self.token.get());
        drop_quietly("a call for a descriptor", self.call.take());
    }
}

const fn flags(interest: Interest) -> PollFlags {
    match interest {
        Interest::Readable => PollFlags::IN,
        Interest::Writable => PollFlags::OUT,
        Interest::Both => PollFlags::IN.union(PollFlags::OUT),
    }
}

/// Which of `interest` the system has reported. Errors and hang-ups count as readiness, and are found by reading or writing.
fn reported(interest: Interest, reported: PollFlags) -> Option<Interest> {
    let failed = reported.intersects(PollFlags::ERR | PollFlags::HUP);
    let readable = interest.is_readable() && (failed || reported.contains(PollFlags::IN));
    let writable = interest.is_writable() && (failed || reported.contains(PollFlags::OUT));
    match (readable, writable) {
        (true, true) => Some(Interest::Both),
        (true, false) => Some(Interest::Readable),
        (false, true) => Some(Interest::Writable),
        (false, false) => None,
    }
}

impl Source for Watched {
    fn ready(self: Rc<Self>, _: Ready) {
        let Some(descriptor) = self.descriptor() else { return };
        match self.look(&*descriptor) {
            Ok(None) => self.rearm(&*descriptor),
            Ok(Some(ready)) => {
                let Some(mut call) = self.call.take() else { return };
                // The system reports readiness once. Checking again in the next turn covers what the callback leaves unread.
                self.reactor.requeue(self.token.get(), Ready::NONE);
                self.reactor.record_callback("a call for a descriptor");
                let called = catch(|| call(ready));
                if let Err(panic) = called {
                    report_error("watch", format_args!("{} ended: its call {panic}", self.describe()));
                    self.leave();
                }
                if self.descriptor.borrow().is_some() {
                    self.call.replace(Some(call));
                }
            }
            Err(error) => {
                report_error("watch", format_args!("{} ended: {error}", self.describe()));
                self.leave();
            }
        }
    }

    fn end_of_turn(self: Rc<Self>) {}

    fn shut_down(self: Rc<Self>) {
        self.leave();
    }

    fn abort(self: Rc<Self>) {
        self.leave();
    }

    fn describe(&self) -> String {
        let number = self.descriptor().map_or(-1, |descriptor| descriptor.as_fd().as_raw_fd());
        format!("the watch of descriptor {number}")
    }
}

impl Reactor {
    /// Calls `call` from the loop, in step 6 of a turn, whenever `descriptor` is ready for `interest`, until the returned watch
    /// is dropped or the reactor stops.
    ///
    /// It is for descriptors of other libraries: inotify, timers, a database client's socket. The descriptor may be of any kind
    /// that the system can poll. It is only watched, never read, written or changed, and is dropped with the watch. If it is used
    /// elsewhere, pass an `Rc` or a duplicate ([`try_clone_to_owned`](std::os::fd::BorrowedFd::try_clone_to_owned)). It need not
    /// be non-blocking. A descriptor can be watched only once at a time; a duplicate counts as another.
    ///
    /// **Readiness** is level-triggered: as long as the descriptor is ready, `call` is called once a turn. It may leave input
    /// unread, and everything else is served in between; but a callback that never reads what is there, including the end of a
    /// stream, keeps the loop busy. An error or a hang-up counts as ready, because reading and writing find out which it is.
    /// Readiness is checked right before the call, so it is accurate unless others use the same descriptor.
    ///
    /// **Closing.** The watched descriptor stays open, since the watch holds it. If unsafe code of another library closes it
    /// anyway, the watch ends with an error in the log once that is noticed; before that the system may have reused the number.
    /// Drop the watch before the library's object.
    ///
    /// A panic in the call ends the watch and is logged. When the reactor stops, watches end after the calls [before
    /// shutdown](Self::before_shutdown), together with the connections.
    ///
    /// # Errors
    /// Any system error: `PermissionDenied` for a file or directory, which is always ready and need not be watched;
    /// `AlreadyExists` if it is already watched. `Unsupported` in a simulated world, which has no descriptors. An error once the
    /// reactor has begun to end what is watched.
    ///
    /// # Examples
    /// ```
    /// use std::{io::{Read, Write}, os::unix::net::UnixStream, rc::Rc};
    /// use torsade::{Interest, prelude::*};
    ///
    /// fn main() -> Result {
    ///     let reactor = Reactor::new()?;
    ///     let (ours, mut other) = UnixStream::pair()?;
    ///     let (ours, stopper) = (Rc::new(ours), reactor.clone());
    ///     let reading = ours.clone();
    ///     let _watch = reactor.watch(ours, Interest::Readable, move |_| {
    ///         let mut byte = [0];
    ///         (&*reading).read_exact(&mut byte).expect("it is readable");
    ///         stopper.stop().expect("it runs");
    ///     })?;
    ///     other.write_all(b"!")?;
    ///     reactor.run()
    /// }
    /// ```
    #[doc(alias = "IReactorFDSet")]
    #[doc(alias = "addReader")]
    #[doc(alias = "addWriter")]
    pub fn watch(
        &self,
        descriptor: impl AsFd + 'static,
        interest: Interest,
        call: impl FnMut(Interest) + 'static,
    ) -> io::Result<Watch> {
        if self.is_ending() {
            return Err(io::Error::other("the reactor is stopping: nothing is watched any more"));
        }
        let descriptor: Rc<dyn AsFd> = Rc::new(descriptor);
        let watched = Rc::new(Watched {
            reactor: self.clone(),
            token: Cell::new(Token::from_usize(usize::MAX)),
            interest: Cell::new(interest),
            descriptor: RefCell::new(Some(Rc::clone(&descriptor))),
            call: RefCell::new(Some(Box::new(call))),
        });
        watched.token.set(self.add_source(Rc::<Watched>::clone(&watched)));
        if let Err(error) = self.backend().watch_descriptor(descriptor.as_fd(), watched.token.get(), interest, false) {
            // It was not watched, so it must not be forgotten either: another watch may exist.
            watched.descriptor.take();
            watched.leave();
            return Err(error);
        }
        Ok(Watch(Rc::downgrade(&watched)))
    }
}
