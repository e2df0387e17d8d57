//! A connection over another transport: a protocol below, and above it a stream whose socket is that transport.
//!
//! The connection above is an ordinary `StreamConnection`, with its limits, layers, deadlines and reasons. This module guarantees
//! that the transport below looks like a socket to it:
//! - Input is processed in the call that brought it. While the connection above cannot take more, the transport below is
//!   paused: so what waits here is at most the input of one call, and the peer's end is not seen before it can be delivered.
//! - The transport below holds at most 64 KiB of unsent bytes; the rest waits above, where the limits are.
//! - A close passes downwards once everything was handed over; then the transport below waits for the peer. The end of
//!   the transport below passes upwards, with its reason, in the same call.

use std::cell::{Cell, RefCell};
use std::io;
use std::rc::{Rc, Weak};

use torsade_protocols::spi::Connection;
use torsade_protocols::{Address, Producer, Protocol, Reason, TlsConfig, Transport};
use torsade_reactor::spi::{Direction, Ready, Stream, TcpOptions, Token, UnixSocket};
use torsade_reactor::{Descriptor, PeerCredentials, Result};

use crate::connection::shared::{HIGH_WATERMARK, Shared};
use crate::connection::{OnLost, StreamConnection};

/// The protocol of the transport below.
pub(crate) struct OverTransport {
    /// What the connection above begins with: its protocol, its TLS, and the callback for its end.
    begin: Option<(Box<dyn Protocol>, TlsConfig, OnLost)>,
    connection: Weak<StreamConnection>,
    wire: Rc<Wire>,
}

/// What the protocol below and the stream above share.
#[derive(Default)]
struct Wire {
    /// The entry of the connection above in the reactor's table.
    token: Cell<Option<Token>>,
    /// Bytes that the connection above could not take when they came.
    input: RefCell<Vec<u8>>,
    /// The transport below is paused.
    held_back: Cell<bool>,
    /// The peer's stream has ended.
    ended: Cell<bool>,
    /// Our stream has ended.
    write_ended: Cell<bool>,
    /// The transport below is lost, and has said why.
    lost: Cell<bool>,
    /// The connection above has more than the transport below takes now, and waits for room.
    wants_room: Cell<bool>,
    /// A [`Room`] is registered with the transport below.
    registered: Cell<bool>,
    /// The transport below is closing, and takes everything at once.
    hurried: Cell<bool>,
}

impl OverTransport {
    /// A protocol that begins a connection above, with TLS, once the one below is made.
    pub(crate) fn new(protocol: Box<dyn Protocol>, tls: TlsConfig, on_lost: OnLost) -> Self {
        Self { begin: Some((protocol, tls, on_lost)), connection: Weak::new(), wire: Rc::default() }
    }

    /// Passes on a graceful close of the connection above that waits only for the peer.
    fn pass_close(&self, below: &Transport) {
        let Some(connection) = self.connection.upgrade() else { return };
        if self.wire.write_ended.get() && connection.is_closing() {
            if let Some(timeout) = connection.close_timeout() {
                below.set_close_timeout(timeout);
            }
            below.lose_connection();
        }
    }
}

impl Protocol for OverTransport {
    fn connection_made(&mut self, below: &Transport) -> Result {
        let Some((protocol, tls, on_lost)) = self.begin.take() else { return Ok(()) };
        // The connection above has the limits.
        below.set_read_while_congested(true);
        below.set_write_buffer_cap(usize::MAX);
        let stream = Box::new(OverStream { below: below.clone(), wire: Rc::clone(&self.wire), resets: Cell::new(false) });
        let shared = Shared::of(below.reactor());
        self.connection = StreamConnection::stack(&shared, stream, below.peer(), protocol, &tls, on_lost)?;
        Ok(())
    }

    fn data_received(&mut self, below: &Transport, data: &[u8]) -> Result {
        let Some(connection) = self.connection.upgrade().filter(|connection| connection.is_connected()) else { return Ok(()) };
        let taken = self.wire.input.borrow().is_empty() && connection.receive(data);
        if !taken {
            self.wire.input.borrow_mut().extend_from_slice(data);
        }
        if !taken || !connection.takes_input() {
            self.wire.hold_back(below);
        }
        self.pass_close(below);
        Ok(())
    }

    fn descriptor_received(&mut self, _: &Transport, descriptor: Descriptor) -> Result {
        if let Some(connection) = self.connection.upgrade() {
            connection.receive_descriptor(descriptor);
        }
        Ok(())
    }

    fn read_connection_lost(&mut self, below: &Transport) -> Result {
        self.wire.ended.set(true);
        self.wire.tell(below, Ready::READ_CLOSED);
        Ok(())
    }

    fn write_connection_lost(&mut self, below: &Transport) -> Result {
        self.pass_close(below);
        Ok(())
    }

    fn connection_lost(&mut self, _: &Transport, reason: &Reason) -> Result {
        self.wire.lost.set(true);
        // After a clean end of both streams the connection above ends by itself, once it has delivered the rest.
        let comes_to_it = self.wire.ended.get() && reason.is_clean();
        if let Some(connection) = self.connection.upgrade().filter(|_| !comes_to_it) {
            connection.lose_below(reason);
        }
        Ok(())
    }
}

impl Wire {
    /// Makes the connection above do what is possible now, within this call.
    fn tell(&self, below: &Transport, ready: Ready) {
        if let Some(token) = self.token.get() {
            below.reactor().call_for(token, |source| source.ready(ready));
        }
    }

    /// Pauses the transport below, until the connection above asks for more than there is.
    fn hold_back(&self, below: &Transport) {
        if !self.held_back.replace(true) {
            below.pause_producing();
        }
        self.request_read(below);
    }

    /// Makes the connection above read, once it has delivered what it holds.
    fn request_read(&self, below: &Transport) {
        if let Some(token) = self.token.get() {
            below.reactor().requeue(token, Ready::READABLE);
        }
    }
}

/// The stream above, whose socket is a transport.
struct OverStream {
    below: Transport,
    wire: Rc<Wire>,
    /// By [`Stream::reset_on_close`].
    resets: Cell<bool>,
}

impl OverStream {
    /// How many bytes the transport below takes now.
    fn room(&self) -> usize {
        if !self.below.is_connected() {
            // It is about to say why.
            0
        } else if self.wire.hurried.get() {
            usize::MAX
        } else {
            HIGH_WATERMARK.saturating_sub(self.below.unsent())
        }
    }

    /// Asks to be told once the transport below has sent what it holds.
    fn wait_for_room(&self) {
        self.wire.wants_room.set(true);
        if !self.wire.registered.replace(true) {
            let room = Room { below: self.below.clone(), wire: Rc::clone(&self.wire) };
            if let Err(error) = self.below.register_producer(room, false) {
                log::debug!("connection {}: what is above it has to wait for its end: {error}", self.below.id());
            }
        }
    }
}

impl Stream for OverStream {
    fn direction(&self) -> Direction {
        Direction::Both
    }

    fn register(&mut self, token: Token) -> io::Result<()> {
        self.wire.token.set(Some(token));
        Ok(())
    }

    fn is_connected(&self) -> io::Result<bool> {
        Ok(self.below.is_connected())
    }

    fn short_io_ends_edge(&self) -> bool {
        true
    }

    fn pause(&self) {
        self.wire.hold_back(&self.below);
    }

    fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut input = self.wire.input.borrow_mut();
        if input.is_empty() {
            if self.wire.held_back.replace(false) {
                self.below.resume_producing();
            }
            return if self.wire.ended.get() { Ok(0) } else { Err(io::ErrorKind::WouldBlock.into()) };
        }
        let count = io::Read::read(&mut &input[..], buffer)?;
        input.drain(..count);
        if input.is_empty() {
            *input = Vec::new();
        }
        self.wire.request_read(&self.below);
        Ok(count)
    }

    fn write(&self, data: &[u8]) -> io::Result<usize> {
        if self.wire.lost.get() {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        // Part by part: if the transport has sent a part at once, it takes the next.
        let mut rest = data;
        while !rest.is_empty() && self.room() > 0 {
            let (part, later) = rest.split_at(rest.len().min(self.room()));
            self.below.write(part);
            rest = later;
        }
        if !rest.is_empty() {
            self.wait_for_room();
        }
        if rest.len() == data.len() { Err(io::ErrorKind::WouldBlock.into()) } else { Ok(data.len() - rest.len()) }
    }

    fn unacknowledged(&self) -> Option<usize> {
        usize::try_from(self.below.delivery().outstanding).ok()
    }

    fn shutdown_write(&self) -> io::Result<()> {
        self.wire.write_ended.set(true);
        self.below.lose_write_connection();
        Ok(())
    }

    fn reset_on_close(&self) -> io::Result<()> {
        self.resets.set(true);
        Ok(())
    }

    fn lingers(&self) -> bool {
        // The transport below does.
        false
    }

    fn take_error(&self) -> io::Result<Option<io::Error>> {
        Ok(None)
    }

    fn local_address(&self) -> io::Result<Address> {
        Ok(self.below.host())
    }

    fn copy_descriptor(&self) -> io::Result<Descriptor> {
        self.below.connection().copy_descriptor()
    }

    fn tcp(&self) -> Option<&dyn TcpOptions> {
        self.below.connection().tcp()
    }

    fn unix(&self) -> Option<&dyn UnixSocket> {
        self.below.connection().unix().is_some().then_some(self as &dyn UnixSocket)
    }
}

/// Descriptors come through the protocol below, not with the bytes read.
impl UnixSocket for OverStream {
    fn peer_credentials(&self) -> io::Result<PeerCredentials> {
        self.below.peer_credentials()
    }

    fn send_descriptor(&self, descriptor: Descriptor) -> io::Result<()> {
        self.below.send_descriptor(descriptor)
    }

    fn set_descriptor_limit(&self, limit: usize) {
        // It fails only if no descriptors can come.
        self.below.set_descriptor_limit(limit).ok();
    }

    fn take_descriptor(&self) -> Option<Descriptor> {
        None
    }

    fn was_cut_short(&self) -> bool {
        false
    }
}

/// Closes the transport below.
impl Drop for OverStream {
    fn drop(&mut self) {
        if self.wire.registered.get() {
            self.below.unregister_producer();
        }
        if self.resets.get() { self.below.abort_connection() } else { self.below.lose_connection() }
    }
}

/// The producer of the transport below while the connection above has more than it takes.
struct Room {
    below: Transport,
    wire: Rc<Wire>,
}

impl Producer for Room {
    fn resume_producing(&mut self, _: &Transport) -> Result {
        self.wire.wants_room.set(false);
        self.wire.tell(&self.below, Ready::WRITABLE);
        if !self.wire.wants_room.get() && self.wire.registered.replace(false) {
            self.below.unregister_producer();
        }
        Ok(())
    }

    /// The transport below is closing, for instance since the reactor stops: hands everything over while it still takes output.
    fn stop_producing(&mut self) {
        self.wire.registered.set(false);
        self.wire.hurried.set(true);
        if self.below.is_connected() {
            self.wire.tell(&self.below, Ready::WRITABLE);
        }
    }
}
