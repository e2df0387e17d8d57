//! Signals as calls from the loop.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::io;
use std::panic::Location;
use std::rc::{Rc, Weak};
use std::time::Duration;

use super::{Core, Reactor, RunState};
use crate::backend::Signal;
use crate::event_log::{Event, Subject};

/// A program's call for a signal.
pub(super) struct SignalCall {
    id: u64,
    signal: Signal,
    made: &'static Location<'static>,
    call: RefCell<Box<dyn FnMut()>>,
}

/// A program's calls for signals, in the order in which they were added.
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

/// Handles a signal until dropped; made by [`Reactor::on_signal`].
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
            list.iter().position(|call| call.id == self.id).map(|index| list.remove(index))
        };
        if let Err(error) = reactor.watch_signals() {
            log::debug!("restoring {:?} failed: {error}", self.signal);
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
    /// Calls `call` from the loop, in step 5 of a turn, whenever the process receives `signal`, until the returned watch is
    /// dropped.
    ///
    /// The signal is handled from now on, even if the loop is not running yet: then the call is made once it runs. Several calls
    /// for one signal are made in the order in which they were added, and every reactor of the process that handles the signal is
    /// told. A panic in a call is logged.
    ///
    /// **Coalescing.** A signal that arrives repeatedly within one turn causes one call, as the system itself coalesces signals:
    /// at each call, check for everything that may have happened. Only SIGINT and SIGTERM are counted.
    ///
    /// **SIGINT and SIGTERM.** A call for one of these replaces the graceful stop, including that of the second signal, which
    /// ends all waiting; it may [`stop`](Self::stop) the reactor itself. If the loop hangs, a third signal still ends the
    /// process, as described at [`run`](Self::run).
    ///
    /// When the last watch of a signal is dropped, or the reactor has stopped, the signal gets its default action again, or stops
    /// the reactor gracefully.
    ///
    /// # Errors
    /// Any system error, if it refuses to install the signal action; an error if the reactor has stopped. `Unsupported` on
    /// Windows, except for SIGINT and SIGTERM, which never occur there.
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
            return Err(io::Error::other(format!("{signal:?} is not handled: the reactor has stopped")));
        }
        let calls = &self.0.signals;
        calls.last_id.set(calls.last_id.get() + 1);
        let (id, made, call) = (calls.last_id.get(), Location::caller(), RefCell::new(Box::new(call) as Box<dyn FnMut()>));
        calls.list.borrow_mut().push(Rc::new(SignalCall { id, signal, made, call }));
        // From here on, dropping the watch removes the call.
        let watch = SignalWatch { core: Rc::downgrade(&self.0), id, signal };
        self.watch_signals()?;
        Ok(watch)
    }

    /// Tells the backend which signals are wanted now: the program's, and while the loop runs those that stop it.
    pub(super) fn watch_signals(&self) -> io::Result<()> {
        let mut wanted: Vec<Signal> = self.0.signals.list.borrow().iter().map(|call| call.signal).collect();
        if self.0.stops_on_signals.get() {
            wanted.extend([Signal::Interrupt, Signal::Terminate]);
        }
        self.0.backend.watch_signals(&wanted)
    }

    /// A signal has arrived: makes the program's calls, or stops gracefully if the signal asks for that.
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
            // An earlier call may have dropped its watch.
            if self.0.signals.has(call.id) {
                self.call("a call for a signal", Some(call.made), || (call.call.borrow_mut())());
            }
        }
    }

    fn stop_on_signal(&self, signal: Signal) {
        let stopping = self.0.stop_requested.get();
        match self.0.run_state.get() {
            RunState::Running if !stopping => {
                log::info!("received {signal:?}: stopping");
                self.0.stop_requested.set(true);
            }
            RunState::Running => self.hurry(signal),
            RunState::Preparing(_) => {
                self.hurry(signal);
                self.0.run_state.set(RunState::Preparing(Duration::ZERO));
            }
            RunState::Finishing(_) => {
                self.hurry(signal);
                self.0.run_state.set(RunState::Finishing(Duration::ZERO));
            }
            RunState::Idle | RunState::Stopped => {}
        }
    }

    /// Makes the stop wait for nothing more, neither now nor in a later phase.
    fn hurry(&self, signal: Signal) {
        log::info!("received {signal:?} again: stopping at once");
        self.0.hurried.set(true);
    }
}
