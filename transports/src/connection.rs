//! One stream connection: passes input to the protocol, and the protocol's writes to the socket.

mod buffers;
pub(crate) mod chain;
mod close;
mod draining;
mod lingering;
mod output;
mod phase;
mod producing;
mod progress;
mod reading;
mod registered_producer;
pub(crate) mod shared;
#[cfg(feature = "tls")]
mod stacked;
#[cfg(feature = "tls")]
mod starting_tls;
mod state;
mod transport;
mod unsent;
mod writing;

use std::cell::{Cell, OnceCell, RefCell};
use std::fmt;
use std::io;
use std::rc::Rc;

use torsade_protocols::spi::{Connection, Layers, Work};
use torsade_protocols::{Address, Callback, Detect, Host, Protocol, ProxyHeader, Reason, Transport};
use torsade_reactor::event_log::{Event, Subject};
use torsade_reactor::spi::{Direction, Ready, Source, Stream, Token, catch, drop_quietly};
use torsade_reactor::{Panic, Result};

use crate::connection::shared::Shared;
pub(crate) use lingering::{Lingering, LingeringSockets};
use state::State;

/// A stream socket with its protocol, from the accept or connect to `connection_lost`.
///
/// `state` is never borrowed while a user's callback runs, and callbacks run only from the loop (`ready`,
/// `end_of_turn`, timers), so every method of the transport may be called from every callback.
pub(crate) struct StreamConnection {
    shared: Rc<Shared>,
    token: Cell<Token>,
    id: u64,
    peer: Address,
    /// The header of a proxy.
    proxy_header: OnceCell<Box<ProxyHeader>>,
    protocol: RefCell<Option<Box<dyn Protocol>>>,
    state: RefCell<State>,
    work: Work,
    /// A callback is running: what it asks for is done after it returns.
    in_callback: Cell<bool>,
    /// [`settle`](Self::settle) is due at the end of the turn.
    settles_later: Cell<bool>,
    /// The system has taken bytes since the peer was last known to have everything.
    in_flight: Cell<bool>,
}

/// Called when an outgoing connection is lost.
pub(crate) type OnLost = Box<dyn FnOnce(&Reason)>;

/// Called when an outgoing connection is made or ready.
pub(crate) type OnMade = Box<dyn FnOnce(&Transport)>;

/// What comes with a connection that we have made.
pub(crate) struct Begun {
    /// The token under which the socket is already registered.
    pub(crate) token: Token,
    /// The last reported readiness of the socket: that edge will not come again.
    pub(crate) ready: Ready,
    /// The host that it was made to.
    pub(crate) host: Option<Host>,
    /// Called before `connection_made`.
    pub(crate) on_made: OnMade,
    /// Called after `connection_made`, or after the handshake if the connection begins with TLS.
    pub(crate) on_ready: OnMade,
    pub(crate) on_lost: OnLost,
}

/// Calls user code, whose failure is a reason to close the connection.
fn call_out(callback: impl FnOnce() -> Result) -> Result<(), Reason> {
    match catch(callback) {
        Ok(result) => result.map_err(|error| Reason::Protocol(error.into())),
        Err(panic) => Err(Reason::Panicked(panic)),
    }
}

impl StreamConnection {
    /// Makes a connection, with these layers, of a stream that is already connected; from the loop only.
    pub(crate) fn accept(
        shared: &Rc<Shared>,
        stream: Box<dyn Stream>,
        peer: Address,
        protocol: Box<dyn Protocol>,
        layers: &Layers,
    ) -> io::Result<()> {
        Self::new(shared, peer, protocol).enter(stream, layers)
    }

    /// Makes a connection of a child process's pipe, and calls `on_made` before `connection_made`. Not only from the loop: its
    /// protocol's `connection_made` calls no user code.
    pub(crate) fn adopt_pipe(
        shared: &Rc<Shared>,
        pipe: Box<dyn Stream>,
        protocol: Box<dyn Protocol>,
        on_made: impl FnOnce(&Transport),
    ) -> io::Result<()> {
        let connection = Self::new(shared, Address::Unnamed, protocol);
        on_made(&connection.transport());
        connection.enter(pipe, &Layers::default())
    }

    /// Enters the reactor's table, and begins.
    fn enter(self: &Rc<Self>, mut stream: Box<dyn Stream>, layers: &Layers) -> io::Result<()> {
        let reactor = &self.shared.reactor;
        let token = reactor.add_source(Rc::<Self>::clone(self));
        self.token.set(token);
        if let Err(error) = stream.register(token) {
            reactor.remove_source(token);
            drop_quietly("a protocol", self.protocol.take());
            return Err(error);
        }
        reactor.call_for(token, |_| self.begin(stream, layers));
        Ok(())
    }

    /// Makes a connection of a socket that we have connected; from the loop only.
    pub(crate) fn take_over(
        shared: &Rc<Shared>,
        stream: Box<dyn Stream>,
        begun: Begun,
        peer: Address,
        protocol: Box<dyn Protocol>,
        layers: &Layers,
    ) {
        let connection = Self::new(shared, peer, protocol);
        shared.reactor.replace_source(begun.token, Rc::<Self>::clone(&connection));
        connection.token.set(begun.token);
        {
            let mut state = connection.state.borrow_mut();
            state.update_readiness(begun.ready);
            state.rare().on_ready = Some(begun.on_ready);
            state.rare().on_lost = Some(begun.on_lost);
            state.rare().host = begun.host;
        }
        connection.detect_at_start();
        (begun.on_made)(&connection.transport());
        shared.reactor.call_for(begun.token, |_| connection.begin(stream, layers));
    }

    /// Switches detection on, as for every connection that we make.
    fn detect_at_start(&self) {
        self.with_compression(&mut self.state.borrow_mut(), |layer| layer.set_detect(Detect::AtStart));
    }

    fn new(shared: &Rc<Shared>, peer: Address, protocol: Box<dyn Protocol>) -> Rc<Self> {
        Rc::new(Self {
            shared: Rc::clone(shared),
            token: Cell::new(Token::from_usize(usize::MAX)),
            id: shared.next_id(),
            peer,
            proxy_header: OnceCell::new(),
            protocol: RefCell::new(Some(protocol)),
            state: RefCell::new(State::new()),
            work: Work::new(Rc::clone(&shared.turn)),
            in_callback: Cell::new(false),
            settles_later: Cell::new(false),
            in_flight: Cell::new(false),
        })
    }

    /// The socket is connected.
    fn begin(self: &Rc<Self>, stream: Box<dyn Stream>, layers: &Layers) {
        {
            let mut state = self.state.borrow_mut();
            state.reads_on |= !stream.short_io_ends_edge();
            state.passes_descriptors = stream.unix().is_some();
            match stream.direction() {
                Direction::Both => {}
                Direction::Input => state.outgoing.be_absent(),
                Direction::Output => state.incoming.end(),
            }
            state.stream = Some(stream);
            // A new socket has room: what `connection_made` writes need not wait for an event.
            state.writable = true;
        }
        log::debug!("connection {} with {} made", self.id, self.peer);
        if let Err(reason) = layers.switch_on(&self.transport()) {
            // Not a graceful close: that would send what `connection_made` writes, in plaintext.
            self.state.borrow_mut().lifecycle.doom(reason);
        }
        self.call(Callback::ConnectionMade);
        if !self.state.borrow().is_handshaking() {
            self.notify_ready();
        }
        self.settle();
    }

    /// Calls `on_ready`, unless the connection is closing.
    fn notify_ready(self: &Rc<Self>) {
        let on_ready = {
            let mut state = self.state.borrow_mut();
            if state.lifecycle.is_open() { state.take_on_ready() } else { None }
        };
        if let Some(on_ready) = on_ready {
            on_ready(&self.transport());
        }
    }

    /// One of the addresses in a proxy's header, if it is there.
    fn proxied(&self, which: fn(&ProxyHeader) -> &Address) -> Option<Address> {
        self.proxy_header.get().map(|header| which(header).clone()).filter(|address| *address != Address::Unnamed)
    }

    /// The handle of this connection.
    fn transport(self: &Rc<Self>) -> Transport {
        Transport::new(Rc::<Self>::clone(self))
    }

    /// Calls the protocol. An error or a panic closes the connection gracefully, with that reason.
    fn call(self: &Rc<Self>, callback: Callback<'_>) {
        let mut protocol = self.protocol.borrow_mut();
        let Some(protocol) = protocol.as_deref_mut() else { return };
        self.observe(callback);
        self.call_user(callback.name(), |transport| callback.dispatch(protocol, transport));
    }

    /// Calls user code that belongs to this connection.
    fn call_user(self: &Rc<Self>, name: &'static str, callback: impl FnOnce(&Transport) -> Result) {
        self.shared.reactor.record_callback(name);
        let transport = self.transport();
        self.in_callback.set(true);
        let result = call_out(|| callback(&transport));
        self.in_callback.set(false);
        if let Err(fault) = result {
            self.fail(name, fault);
        }
    }

    /// Reports a callback to the event log.
    fn observe(&self, callback: Callback<'_>) {
        self.shared.reactor.observe(|| {
            let event = Event::new(Subject::Connection { id: self.id, peer: self.peer().to_string() }, callback.name());
            match callback {
                Callback::Data(data) => event.with_data(data),
                Callback::ConnectionLost(reason) => event.with_reason(reason.kind()),
                _ => event,
            }
        });
    }

    /// Does everything that is due after an event: output, producer, close. Called from the loop only.
    fn settle(self: &Rc<Self>) {
        self.settles_later.set(false);
        let mut state = self.state.borrow_mut();
        state.handle_failure();
        if state.is_plain() {
            self.write_out(&mut state);
        }
        // Writing may have failed.
        if !state.is_plain() {
            drop(state);
            self.settle_all();
            state = self.state.borrow_mut();
        }
        if state.wants_turn() {
            self.shared.reactor.requeue(self.token.get(), Ready::NONE);
        }
        drop(state);
        self.shared.buffers.drop_sent();
    }

    /// Settles a connection that has more than input and output. Out of line, since few connections do.
    #[inline(never)]
    fn settle_all(self: &Rc<Self>) {
        self.leave_consumers();
        self.drive_producer();
        self.flush(&mut self.state.borrow_mut());
        self.notify_drained();
        self.advance_close();
        self.arm_layer_timer();
    }

    /// Schedules [`settle`](Self::settle) for the end of the turn, or after the running callback.
    fn settle_later(&self, state: &State) {
        self.work.reconsider();
        self.settle_written(state);
    }

    /// The same after a write, which does not change whether data is wanted, unless [`append`](Self::append) finds otherwise.
    fn settle_written(&self, state: &State) {
        if !self.in_callback.get() && !state.lifecycle.is_lost() && !self.settles_later.replace(true) {
            self.shared.reactor.at_end_of_turn(self.token.get());
        }
    }
}

impl Source for StreamConnection {
    fn ready(self: Rc<Self>, ready: Ready) {
        self.work.begin_turn(&self.shared.reactor);
        let mut state = self.state.borrow_mut();
        state.update_readiness(ready);
        if state.outgoing.has_ended() && ready.contains(Ready::WRITABLE) {
            // The system also reports this when our end of stream is acknowledged.
            state.hint_at_acknowledgement(self.shared.reactor.now());
        }
        let state = self.resume_protocol(state);
        self.read(state);
        self.settle();
    }

    fn end_of_turn(self: Rc<Self>) {
        let state = self.state.borrow_mut();
        if state.resumed && !state.wants_input() && self.work.is_left() {
            // Nothing to read would make the loop come back.
            drop(self.resume_protocol(state));
        } else {
            drop(state);
        }
        self.settle();
    }

    fn shut_down(self: Rc<Self>) {
        let producer = self.state.borrow_mut().shut_down();
        self.stop_producer(producer);
        self.settle();
    }

    fn abort(self: Rc<Self>) {
        self.state.borrow_mut().lifecycle.doom(Reason::ShuttingDown);
        self.lose();
    }

    fn panicked(self: Rc<Self>, panic: Panic) {
        self.state.borrow_mut().lifecycle.doom(Reason::Panicked(panic));
        self.lose();
    }

    fn describe(&self) -> String {
        match self.proxied(ProxyHeader::source) {
            None => format!("connection {} with {}", self.id, self.peer),
            Some(client) => format!("connection {} with {client} by way of {}", self.id, self.peer),
        }
    }
}

impl fmt::Debug for StreamConnection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StreamConnection").field("id", &self.id).field("peer", &self.peer).finish_non_exhaustive()
    }
}
