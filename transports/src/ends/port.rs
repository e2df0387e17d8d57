//! A listening port.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::io;
#[cfg(unix)]
use std::os::fd::{AsFd, BorrowedFd};
use std::rc::Rc;
use std::time::Duration;

use torsade_protocols::spi::Layers;
use torsade_protocols::{Address, Factory};
use torsade_reactor::event_log::{Event, Subject};
use torsade_reactor::spi::{Listener, Ready, Source, Stream, Token, catch};
use torsade_reactor::{DelayedCall, Reactor, report_error};

use crate::connection::shared::Shared;
use crate::connection::{Lingering, StreamConnection};
use crate::ends::accept_bound::AcceptBound;

/// The most connections that one port accepts, or refuses, per turn.
pub(crate) const ACCEPTS: usize = 64;

/// The first and the longest wait after an accept has failed.
const FIRST_WAIT: Duration = Duration::from_millis(100);
const LONGEST_WAIT: Duration = Duration::from_secs(1);

/// How often a port at its limit checks for room.
const ROOM_WAIT: Duration = Duration::from_millis(50);

/// A listening port, as [`listen_tcp`](crate::ReactorTcp::listen_tcp) returns it; a cheap handle.
///
/// Dropping it changes nothing: the port listens until [`stop_listening`](Self::stop_listening) or the reactor's stop.
///
/// When the process runs out of descriptors, waiting connections are refused (closed at once), which is logged once,
/// and accepting goes on after 100 ms, later 1 s. This happens only if the program's own files take more than a tenth of
/// the descriptors: before that, connections wait, see [`set_accept_limit`](crate::ReactorTcp::set_accept_limit).
///
/// An error that concerns a single connection (accept(2) lists them) is logged at level `debug`, and the next connection is
/// accepted. After any other error the port waits as above, but refuses nobody.
#[derive(Clone)]
#[doc(alias = "IListeningPort")]
pub struct Port(Rc<PortSource>);

struct PortSource {
    shared: Rc<Shared>,
    bound: Rc<AcceptBound>,
    address: Address,
    token: Cell<Token>,
    listener: RefCell<Option<Box<dyn Listener>>>,
    factory: RefCell<Box<dyn Factory>>,
    /// The most connections that it accepts per turn.
    accepts: usize,
    /// What every connection begins with.
    layers: Layers,
    started: Cell<bool>,
    stopping: Cell<bool>,
    /// By `pause_producing`.
    paused: Cell<bool>,
    /// The wait after the last failure; `None` after a success.
    wait: Cell<Option<Duration>>,
    /// The timer that accepts again after the wait. One is enough, however often accepting fails meanwhile.
    retry: RefCell<Option<DelayedCall>>,
}

impl Port {
    pub(crate) fn open(
        reactor: &Reactor,
        listener: Box<dyn Listener>,
        factory: Box<dyn Factory>,
        accepts: usize,
        layers: Layers,
    ) -> io::Result<Self> {
        let shared = Shared::of(reactor);
        let bound = AcceptBound::of(reactor);
        bound.read_descriptor_limit(reactor.backend());
        let source = Rc::new(PortSource {
            shared,
            bound,
            address: listener.local_address()?,
            token: Cell::new(Token::from_usize(usize::MAX)),
            listener: RefCell::new(Some(listener)),
            factory: RefCell::new(factory),
            accepts,
            layers,
            started: Cell::new(false),
            stopping: Cell::new(false),
            paused: Cell::new(false),
            wait: Cell::new(None),
            retry: RefCell::default(),
        });
        let token = reactor.add_source(Rc::<PortSource>::clone(&source));
        source.token.set(token);
        let registered = source.listener.borrow_mut().as_mut().map_or(Ok(()), |listener| listener.register(token));
        if let Err(error) = registered {
            reactor.remove_source(token);
            return Err(error);
        }
        // For `start_factory`, which comes from the loop like every callback.
        reactor.requeue(token, Ready::NONE);
        log::debug!("listening on {}", source.address);
        Ok(Self(source))
    }

    /// Returns the address that it listens on; for port 0, with the port that the system chose.
    #[doc(alias = "getHost")]
    #[must_use]
    pub fn address(&self) -> Address {
        self.0.address.clone()
    }

    /// Calls `look` with the listening socket's descriptor, like
    /// [`Transport::with_descriptor`](torsade_protocols::Transport::with_descriptor).
    ///
    /// # Errors
    /// `Unsupported` in a simulated world; `NotConnected` once it is closed.
    ///
    /// # Examples
    /// ```
    /// use socket2::SockRef;
    /// use torsade::{prelude::*, wire::Echo};
    ///
    /// let reactor = Reactor::new()?;
    /// let port = reactor.listen_tcp("127.0.0.1:0", |_peer| Echo)?;
    /// let shared = port.with_descriptor(|descriptor| SockRef::from(&descriptor).reuse_port())??;
    /// assert!(!shared);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[cfg(unix)]
    #[doc(alias = "fileno")]
    pub fn with_descriptor<T>(&self, look: impl FnOnce(BorrowedFd<'_>) -> T) -> io::Result<T> {
        let copy = match &*self.0.listener.borrow() {
            Some(listener) => listener.copy_descriptor()?,
            None => return Err(io::ErrorKind::NotConnected.into()),
        };
        Ok(look(copy.as_fd()))
    }

    /// Stops listening: the socket is closed at the end of this turn, and then the factory's `stop_factory` is called.
    ///
    /// Established connections go on. Does nothing once the port is closed.
    #[doc(alias = "stopListening")]
    pub fn stop_listening(&self) {
        self.0.stopping.set(true);
        self.0.shared.reactor.at_end_of_turn(self.0.token.get());
    }
}

/// # Back-pressure
impl Port {
    /// Stops accepting until resumed. New connections wait in the system's queue, whose length is the backlog.
    #[doc(alias = "pauseProducing")]
    #[doc(alias = "stopReading")]
    pub fn pause_producing(&self) {
        self.0.paused.set(true);
    }

    /// Accepts again, from the next turn on.
    #[doc(alias = "resumeProducing")]
    #[doc(alias = "startReading")]
    pub fn resume_producing(&self) {
        if self.0.paused.replace(false) {
            self.0.shared.reactor.requeue(self.0.token.get(), Ready::READABLE);
        }
    }
}

impl PortSource {
    fn start_factory(&self) {
        if !self.started.replace(true) {
            self.call_factory("start_factory", |factory| factory.start_factory());
        }
    }

    fn accept(&self) {
        let (mut taken, mut failed) = (0, 0);
        while taken < self.accepts {
            if self.stopping.get() || self.paused.get() {
                return;
            }
            if !self.has_room() {
                self.retry_after(ROOM_WAIT);
                return;
            }
            let accepted = match &*self.listener.borrow() {
                Some(listener) => listener.accept(),
                None => return,
            };
            match accepted {
                Ok((stream, peer)) => {
                    taken += 1;
                    self.wait.set(None);
                    self.accepted(stream, peer);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                // So many in one turn are not a coincidence: without a wait the loop would spin.
                Err(error) if concerns_one_connection(&error) && failed < ACCEPTS => {
                    failed += 1;
                    log::debug!("port {}: not accepted: {error}", self.address);
                }
                Err(error) => {
                    self.back_off(&error);
                    return;
                }
            }
        }
        self.shared.reactor.requeue(self.token.get(), Ready::READABLE);
    }

    fn has_room(&self) -> bool {
        let reactor = &self.shared.reactor;
        #[cfg(feature = "tls")]
        if self.layers.tls.is_some() && !crate::tls::Handshakes::of(reactor).has_room(reactor.now()) {
            return false;
        }
        let backend = reactor.backend();
        self.bound.has_room(backend) || Lingering::make_room(&self.shared) && self.bound.has_room(backend)
    }

    fn accepted(&self, stream: Box<dyn Stream>, peer: Address) {
        let built = self.call_factory("build_protocol", |factory| factory.build_protocol(&peer));
        let Some(Some(protocol)) = built else {
            log::debug!("port {}: the factory refused {peer}", self.address);
            return;
        };
        if let Err(error) = StreamConnection::accept(&self.shared, stream, peer.clone(), protocol, &self.layers) {
            log::warn!("port {}: connection with {peer} lost at once: {error}", self.address);
        }
    }

    /// Waits and tries again after accepting has failed, since no new event would report that it is possible again. For lack
    /// of descriptors or memory, waiting connections are refused meanwhile, rather than left hanging.
    fn back_off(&self, error: &io::Error) {
        let refused = if error.kind() == io::ErrorKind::QuotaExceeded { self.refuse() } else { 0 };
        if self.is_waiting() {
            return;
        }
        let wait = self.wait.get().map_or(FIRST_WAIT, |wait| LONGEST_WAIT.min(2 * wait));
        if self.wait.replace(Some(wait)).is_none() {
            report_error(
                "accept",
                format_args!("port {}: cannot accept ({error}): refused {refused}, trying again from now on", self.address),
            );
        }
        self.retry_after(wait);
    }

    fn is_waiting(&self) -> bool {
        self.retry.borrow().as_ref().is_some_and(DelayedCall::active)
    }

    /// Accepts again after this time, unless a wait is running already.
    fn retry_after(&self, wait: Duration) {
        if !self.is_waiting() {
            let (reactor, token) = (self.shared.reactor.clone(), self.token.get());
            let retry = self.shared.reactor.call_later(wait, move || reactor.requeue(token, Ready::READABLE));
            self.retry.replace(Some(retry));
        }
    }

    /// Refuses the waiting connections, and returns how many.
    fn refuse(&self) -> usize {
        let listener = self.listener.borrow();
        let Some(listener) = &*listener else { return 0 };
        let mut refused = 0;
        for _ in 0..ACCEPTS {
            match listener.refuse() {
                Ok(()) => refused += 1,
                Err(error) if concerns_one_connection(&error) => {}
                Err(_) => break,
            }
        }
        refused
    }

    fn close(&self) {
        if self.listener.take().is_some() {
            self.shared.reactor.remove_source(self.token.get());
            if let Some(retry) = self.retry.take() {
                // It may have been made already.
                retry.cancel().ok();
            }
            log::debug!("no longer listening on {}", self.address);
            if self.started.get() {
                self.call_factory("stop_factory", |factory| factory.stop_factory());
            }
        }
    }

    fn call_factory<T>(&self, hook: &'static str, call: impl FnOnce(&mut dyn Factory) -> T) -> Option<T> {
        self.shared.reactor.record_callback(hook);
        self.shared.reactor.observe(|| Event::new(Subject::Port { address: self.address.to_string() }, hook));
        match catch(|| call(&mut **self.factory.borrow_mut())) {
            Ok(value) => Some(value),
            Err(panic) => {
                report_error(hook, format_args!("port {}: {hook} {panic}", self.address));
                None
            }
        }
    }
}

/// Whether the error concerns only one connection, so that others may be accepted.
fn concerns_one_connection(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::ConnectionAborted | io::ErrorKind::Interrupted)
}

impl Source for PortSource {
    fn ready(self: Rc<Self>, ready: Ready) {
        self.start_factory();
        if ready.contains(Ready::READABLE) {
            self.accept();
        }
    }

    fn end_of_turn(self: Rc<Self>) {
        self.close();
    }

    fn shut_down(self: Rc<Self>) {
        self.close();
    }

    fn abort(self: Rc<Self>) {
        self.close();
    }

    fn describe(&self) -> String {
        format!("a port listening on {}", self.address)
    }
}

impl fmt::Debug for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Port").field("address", &self.0.address).finish_non_exhaustive()
    }
}
