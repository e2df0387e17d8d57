//! A datagram socket on the loop.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::io;
use std::rc::Rc;
use std::time::Duration;

use torsade_protocols::spi::{DatagramEnd, Work, weight};
use torsade_protocols::{Address, DatagramError, DatagramProtocol, DatagramTransport};
use torsade_reactor::event_log::{Event, Subject};
use torsade_reactor::spi::{Datagrams, Ready, Source, Token, catch, drop_quietly};
use torsade_reactor::{DatagramOptions, DelayedCall, Reactor, Result, report_error};

use crate::connection::shared::Shared;

/// The largest receive buffer, in bytes: larger than any datagram that systems allow, also on UNIX sockets.
const LONGEST: usize = 1 << 20;

/// How long to wait after a failure to receive.
const WAIT: Duration = Duration::from_millis(100);

pub(crate) struct DatagramPort {
    shared: Rc<Shared>,
    token: Cell<Token>,
    /// `None` once it is closed.
    socket: RefCell<Option<Rc<dyn Datagrams>>>,
    protocol: RefCell<Option<Box<dyn DatagramProtocol>>>,
    host: RefCell<Address>,
    peer: RefCell<Option<Address>>,
    /// One byte longer than the longest datagram that is received whole, so that a truncated one is noticed.
    buffer: RefCell<Box<[u8]>>,
    /// The work that is left for this turn.
    work: Work,
    started: Cell<bool>,
    stopping: Cell<bool>,
    /// `connection_refused` is still to be called.
    refused: Cell<bool>,
    /// The error of the first dropped datagram that was not reported to the protocol yet.
    undelivered: RefCell<Option<DatagramError>>,
    dropped: Cell<u64>,
    truncated: Cell<u64>,
    /// Receives again after an error.
    retry: RefCell<Option<DelayedCall>>,
}

impl DatagramPort {
    pub(crate) fn open(
        reactor: &Reactor,
        mut socket: Box<dyn Datagrams>,
        options: DatagramOptions,
        protocol: Box<dyn DatagramProtocol>,
    ) -> io::Result<Rc<Self>> {
        let shared = Shared::of(reactor);
        let port = Rc::new(Self {
            token: Cell::new(Token::from_usize(usize::MAX)),
            socket: RefCell::default(),
            protocol: RefCell::new(Some(protocol)),
            host: RefCell::new(socket.local_address()?),
            peer: RefCell::new(socket.peer_address()),
            buffer: RefCell::new(vec![0; options.max_packet_size.min(LONGEST) + 1].into_boxed_slice()),
            work: Work::new(Rc::clone(&shared.turn)),
            started: Cell::new(false),
            stopping: Cell::new(false),
            refused: Cell::new(false),
            undelivered: RefCell::default(),
            dropped: Cell::new(0),
            truncated: Cell::new(0),
            retry: RefCell::default(),
            shared,
        });
        let token = reactor.add_source(Rc::<Self>::clone(&port));
        port.token.set(token);
        if let Err(error) = socket.register(token) {
            reactor.remove_source(token);
            return Err(error);
        }
        port.socket.replace(Some(Rc::from(socket)));
        // For `start_protocol`, which comes from the loop like every callback.
        reactor.requeue(token, Ready::NONE);
        log::debug!("receiving datagrams on {}", port.host());
        Ok(port)
    }

    fn start(self: &Rc<Self>) {
        if !self.started.replace(true) {
            self.call("start_protocol", |protocol, transport| protocol.start_protocol(transport));
        }
    }

    /// Receives datagrams until there are no more, or the work of this turn is done.
    fn receive(self: &Rc<Self>) {
        let Some(socket) = self.socket() else { return };
        let mut buffer = self.buffer.borrow_mut();
        while !self.stopping.get() {
            if !self.work.is_left() {
                return self.shared.reactor.requeue(self.token.get(), Ready::READABLE);
            }
            match socket.receive(&mut buffer) {
                Ok((length, from)) => {
                    self.work.spend(weight::DATAGRAM + length as u64 / weight::DATAGRAM_BYTES);
                    self.received(buffer.get(..length).unwrap_or_default(), buffer.len() - 1, &from);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(error) => {
                    self.work.spend(weight::DATAGRAM);
                    if !self.failed(&error) {
                        return;
                    }
                }
            }
        }
    }

    fn received(self: &Rc<Self>, data: &[u8], longest: usize, from: &Address) {
        let Some(data) = data.get(..longest).filter(|cut| cut.len() < data.len()) else {
            return self
                .deliver("datagram_received", data, |protocol, transport| protocol.datagram_received(transport, data, from));
        };
        self.truncated.set(self.truncated.get() + 1);
        if self.truncated.get() == 1 {
            report_error(
                "truncated datagram",
                format_args!(
                    "{}: a datagram from {from} is longer than {longest} bytes, and was cut; set max_packet_size in \
                     DatagramOptions (later ones are only counted)",
                    self.describe()
                ),
            );
        }
        self.deliver("datagram_truncated", data, |protocol, transport| protocol.datagram_truncated(transport, data, from));
    }

    /// Handles a failure to receive, and returns whether receiving may go on at once.
    fn failed(self: &Rc<Self>, error: &io::Error) -> bool {
        match error.kind() {
            io::ErrorKind::Interrupted => true,
            // On an unconnected socket only Windows reports this.
            io::ErrorKind::ConnectionRefused | io::ErrorKind::ConnectionReset => {
                if self.peer.borrow().is_some() {
                    self.report_refused();
                }
                true
            }
            _ => {
                report_error("datagrams", format_args!("{}: receiving failed: {error}", self.describe()));
                // No new event would report that the socket can receive again.
                let (reactor, token) = (self.shared.reactor.clone(), self.token.get());
                let retry = self.shared.reactor.call_later(WAIT, move || reactor.requeue(token, Ready::READABLE));
                self.cancel_retry(Some(retry));
                false
            }
        }
    }

    fn cancel_retry(&self, next: Option<DelayedCall>) {
        if let Some(retry) = self.retry.replace(next) {
            // It may have been made already.
            retry.cancel().ok();
        }
    }

    fn report_refused(self: &Rc<Self>) {
        self.refused.set(false);
        self.call("connection_refused", |protocol, transport| protocol.connection_refused(transport));
    }

    fn send(&self, socket: &dyn Datagrams, data: &[u8], to: Option<&Address>) -> io::Result<()> {
        let send = || to.map_or_else(|| socket.send(data), |to| socket.send_to(data, to));
        loop {
            match send() {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::ConnectionRefused && self.peer.borrow().is_some() => {
                    self.refused.set(true);
                    self.shared.reactor.at_end_of_turn(self.token.get());
                    // The error belongs to an earlier datagram, and this one was not sent.
                    return send();
                }
                result => return result,
            }
        }
    }

    #[cold]
    fn drop_write(&self, error: DatagramError) {
        self.dropped.set(self.dropped.get() + 1);
        if self.dropped.get() == 1 {
            let text = "(later ones are only counted)";
            report_error("dropped datagram", format_args!("{}: a datagram was not sent: {error} {text}", self.describe()));
        }
        self.undelivered.borrow_mut().get_or_insert(error);
        self.shared.reactor.at_end_of_turn(self.token.get());
    }

    fn close(self: &Rc<Self>) {
        if self.socket.take().is_none() {
            return;
        }
        self.shared.reactor.remove_source(self.token.get());
        self.cancel_retry(None);
        log::debug!("no longer receiving datagrams on {}", self.host());
        if self.started.get() {
            self.call("stop_protocol", |protocol, transport| protocol.stop_protocol(transport));
        }
        // The protocol may hold the transport, and so this port.
        drop_quietly("a protocol", self.protocol.take());
    }

    fn deliver(
        self: &Rc<Self>,
        callback: &'static str,
        data: &[u8],
        call: impl FnOnce(&mut dyn DatagramProtocol, &DatagramTransport) -> Result,
    ) {
        self.observe(|subject| Event::new(subject, callback).with_data(data));
        self.call_quietly(callback, call);
    }

    fn call(self: &Rc<Self>, callback: &'static str, call: impl FnOnce(&mut dyn DatagramProtocol, &DatagramTransport) -> Result) {
        self.observe(|subject| Event::new(subject, callback));
        self.call_quietly(callback, call);
    }

    fn observe(&self, event: impl FnOnce(Subject) -> Event) {
        self.shared.reactor.observe(|| event(Subject::Port { address: self.host().to_string() }));
    }

    /// Calls the protocol, and reports a failure: what one peer has sent does not close the port for the others.
    fn call_quietly(
        self: &Rc<Self>,
        callback: &'static str,
        call: impl FnOnce(&mut dyn DatagramProtocol, &DatagramTransport) -> Result,
    ) {
        self.shared.reactor.record_callback(callback);
        let mut protocol = self.protocol.borrow_mut();
        let Some(protocol) = protocol.as_deref_mut() else { return };
        let transport = DatagramTransport::new(Rc::<Self>::clone(self));
        match catch(|| call(protocol, &transport)) {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                report_error(callback, format_args!("{}: {callback} failed: {error}", self.describe()));
                drop_quietly("an error", error);
            }
            Err(panic) => report_error(callback, format_args!("{}: {callback} {panic}", self.describe())),
        }
    }
}

impl DatagramEnd for DatagramPort {
    fn reactor(&self) -> &Reactor {
        &self.shared.reactor
    }

    fn host(&self) -> Address {
        self.host.borrow().clone()
    }

    fn peer(&self) -> Option<Address> {
        self.peer.borrow().clone()
    }

    fn write(&self, data: &[u8], to: Option<&Address>) {
        let Some(socket) = self.socket() else { return };
        let peer = self.peer.borrow();
        let Some(target) = to.or(peer.as_ref()) else { return self.drop_write(DatagramError::NotConnected) };
        if let Err(error) = self.send(&*socket, data, to) {
            let error = DatagramError::new(error, data.len(), self.host(), target);
            self.drop_write(error);
        }
    }

    fn connect(&self, peer: &Address) -> io::Result<()> {
        let socket = self.socket().ok_or(io::ErrorKind::NotConnected)?;
        socket.connect(peer)?;
        self.peer.replace(Some(peer.clone()));
        self.host.replace(socket.local_address()?);
        Ok(())
    }

    fn stop_listening(&self) {
        self.stopping.set(true);
        self.shared.reactor.at_end_of_turn(self.token.get());
    }

    fn dropped(&self) -> u64 {
        self.dropped.get()
    }

    fn truncated(&self) -> u64 {
        self.truncated.get()
    }

    fn socket(&self) -> Option<Rc<dyn Datagrams>> {
        self.socket.borrow().clone()
    }
}

impl Source for DatagramPort {
    fn ready(self: Rc<Self>, ready: Ready) {
        self.work.begin_turn(&self.shared.reactor);
        self.start();
        // Receiving also fetches an error.
        if ready.intersects(Ready::READABLE | Ready::ERROR) {
            self.receive();
        }
    }

    fn end_of_turn(self: Rc<Self>) {
        if self.refused.get() {
            self.report_refused();
        }
        let undelivered = self.undelivered.take();
        if let Some(error) = undelivered {
            self.call("write_dropped", |protocol, transport| protocol.write_dropped(transport, &error));
        }
        if self.stopping.get() {
            self.close();
        }
    }

    fn shut_down(self: Rc<Self>) {
        self.close();
    }

    fn abort(self: Rc<Self>) {
        self.close();
    }

    fn describe(&self) -> String {
        format!("datagrams on {}", self.host())
    }
}

impl fmt::Debug for DatagramPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DatagramPort").field("host", &self.host()).finish_non_exhaustive()
    }
}
