//! One stream connection: what is read goes to the protocol, what the protocol writes goes out.

pub(crate) mod chain;
mod close;
pub(crate) mod layer;
mod lingering;
pub(crate) mod output;
mod producing;
mod progress;
mod reading;
pub(crate) mod shared;
#[cfg(feature = "tls")]
mod starting_tls;
mod state;
mod writing;

#[cfg(feature = "tls")]
pub(crate) use close::{log_end, report_fault};

use std::cell::{Cell, RefCell};
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use torsade_protocols::spi::{AlreadyReceived, Connection, Registration};
use torsade_protocols::spi::{Work, weight};
use torsade_protocols::{
    Address, Compression, CompressionError, CompressionStats, Decompression, Delivery, Detect, Host, Producer, ProducerError,
    Protocol, Reason, TlsConfig, TlsError, Transport,
};
#[cfg(feature = "tls")]
use torsade_protocols::{StartTlsError, TlsInfo};
use torsade_reactor::event_log::{Event, Subject};
use torsade_reactor::spi::{Ready, Source, Stream, Token, catch, drop_quietly};
use torsade_reactor::{Panic, Reactor, Result, TaskGroup};

use crate::connection::chain::Chain;
use crate::connection::shared::Shared;
pub(crate) use lingering::{Lingering, LingeringSockets};
use state::{CloseTimeout, State};

/// A stream socket with its protocol, from the accept or connect to `connection_lost`.
///
/// `state` is never borrowed while a user's callback runs, and callbacks run from the loop only (`ready`,
/// `end_of_turn`, timers): so every method of the transport may be called from every callback.
pub(crate) struct StreamConnection {
    shared: Rc<Shared>,
    token: Cell<Token>,
    id: u64,
    peer: SocketAddr,
    protocol: RefCell<Option<Box<dyn Protocol>>>,
    state: RefCell<State>,
    work: Work,
}

/// What is told to the maker of an outgoing connection when it is lost.
pub(crate) type OnLost = Box<dyn FnOnce(&Reason)>;

/// What comes with a connection that was begun by us.
pub(crate) struct Begun {
    /// The socket is registered under it already.
    pub(crate) token: Token,
    /// What was reported of the socket: that edge will not come again.
    pub(crate) ready: Ready,
    /// Where it was made to.
    pub(crate) host: Host,
    /// Told before `connection_made`.
    pub(crate) on_made: Box<dyn FnOnce(&Transport)>,
    pub(crate) on_lost: OnLost,
}

impl StreamConnection {
    /// Makes a connection of a socket that a port has accepted, with TLS if that is asked for; from the loop only.
    pub(crate) fn accept(
        shared: &Rc<Shared>,
        mut stream: Box<dyn Stream>,
        peer: SocketAddr,
        protocol: Box<dyn Protocol>,
        tls: Option<&TlsConfig>,
    ) -> io::Result<()> {
        let connection = Self::new(shared, peer, protocol);
        let token = shared.reactor.add_source(Rc::<Self>::clone(&connection));
        connection.token.set(token);
        if let Err(error) = stream.register(token) {
            shared.reactor.remove_source(token);
            drop_quietly("a protocol", connection.protocol.take());
            return Err(error);
        }
        shared.reactor.call_for(token, || connection.begin(stream, tls));
        Ok(())
    }

    /// Makes a connection of a socket that we have connected; from the loop only.
    pub(crate) fn take_over(
        shared: &Rc<Shared>,
        stream: Box<dyn Stream>,
        begun: Begun,
        peer: SocketAddr,
        protocol: Box<dyn Protocol>,
        tls: Option<&TlsConfig>,
    ) {
        let connection = Self::new(shared, peer, protocol);
        shared.reactor.replace_source(begun.token, Rc::<Self>::clone(&connection));
        connection.token.set(begun.token);
        {
            let mut state = connection.state.borrow_mut();
            state.note_readiness(begun.ready);
            state.rare().on_lost = Some(begun.on_lost);
            state.rare().host = Some(begun.host);
            // Where we connect, a peer that announces compression is understood.
            connection.with_compression(&mut state, |layer| layer.set_detect(Detect::AtStart));
        }
        (begun.on_made)(&connection.transport());
        shared.reactor.call_for(begun.token, || connection.begin(stream, tls));
    }

    fn new(shared: &Rc<Shared>, peer: SocketAddr, protocol: Box<dyn Protocol>) -> Rc<Self> {
        Rc::new(Self {
            shared: Rc::clone(shared),
            token: Cell::new(Token::from_usize(usize::MAX)),
            id: shared.next_id(),
            peer,
            protocol: RefCell::new(Some(protocol)),
            state: RefCell::new(State::new()),
            work: Work::new(Rc::clone(&shared.turn)),
        })
    }

    /// The socket is connected.
    fn begin(self: &Rc<Self>, stream: Box<dyn Stream>, tls: Option<&TlsConfig>) {
        {
            let mut state = self.state.borrow_mut();
            state.stream = Some(stream);
            // A new socket has room: what `connection_made` writes need not wait for the poll to say so.
            state.writable = true;
        }
        log::debug!("connection {} with {} made", self.id, self.peer);
        if let Some(config) = tls
            && let Err(error) = self.start_tls(config, b"", AlreadyReceived::Refuse)
        {
            // Not closed gracefully: what `connection_made` writes would be sent, and in plaintext.
            self.state.borrow_mut().doom(Reason::Tls(TlsError::Internal(error.to_string())));
        }
        self.call("connection_made", None, |protocol, transport| protocol.connection_made(transport));
        self.settle();
    }

    /// The handle of this connection.
    fn transport(self: &Rc<Self>) -> Transport {
        Transport::new(Rc::<Self>::clone(self))
    }

    /// Calls the protocol. An error or a panic closes the connection in order, with that reason.
    ///
    /// `name` is the callback's, for the event log, and so is `data`, if it gets any.
    fn call(
        self: &Rc<Self>,
        name: &'static str,
        data: Option<&[u8]>,
        callback: impl FnOnce(&mut dyn Protocol, &Transport) -> Result,
    ) {
        let mut protocol = self.protocol.borrow_mut();
        let Some(protocol) = protocol.as_deref_mut() else { return };
        self.observe(name, |event| match data {
            Some(data) => event.with_data(data),
            None => event,
        });
        self.call_user(name, |transport| callback(protocol, transport));
    }

    /// Calls user code that belongs to this connection.
    fn call_user(self: &Rc<Self>, name: &'static str, callback: impl FnOnce(&Transport) -> Result) {
        self.shared.reactor.note_callback(name);
        let transport = self.transport();
        self.state.borrow_mut().in_callback = true;
        let result = catch(|| callback(&transport));
        self.state.borrow_mut().in_callback = false;
        match result {
            Ok(Ok(())) => {}
            Ok(Err(error)) => self.fail(name, Reason::Protocol(error.into())),
            Err(panic) => self.fail(name, Reason::Panicked(panic)),
        }
    }

    /// Tells the event log of a callback.
    fn observe(&self, callback: &'static str, detail: impl FnOnce(Event) -> Event) {
        let subject = || Subject::Connection { id: self.id, peer: self.peer.to_string() };
        self.shared.reactor.observe(|| detail(Event::new(subject(), callback)));
    }

    /// Does all that is due after something happened: output, producer, close. Called from the loop only.
    fn settle(self: &Rc<Self>) {
        let consumers = {
            let mut state = self.state.borrow_mut();
            state.note_failure();
            state.take_spent_consumers()
        };
        if let Some(consumers) = consumers {
            consumers.leave();
        }
        self.drive_producer();
        self.flush();
        self.advance_close();
        self.arm_layer_timer();
        let state = self.state.borrow();
        if !state.lost && (state.wants_input() || state.resumed && state.is_reading() || state.producer_is_due()) {
            self.shared.reactor.requeue(self.token.get(), Ready::NONE);
        }
    }

    /// Something was asked for from outside: has it done at the end of the turn, or after the callback that asked.
    fn settle_later(&self, state: &State) {
        if !state.in_callback && !state.lost {
            self.shared.reactor.at_end_of_turn(self.token.get());
        }
    }
}

impl Source for StreamConnection {
    fn ready(self: Rc<Self>, ready: Ready) {
        self.work.begin_turn(&self.shared.reactor);
        {
            let mut state = self.state.borrow_mut();
            state.note_readiness(ready);
            if state.write_ended && ready.contains(Ready::WRITABLE) {
                // The system reports this when our end is acknowledged, though room is of no use any more.
                state.hint_at_acknowledgement(self.shared.reactor.now());
            }
        }
        self.resume_protocol();
        self.read();
        self.settle();
    }

    fn end_of_turn(self: Rc<Self>) {
        self.settle();
    }

    fn shut_down(self: Rc<Self>) {
        let producer = self.state.borrow_mut().shut_down();
        self.stop_producer(producer);
        self.settle();
    }

    fn abort(self: Rc<Self>) {
        self.lose(&Reason::ShuttingDown);
    }

    fn panicked(self: Rc<Self>, panic: Panic) {
        self.lose(&Reason::Panicked(panic));
    }

    fn describe(&self) -> String {
        format!("connection {} with {}", self.id, self.peer)
    }
}

impl Connection for StreamConnection {
    fn reactor(&self) -> &Reactor {
        &self.shared.reactor
    }

    fn id(&self) -> u64 {
        self.id
    }

    fn peer(&self) -> Address {
        self.peer.into()
    }

    fn host(&self) -> Address {
        let state = self.state.borrow();
        state.stream.as_ref().and_then(|stream| stream.local_address().ok()).map_or(Address::None, Address::from)
    }

    fn write(&self, data: &[u8]) {
        let mut state = self.state.borrow_mut();
        self.append(&mut state, &[data]);
        self.settle_later(&state);
    }

    fn write_sequence(&self, pieces: &[&[u8]]) {
        let mut state = self.state.borrow_mut();
        self.append(&mut state, pieces);
        self.settle_later(&state);
    }

    fn unsent(&self) -> usize {
        self.state.borrow().unsent()
    }

    fn delivery(&self) -> Delivery {
        self.state.borrow_mut().delivery()
    }

    fn lose_connection(&self) {
        let mut state = self.state.borrow_mut();
        state.begin_close(Reason::ConnectionDone);
        self.settle_later(&state);
    }

    fn lose_write_connection(&self) {
        let mut state = self.state.borrow_mut();
        state.half_closing = true;
        self.settle_later(&state);
    }

    fn abort_connection(&self) {
        let mut state = self.state.borrow_mut();
        state.doom(Reason::ConnectionAborted);
        self.settle_later(&state);
    }

    fn fail_with(&self, reason: Reason) {
        self.fail("the protocol", reason);
        self.settle_later(&self.state.borrow());
    }

    fn tasks(&self) -> Option<TaskGroup> {
        let mut state = self.state.borrow_mut();
        (!state.lost).then(|| state.rare().tasks.get_or_insert_default().clone())
    }

    fn is_connected(&self) -> bool {
        !self.state.borrow().lost
    }

    fn is_closing(&self) -> bool {
        self.state.borrow().is_closing()
    }

    fn pause_producing(&self) {
        let mut state = self.state.borrow_mut();
        state.paused = true;
        if state.has_failed_unseen() {
            self.settle_later(&state);
        }
    }

    fn resume_producing(&self) {
        let mut state = self.state.borrow_mut();
        if std::mem::replace(&mut state.paused, false) {
            state.resumed = true;
            self.wake(&state);
        }
    }

    fn is_reading(&self) -> bool {
        self.state.borrow().is_reading()
    }

    fn work(&self) -> Option<&Work> {
        Some(&self.work)
    }

    // As by default, with one look at the state: it is asked for every message.
    fn can_deliver(&self) -> bool {
        let wanted = {
            let state = self.state.borrow();
            state.is_reading() && !state.is_handshaking()
        };
        if wanted && self.work.take(weight::MESSAGE) {
            return true;
        }
        if wanted {
            self.unread(b"");
        }
        false
    }

    fn unread(&self, data: &[u8]) {
        let mut state = self.state.borrow_mut();
        if state.lost {
            return;
        }
        if !data.is_empty() && state.is_handshaking() {
            // They came in plaintext, and nothing in plaintext is delivered after the switch.
            state.doom(Reason::Tls(TlsError::Injected { bytes: data.len() }));
        } else if !data.is_empty() {
            state.bytes_in = state.bytes_in.saturating_sub(data.len() as u64);
            state.chain.get_or_insert_default().unread(data);
        }
        state.resumed = true;
        self.wake(&state);
    }

    fn register_producer(&self, producer: Box<dyn Producer>, streaming: bool) -> std::result::Result<(), ProducerError> {
        let refused = {
            let mut state = self.state.borrow_mut();
            let refused = state.register_producer(producer, streaming);
            self.settle_later(&state);
            refused
        };
        // Dropped outside the borrow: what a producer does then may use the transport.
        refused.map_err(|(error, producer)| {
            drop(producer);
            error
        })
    }

    fn unregister_producer(&self) {
        let producer = {
            let mut state = self.state.borrow_mut();
            self.settle_later(&state);
            state.rare().producer.take()
        };
        // Outside the borrow, as above.
        drop(producer);
    }

    fn add_consumer(&self, registration: &Rc<Registration>) {
        let mut state = self.state.borrow_mut();
        state.rare().consumers.add(registration);
        if state.lost {
            drop(state);
            self.leave_consumers();
        } else {
            self.settle_later(&state);
        }
    }

    fn set_write_buffer_limits(&self, low: usize, high: usize) {
        let mut state = self.state.borrow_mut();
        state.set_watermarks(low, high);
        self.settle_later(&state);
    }

    fn set_write_buffer_cap(&self, cap: usize) {
        let mut state = self.state.borrow_mut();
        state.set_cap(cap);
        self.settle_later(&state);
    }

    fn set_read_while_congested(&self, on: bool) {
        let mut state = self.state.borrow_mut();
        state.read_while_congested = on;
        // A framing protocol may hold messages that it kept back: they come before any new input.
        state.resumed |= on && state.is_congested();
        self.settle_later(&state);
    }

    fn set_close_timeout(&self, timeout: Duration) {
        self.state.borrow_mut().rare().close_timeout = CloseTimeout { flush: timeout, linger: timeout };
    }

    fn tcp_nodelay(&self) -> io::Result<bool> {
        self.state.borrow().stream()?.nodelay()
    }

    fn set_tcp_nodelay(&self, on: bool) -> io::Result<()> {
        self.state.borrow().stream()?.set_nodelay(on)
    }

    fn tcp_keepalive(&self) -> io::Result<bool> {
        self.state.borrow().stream()?.keepalive()
    }

    fn set_tcp_keepalive(&self, on: bool) -> io::Result<()> {
        self.state.borrow().stream()?.set_keepalive(on)
    }

    fn set_compression(&self, compression: &Compression) -> std::result::Result<(), CompressionError> {
        let mut state = self.state.borrow_mut();
        state.check_open()?;
        self.with_compression(&mut state, |layer| layer.compress(compression))
    }

    fn expect_compression(&self, decompression: &Decompression, rest: &[u8]) -> std::result::Result<(), CompressionError> {
        let mut state = self.state.borrow_mut();
        // Our own stream may have ended: this is about the peer's.
        if state.lost || state.is_closing() {
            return Err(CompressionError::Closed);
        }
        if !rest.is_empty() && state.is_handshaking() {
            // They came in plaintext, and nothing in plaintext is delivered after the switch.
            state.doom(Reason::Tls(TlsError::Injected { bytes: rest.len() }));
            self.settle_later(&state);
            return Err(CompressionError::Closed);
        }
        self.with_compression(&mut state, |_| {});
        state.chain.get_or_insert_default().expect_compression(decompression, rest)?;
        self.wake(&state);
        Ok(())
    }

    fn set_detection(&self, detect: Detect) {
        let mut state = self.state.borrow_mut();
        if !state.lost {
            self.with_compression(&mut state, |layer| layer.set_detect(detect));
            state.hushed = detect == Detect::Off;
            // What was held for the old way of looking may be due.
            self.wake(&state);
        }
    }

    fn set_decompression_limits(&self, limits: &Decompression) {
        let mut state = self.state.borrow_mut();
        if !state.lost {
            self.with_compression(&mut state, |layer| layer.set_limits(limits));
        }
    }

    fn flush_compression(&self) {
        self.work_compressor(Chain::flush_compression);
    }

    fn compression_barrier(&self) {
        self.work_compressor(Chain::compression_barrier);
    }

    fn end_compression(&self) {
        self.work_compressor(Chain::end_compression);
    }

    fn take_trailing(&self) -> Vec<u8> {
        let mut state = self.state.borrow_mut();
        match &mut state.chain {
            Some(chain) => chain.take_trailing(),
            None => state.take_last_trailing(),
        }
    }

    #[cfg(feature = "tls")]
    fn start_tls(&self, config: &TlsConfig, rest: &[u8], already: AlreadyReceived) -> std::result::Result<(), StartTlsError> {
        self.insert_tls(config, rest, already)
    }

    fn is_handshaking(&self) -> bool {
        self.state.borrow().is_handshaking()
    }

    #[cfg(feature = "tls")]
    fn tls_info(&self) -> Option<TlsInfo> {
        self.state.borrow().chain.as_ref()?.tls()?.info()
    }

    #[cfg(feature = "tls")]
    fn set_tls_truncation_allowed(&self, allowed: bool) {
        if let Some(layer) = self.state.borrow_mut().chain.as_mut().and_then(|chain| chain.tls_mut()) {
            layer.set_truncation_allowed(allowed);
        }
    }

    fn compression_stats(&self) -> Option<CompressionStats> {
        let state = self.state.borrow();
        state.last_stats().or_else(|| state.chain.as_ref()?.compression_stats())
    }
}

impl fmt::Debug for StreamConnection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StreamConnection").field("id", &self.id).field("peer", &self.peer).finish_non_exhaustive()
    }
}
