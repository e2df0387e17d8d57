//! TCP on a reactor.

use std::io;
use std::rc::Rc;

use torsade_protocols::spi::{Connect, Layers};
use torsade_protocols::{
    Address, ClientFactory, ConnectError, ConnectOptions, Connector, Destination, Factory, HostPort, IntoHostPort, ListenError,
};
use torsade_reactor::{Command, Inherited, ListenOptions, Reactor, SocketOptions};

use crate::connection::shared::Shared;
use crate::ends::accept_bound::AcceptBound;
use crate::ends::connector::StreamConnector;
use crate::ends::port::{ACCEPTS, Port};
use crate::ends::socket_address::own_address;

/// TCP servers and clients on a [`Reactor`].
#[doc(alias = "IReactorTCP")]
pub trait ReactorTcp {
    /// Listens on `address` and has `factory` build a protocol for each connection.
    ///
    /// The address is text such as `"127.0.0.1:8000"` or `"[::]:8000"`, or a [`SocketAddr`](std::net::SocketAddr); port
    /// 0 takes a free port, which [`Port::address`] tells. When this returns the system takes connections, 1,024 of
    /// which can wait; they are accepted, at most 64 a turn, while the reactor runs.
    ///
    /// # Errors
    /// [`ListenError::Address`] if the text is no address, `Name` if it has a host name, `Io` if the system refuses
    /// (most often: the port is in use), `ShuttingDown`.
    ///
    /// # Examples
    /// ```
    /// use torsade::prelude::*;
    ///
    /// struct Echo;
    ///
    /// impl Protocol for Echo {
    ///     fn data_received(&mut self, transport: &Transport, data: &[u8]) -> Result {
    ///         transport.write(data);
    ///         Ok(())
    ///     }
    /// }
    ///
    /// let reactor = Reactor::new()?;
    /// let port = reactor.listen_tcp("127.0.0.1:0", |_peer| Echo)?;
    /// assert_ne!(port.address().port(), Some(0));
    /// assert!(reactor.listen_tcp("nonsense", |_peer| Echo).is_err());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[doc(alias = "listenTCP")]
    fn listen_tcp<A, F>(&self, address: A, factory: F) -> Result<Port, ListenError>
    where
        A: IntoHostPort,
        F: Factory + 'static,
    {
        self.listen_tcp_with(address, ListenOptions::default(), factory)
    }

    /// The same, with another backlog, for one family, shared with others, or with options of the sockets: see
    /// [`ListenOptions`].
    ///
    /// # Errors
    /// As [`listen_tcp`](Self::listen_tcp).
    fn listen_tcp_with<A, F>(&self, address: A, options: ListenOptions, factory: F) -> Result<Port, ListenError>
    where
        A: IntoHostPort,
        F: Factory + 'static;

    /// Listens on a socket that listens already, and has `factory` build a protocol for each connection.
    ///
    /// A `TcpListener` or, on UNIX, a `UnixListener`: for a socket that was handed to this program by the one that started it, or
    /// that several [workers](torsade_reactor::workers) share. It is taken over, made non-blocking (its clones are, with it), and
    /// closed by [`Port::stop_listening`]. How many connections can wait was decided where it was bound; one is accepted a turn,
    /// so that those who share the socket take turns. For TLS, have the protocol call
    /// [`Transport::start_tls`](torsade_protocols::Transport::start_tls) in `connection_made`.
    ///
    /// # Errors
    /// [`ListenError::Io`] if the system refuses, or the reactor is in a simulated world; `ShuttingDown`.
    ///
    /// # Examples
    /// ```
    /// use std::net::TcpListener;
    /// use torsade::{Reactor, ReactorTcp, wire::Echo};
    ///
    /// let listener = TcpListener::bind("127.0.0.1:0")?;
    /// let reactor = Reactor::new()?;
    /// let port = reactor.adopt_stream_port(listener.try_clone()?, |_peer| Echo)?;
    /// assert_eq!(port.address(), listener.local_addr()?.into());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[doc(alias = "IReactorSocket")]
    #[doc(alias = "adoptStreamPort")]
    fn adopt_stream_port<L, F>(&self, listener: L, factory: F) -> Result<Port, ListenError>
    where
        L: Into<Inherited>,
        F: Factory + 'static;

    /// Sets how many connections this program may have when one more is accepted; nine tenths of its descriptors unless set.
    ///
    /// Above that the ports of this reactor accept nobody: who comes waits (1,024 a port, then TCP itself makes them wait),
    /// and is accepted, after at most 50 ms, when there are fewer. So the program can still open its files, and connect.
    /// Outgoing connections are never refused, and count, as do those of other reactors of the process, which share its
    /// descriptors. That the limit is met is logged once, as a warning.
    ///
    /// How many descriptors there may be (`ulimit -n`) is read whenever a port is opened; where there is no such limit,
    /// connections are not limited either.
    ///
    /// # Examples
    /// ```
    /// use torsade::prelude::*;
    ///
    /// let reactor = Reactor::new()?;
    /// reactor.set_accept_limit(10_000);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    fn set_accept_limit(&self, connections: usize);

    /// Sets how much memory the decompressors of all connections may hold in sum, in bytes. 256 MiB unless set.
    ///
    /// What they hold depends on what peers send: 20 to 48 KiB for deflate; for zstd and lz4 as much as the window or block that
    /// the peer has filled, up to [`Decompression::max_window`](torsade_protocols::Decompression::max_window) (zstd's levels 1, 3
    /// and 19 fill 0.5, 2 and 8 MiB). One that grows gets what it needs, up to half of the sum. Above the sum the least active
    /// give way: their memory is freed at once, and their connections end with
    /// [`DecompressErrorKind::Memory`](torsade_protocols::DecompressErrorKind::Memory). The least active are those that hold most
    /// for each compressed byte that they were sent lately, where bytes count half after a minute.
    ///
    /// Windows filled by hardly any bytes (less than 1 in 256, above 256 KiB) are what attacks look like: they may hold an
    /// eighth of the sum, and only such windows give way to each other.
    ///
    /// That streams end for this is logged, once until half of the memory is free again.
    ///
    /// # Examples
    /// ```
    /// use torsade::prelude::*;
    ///
    /// let reactor = Reactor::new()?;
    /// reactor.set_decompression_memory(64 << 20);
    /// assert_eq!(reactor.decompression_memory(), 0, "no connection decompresses");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    fn set_decompression_memory(&self, bytes: usize);

    /// How much memory the decompressors of all connections hold now, in bytes.
    fn decompression_memory(&self) -> usize;

    /// How many streams had to end for the sake of that sum: they gave way, or needed too much alone.
    fn refused_decompressions(&self) -> u64;

    /// Connects to `address` and has `factory` build the protocol once the connection is established.
    ///
    /// A host name is looked up off the loop. Its addresses are tried as RFC 8305 says, IPv4 and IPv6 by turns: the next one
    /// when those before it have failed or have not answered for 250 ms
    /// ([`ConnectOptions::attempt_delay`]), until one is established. It begins in the next turn
    /// and may take 30 s in all; how it goes the factory's hooks tell. A peer that announces compression is understood
    /// without a call, see [`Transport::set_detection`](torsade_protocols::Transport::set_detection).
    ///
    /// # Errors
    /// [`ConnectError::Address`] if the text is no address; `ShuttingDown`. All else is told to the factory.
    #[doc(alias = "connectTCP")]
    fn connect_tcp<A, F>(&self, address: A, factory: F) -> Result<Connector, ConnectError>
    where
        A: IntoHostPort,
        F: ClientFactory + 'static,
    {
        self.connect_tcp_with(address, ConnectOptions::default(), factory)
    }

    /// The same, with other times, from an address of ours, or with options of the socket: see [`ConnectOptions`].
    ///
    /// # Errors
    /// As [`connect_tcp`](Self::connect_tcp).
    fn connect_tcp_with<A, F>(&self, address: A, options: ConnectOptions, factory: F) -> Result<Connector, ConnectError>
    where
        A: IntoHostPort,
        F: ClientFactory + 'static;
}

impl ReactorTcp for Reactor {
    fn listen_tcp_with<A, F>(&self, address: A, options: ListenOptions, factory: F) -> Result<Port, ListenError>
    where
        A: IntoHostPort,
        F: Factory + 'static,
    {
        listen(self, address.into_host_port()?, options, Box::new(factory), Layers::default())
    }

    fn adopt_stream_port<L, F>(&self, listener: L, factory: F) -> Result<Port, ListenError>
    where
        L: Into<Inherited>,
        F: Factory + 'static,
    {
        adopt_with(self, || Ok(listener.into()), SocketOptions::default(), Box::new(factory), Layers::default())
    }

    fn set_accept_limit(&self, connections: usize) {
        AcceptBound::of(self).set(connections);
    }

    fn set_decompression_memory(&self, bytes: usize) {
        Shared::of(self).encoders.borrow().decoders().set_limit(bytes);
    }

    fn decompression_memory(&self) -> usize {
        Shared::of(self).encoders.borrow().decoders().held()
    }

    fn refused_decompressions(&self) -> u64 {
        Shared::of(self).encoders.borrow().decoders().ended()
    }

    fn connect_tcp_with<A, F>(&self, address: A, options: ConnectOptions, factory: F) -> Result<Connector, ConnectError>
    where
        A: IntoHostPort,
        F: ClientFactory + 'static,
    {
        connect(self, Destination::Host(address.into_host_port()?), options, Box::new(factory), Layers::default())
    }
}

/// Listens; connections begin with these layers.
pub(crate) fn listen(
    reactor: &Reactor,
    address: HostPort,
    options: ListenOptions,
    factory: Box<dyn Factory>,
    layers: Layers,
) -> Result<Port, ListenError> {
    let address = own_address(reactor, address)?;
    listen_at(reactor, &address.into(), options, factory, layers)
}

pub(crate) fn listen_at(
    reactor: &Reactor,
    address: &Address,
    options: ListenOptions,
    factory: Box<dyn Factory>,
    layers: Layers,
) -> Result<Port, ListenError> {
    open(reactor, address, || Port::open(reactor, reactor.backend().listen(address, options)?, factory, ACCEPTS, layers))
}

/// Listens on a socket that listens already, which is not taken if the reactor is stopping.
pub(crate) fn adopt_with(
    reactor: &Reactor,
    take: impl FnOnce() -> Result<Inherited, ListenError>,
    options: SocketOptions,
    factory: Box<dyn Factory>,
    layers: Layers,
) -> Result<Port, ListenError> {
    if reactor.is_stopping() {
        return Err(ListenError::ShuttingDown);
    }
    let listener = take()?;
    let address = listener.local_address();
    open(reactor, &address, || Port::open(reactor, reactor.backend().adopt(listener, options)?, factory, 1, layers))
}

pub(crate) fn open(reactor: &Reactor, address: &Address, port: impl FnOnce() -> io::Result<Port>) -> Result<Port, ListenError> {
    if reactor.is_stopping() {
        return Err(ListenError::ShuttingDown);
    }
    port().map_err(|cause| ListenError::Io { address: address.clone(), cause })
}

/// Connects; the connection begins with these layers.
pub(crate) fn connect(
    reactor: &Reactor,
    destination: Destination,
    options: ConnectOptions,
    factory: Box<dyn ClientFactory>,
    layers: Layers,
) -> Result<Connector, ConnectError> {
    begin(StreamConnector::new(reactor, destination, None, options, factory, layers))
}

/// Starts a process, which is connected to; the connection begins with these layers.
pub(crate) fn connect_process(
    reactor: &Reactor,
    command: Rc<Command>,
    options: ConnectOptions,
    factory: Box<dyn ClientFactory>,
    layers: Layers,
) -> Result<Connector, ConnectError> {
    let destination = Destination::Process(command.get_program().to_owned());
    begin(StreamConnector::new(reactor, destination, Some(command), options, factory, layers))
}

fn begin(connector: Rc<StreamConnector>) -> Result<Connector, ConnectError> {
    Rc::clone(&connector).connect()?;
    Ok(Connector::new(connector))
}
