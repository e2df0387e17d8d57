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
    /// Listens on `address`; `factory` builds a protocol for each connection.
    ///
    /// The address is text such as `"127.0.0.1:8000"` or `"[::]:8000"`, or a [`SocketAddr`](std::net::SocketAddr); port
    /// 0 takes a free port, which [`Port::address`] returns. When this method returns, the system takes connections, 1,024 of
    /// which can wait; the running reactor accepts at most 64 per turn.
    ///
    /// # Errors
    /// [`ListenError::Address`] if the text is not an address, `Name` if it has a host name, `Io` if the system refuses
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

    /// Like [`listen_tcp`](Self::listen_tcp), with [`ListenOptions`]: the backlog, one address family, a shared port, socket
    /// options.
    ///
    /// # Errors
    /// As [`listen_tcp`](Self::listen_tcp).
    fn listen_tcp_with<A, F>(&self, address: A, options: ListenOptions, factory: F) -> Result<Port, ListenError>
    where
        A: IntoHostPort,
        F: Factory + 'static;

    /// Accepts connections on a socket that is already listening; `factory` builds a protocol for each.
    ///
    /// `listener` is a `TcpListener` or, on UNIX, a `UnixListener`: one that was passed to this program, or
    /// that several [workers](torsade_reactor::workers) share. It becomes non-blocking, together with its clones, and
    /// [`Port::stop_listening`] closes it. Its backlog was set where it was bound. One connection is accepted per turn,
    /// so that reactors which share the socket alternate. For TLS, let the protocol call
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

    /// Sets the number of connections at which this reactor's ports stop accepting. Default: nine tenths of the process's
    /// descriptors.
    ///
    /// At the limit new connections wait (1,024 per port, then TCP itself makes them wait), and are accepted within 50 ms
    /// once there are fewer. So the program can still open its files, and connect. Outgoing connections are never refused, but
    /// count, and so do those of other reactors of the process, which share its descriptors. Reaching the limit is logged once,
    /// as a warning.
    ///
    /// The limit on descriptors (`ulimit -n`) is read whenever a port is opened; if there is none,
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

    /// Sets the limit on the memory of all connections' decoders together, in bytes. Default 256 MiB.
    ///
    /// A deflate decoder takes 20 to 48 KiB; for zstd and lz4 the size depends on the window or block that the peer has filled,
    /// up to [`Decompression::max_window`](torsade_protocols::Decompression::max_window) (zstd's levels 1, 3 and 19 fill 0.5, 2
    /// and 8 MiB). A decoder that grows gets what it needs, up to half of the limit. Above the limit the least active decoders
    /// give way: their memory is freed at once, and their connections end with
    /// [`DecompressErrorKind::Memory`](torsade_protocols::DecompressErrorKind::Memory). The least active are those that hold the
    /// most memory for each compressed byte that they were sent lately, where bytes count half after a minute.
    ///
    /// Windows filled by hardly any bytes (less than 1 in 256, above 256 KiB) are typical of attacks: together they may hold an
    /// eighth of the limit, and they give way only to each other.
    ///
    /// Streams that end for this reason are logged: once, until half of the memory is free again.
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

    /// Returns the memory that the decoders of all connections hold now, in bytes.
    fn decompression_memory(&self) -> usize;

    /// Returns how many streams this limit has ended, since they gave way or needed too much alone.
    fn refused_decompressions(&self) -> u64;

    /// Connects to `address`; `factory` builds the protocol once the connection is established.
    ///
    /// A host name is looked up off the loop. Its addresses are tried as in RFC 8305, IPv4 and IPv6 alternating: the next one
    /// when those before it have failed or have not answered for 250 ms
    /// ([`ConnectOptions::attempt_delay`]), until one is established. The attempt begins in the next turn
    /// and may take 30 s in all; the factory's hooks report its progress. A peer that announces compression is detected
    /// automatically, see [`Transport::set_detection`](torsade_protocols::Transport::set_detection).
    ///
    /// # Errors
    /// [`ConnectError::Address`] if the text is not an address; `ShuttingDown`. All other errors are reported to the factory.
    #[doc(alias = "connectTCP")]
    fn connect_tcp<A, F>(&self, address: A, factory: F) -> Result<Connector, ConnectError>
    where
        A: IntoHostPort,
        F: ClientFactory + 'static,
    {
        self.connect_tcp_with(address, ConnectOptions::default(), factory)
    }

    /// Like [`connect_tcp`](Self::connect_tcp), with [`ConnectOptions`]: timeouts, the local address, socket options.
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

/// Listens; each connection begins with these layers.
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

/// Listens on a socket that is already listening, which is not taken if the reactor is stopping.
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

/// Starts a process and connects to it; the connection begins with these layers.
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
