//! Signals as calls from the loop.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::io;
use std::panic::Location;
use std::rc::{Rc, Weak};
use std::time::Duration;

use super::{Core, Life, Reactor};
use crate::backend::Signal;
use crate::event_log::{Event, Subject};

/// What a program calls for a signal.
pub(super) struct SignalCall {
    id: u64,
    signal: Signal,
    made: &'static Location<'static>,
    call: RefCell<Box<dyn FnMut()>>,
}

/// What a program calls for signals, in the order in which it was said.
#[derive(Default)]
pub(super) struct SignalCalls {
    list: RefCell<Vec<Rc<SignalCall>>>,
    last_id: Cell<u64>,
}

impl SignalCalls {
    fn of(&self, signal: Signal) -> Vec<Rc<SignalCall>> {
        self.list.borrow().iter().filter(|call| call.signal == signal).cloned().collect()
    }

    fn has(&self, id: u64) -> bool {
        self.list.borrow().iter().any(|call| call.id == id)
    }

    pub(super) fn take(&self) -> Vec<Rc<SignalCall>> {
        self.list.take()
    }
}

/// Has a signal taken, until it is dropped; made by [`Reactor::on_signal`].
#[must_use = "the signal is taken only as long as this is kept"]
pub struct SignalWatch {
    core: Weak<Core>,
    id: u64,
    signal: Signal,
}

impl Drop for SignalWatch {
    fn drop(&mut self) {
        let Some(core) = self.core.upgrade() else { return };
        let reactor = Reactor(core);
        let dropped = {
            let mut list = reactor.0.signals.list.borrow_mut();
            list.iter().position(|call| call.id == self.id).map(|place| list.remove(place))
        };
        if let Err(error) = reactor.watch_signals() {
            log::debug!("giving {:?} back failed: {error}", self.signal);
        }
        // Outside the borrow: what it holds may use the reactor.
        drop(dropped);
    }
}

impl fmt::Debug for SignalWatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SignalWatch").field("signal", &self.signal).finish_non_exhaustive()
    }
}

impl Reactor {
    /// Calls `call` from the loop, in step 5 of a turn, whenever the process is sent `signal`; until what this gives is dropped.
    ///
    /// The signal is taken from now on, even if the loop does not run yet: then the call is made once it does. Several calls
    /// for one signal are made in the order in which they were added, and every reactor of the process that takes it is told.
    /// A panic in a call is logged.
    ///
    /// **Coalescing.** A signal that comes again before the loop has come round is told once, as the system itself does with
    /// signals: look for all that has happened, at each call. Only SIGINT and SIGTERM are counted.
    ///
    /// **SIGINT and SIGTERM.** A call for one of them takes the place of the graceful stop, also of the second signal's, which
    /// ends every wait; it may [`stop`](Self::stop) the reactor itself. A program whose loop does not come round is still ended
    /// by the third, as [`run`](Self::run) says.
    ///
    /// When the last watch of a signal is dropped, or the reactor has stopped, the signal has the system's default action
    /// again, or stops the reactor gracefully.
    ///
    /// # Errors
    /// When the system refuses to install the signal action, or the reactor has stopped. `Unsupported` on Windows, but for SIGINT
    /// and SIGTERM, which never come there.
    ///
    /// # Examples
    /// ```no_run
    /// use torsade::{Signal, prelude::*};
    ///
    /// let reactor = Reactor::new()?;
    /// let _hangups = reactor.on_signal(Signal::Hangup, || println!("reading the configuration again"))?;
    /// reactor.run()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[doc(alias = "installSignalHandlers")]
    #[doc(alias = "sigInt")]
    #[doc(alias = "sigTerm")]
    #[doc(alias = "sigBreak")]
    #[track_caller]
    pub fn on_signal(&self, signal: Signal, call: impl FnMut() + 'static) -> io::Result<SignalWatch> {
        if self.has_stopped() {
            return Err(io::Error::other(format!("{signal:?} is not taken: the reactor has stopped, and makes no more calls")));
        }
        let calls = &self.0.signals;
        calls.last_id.set(calls.last_id.get() + 1);
        let (id, made, call) = (calls.last_id.get(), Location::caller(), RefCell::new(Box::new(call) as Box<dyn FnMut()>));
        calls.list.borrow_mut().push(Rc::new(SignalCall { id, signal, made, call }));
        // From here on dropping it takes the call back.
        let watch = SignalWatch { core: Rc::downgrade(&self.0), id, signal };
        self.watch_signals()?;
        Ok(watch)
    }

    /// Has the backend report the signals that are wanted now: those of the program, and while the loop runs those that stop it.
    pub(super) fn watch_signals(&self) -> io::Result<()> {
        let mut wanted: Vec<Signal> = self.0.signals.list.borrow().iter().map(|call| call.signal).collect();
        if self.0.stops_on_signals.get() {
            wanted.extend([Signal::Interrupt, Signal::Terminate]);
        }
        self.0.backend.watch_signals(&wanted)
    }

    /// A signal has come: makes the program's calls, or stops gracefully if that is what it asks for.
    pub(super) fn take_signal(&self, signal: Signal) {
        self.observe(|| Event::new(Subject::Reactor, "signal").with_reason(format!("{signal:?}")));
        let calls = self.0.signals.of(signal);
        if calls.is_empty() {
            if signal.asks_to_stop() {
                self.stop_on_signal(signal);
            }
            return;
        }
        self.begin_calls();
        for call in calls {
            // One that was made before may have dropped it.
            if self.0.signals.has(call.id) {
                self.call("a call for a signal", Some(call.made), || (call.call.borrow_mut())());
            }
        }
    }

    fn stop_on_signal(&self, signal: Signal) {
        let stopping = self.0.stop_requested.get();
        match self.0.life.get() {
            Life::Running if !stopping => {
                log::info!("received {signal:?}: stopping");
                self.0.stop_requested.set(true);
            }
            Life::Running => self.hurry(signal),
            Life::Preparing(_) => {
                self.hurry(signal);
                self.0.life.set(Life::Preparing(Duration::ZERO));
            }
            Life::Finishing(_) => {
                self.hurry(signal);
                self.0.life.set(Life::Finishing(Duration::ZERO));
            }
            Life::Idle | Life::Stopped => {}
        }
    }

    /// Makes the stop wait for nothing more, neither now nor in a wait that has not begun.
    fn hurry(&self, signal: Signal) {
        log::info!("received {signal:?} again: stopping at once");
        self.0.hurried.set(true);
    }
}
