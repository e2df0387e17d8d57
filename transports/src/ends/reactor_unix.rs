//! UNIX sockets on a reactor.

use std::io;

use torsade_protocols::spi::Layers;
use torsade_protocols::{
    Address, ClientFactory, ConnectError, ConnectOptions, Connector, DatagramProtocol, DatagramTransport, Destination, Factory,
    ListenError, Protocol, UnixName,
};
use torsade_reactor::{DatagramOptions, Descriptor, ListenOptions, Reactor};

use crate::ends::adopted::adopt;
use crate::ends::datagram_port::DatagramPort;
use crate::ends::port::Port;
use crate::ends::reactor_tcp::{connect, listen_at};
use crate::ends::reactor_udp::listen_datagram;

/// Servers and clients of UNIX sockets on a [`Reactor`], which connect programs on one machine.
///
/// Connections work like those of TCP, with limits, compression and TLS, except:
/// - A socket's name is a path, or on Linux an abstract name, see [`UnixName`]. A client has no name, so the server sees its
///   [`peer`](torsade_protocols::Transport::peer) as [`Address::Unnamed`](torsade_protocols::Address::Unnamed).
/// - What the system has taken counts as delivered: there are no acknowledgements to wait for.
/// - There is no reset. `abort_connection` drops unsent bytes; after everything that was sent, the peer sees the end of the
///   stream, or ECONNRESET if we had not read all of its input.
///
/// Where mio does not support UNIX sockets (Windows), listening and connecting fail with `Unsupported`.
#[doc(alias = "IReactorUNIX")]
pub trait ReactorUnix {
    /// Listens on the path `name`; `factory` builds a protocol for each connection.
    ///
    /// Everybody on the machine may connect; to restrict that, see [`listen_unix_with`](Self::listen_unix_with). The socket's
    /// file is removed when the port is closed, by [`Port::stop_listening`] or the reactor's stop. A killed program leaves it
    /// behind, and the next program that listens there replaces it. Two programs cannot use one path, since it is locked: by
    /// flock(2), on a file `PATH.lock` that is created and removed together with the socket's. A file that is not a socket is
    /// never removed.
    ///
    /// # Errors
    /// [`ListenError::Io`] if the system refuses: `AddrInUse` while another program has the path, `NotFound` if its directory
    /// does not exist, `PermissionDenied`; `InvalidInput` if it has more than 107 bytes (103 on systems other than Linux). The
    /// text says what to do. `ShuttingDown`.
    ///
    /// # Examples
    /// ```
    /// use torsade::{prelude::*, simulated::Simulation, wire::Echo};
    ///
    /// let simulation = Simulation::new(1);
    /// let port = simulation.host("10.0.0.1").listen_unix("/run/echo.sock", |_peer| Echo)?;
    /// assert_eq!(port.address().to_string(), "/run/echo.sock");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[doc(alias = "listenUNIX")]
    fn listen_unix<N, F>(&self, name: N, factory: F) -> Result<Port, ListenError>
    where
        N: Into<UnixName>,
        F: Factory + 'static,
    {
        self.listen_unix_with(name, ListenOptions::default(), factory)
    }

    /// Like [`listen_unix`](Self::listen_unix), with [`ListenOptions`]: the file's mode, the lock, the backlog.
    ///
    /// # Errors
    /// As [`listen_unix`](Self::listen_unix).
    fn listen_unix_with<N, F>(&self, name: N, options: ListenOptions, factory: F) -> Result<Port, ListenError>
    where
        N: Into<UnixName>,
        F: Factory + 'static;

    /// Connects to `name`; `factory` builds the protocol.
    ///
    /// The attempt is made in the next turn, and the factory's hooks report its result. It takes no time unless the server's
    /// backlog is full: then it is repeated every 10 ms, for 30 s in all ([`ConnectOptions::timeout`]).
    ///
    /// # Errors
    /// [`ConnectError::ShuttingDown`]. All other errors are reported to the factory: [`ConnectError::Refused`] if the file exists
    /// but nothing listens, [`ConnectError::Io`] if it does not exist or may not be written to.
    ///
    /// # Examples
    /// ```no_run
    /// use torsade::{prelude::*, wire::Discard};
    ///
    /// let reactor = Reactor::new()?;
    /// reactor.connect_unix("/run/echo.sock", |_peer| Discard)?;
    /// reactor.run()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[doc(alias = "connectUNIX")]
    fn connect_unix<N, F>(&self, name: N, factory: F) -> Result<Connector, ConnectError>
    where
        N: Into<UnixName>,
        F: ClientFactory + 'static;

    /// Runs `protocol` on an already connected socket, TCP or UNIX.
    ///
    /// Use it for a socket that was passed to this program, as by
    /// [`descriptor_received`](torsade_protocols::Protocol::descriptor_received), that it was started with, or that is half of a
    /// pair. The socket becomes non-blocking, together with its clones. `connection_made` comes in the next turn.
    ///
    /// # Errors
    /// `InvalidInput` if it is not a connected stream socket; `Unsupported` in a simulated world; `Other` if the reactor is
    /// stopping; otherwise the system's error. The socket is closed then.
    ///
    /// # Examples
    /// ```
    /// use torsade::{prelude::*, wire::Echo};
    ///
    /// #[cfg(unix)]
    /// {
    ///     let (ours, theirs) = std::os::unix::net::UnixStream::pair()?;
    ///     let reactor = Reactor::new()?;
    ///     reactor.adopt_stream_connection(ours, Echo)?;
    ///     drop(theirs);
    /// }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[doc(alias = "adoptStreamConnection")]
    fn adopt_stream_connection<D, P>(&self, socket: D, protocol: P) -> io::Result<()>
    where
        D: Into<Descriptor>,
        P: Protocol + 'static;

    /// Opens a datagram socket with the path `name`, whose datagrams `protocol` receives.
    ///
    /// Unlike UDP's, UNIX datagrams are neither lost on the way nor reordered; if the receiver has no room, they are
    /// [not sent](torsade_protocols::DatagramTransport::write). For the file and its lock see [`listen_unix`](Self::listen_unix).
    ///
    /// # Errors
    /// As [`listen_unix`](Self::listen_unix).
    ///
    /// # Examples
    /// A server, and a client that it can answer, since the client has a name as well:
    /// ```
    /// use torsade::{prelude::*, wire::Echo};
    ///
    /// struct Client(Address);
    ///
    /// impl DatagramProtocol for Client {
    ///     fn start_protocol(&mut self, transport: &DatagramTransport) -> Result {
    ///         transport.write_to("hello", &self.0);
    ///         Ok(())
    ///     }
    ///
    ///     fn datagram_received(&mut self, transport: &DatagramTransport, data: &[u8], from: &Address) -> Result {
    ///         assert_eq!((data, from), (&b"hello"[..], &self.0));
    ///         Ok(transport.reactor().stop()?)
    ///     }
    /// }
    ///
    /// let folder = std::env::temp_dir().join(format!("torsade-doc-datagrams-{}", std::process::id()));
    /// std::fs::create_dir_all(&folder)?;
    /// let reactor = Reactor::new()?;
    /// let server = reactor.listen_unix_datagram(folder.join("server"), Echo)?;
    /// reactor.listen_unix_datagram(folder.join("client"), Client(server.host()))?;
    /// reactor.run()?;
    /// std::fs::remove_dir_all(folder)?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[doc(alias = "listenUNIXDatagram")]
    #[doc(alias = "IReactorUNIXDatagram")]
    fn listen_unix_datagram<N, P>(&self, name: N, protocol: P) -> Result<DatagramTransport, ListenError>
    where
        N: Into<UnixName>,
        P: DatagramProtocol + 'static,
    {
        self.listen_unix_datagram_with(name, DatagramOptions::default(), protocol)
    }

    /// Like [`listen_unix_datagram`](Self::listen_unix_datagram), with options.
    ///
    /// # Errors
    /// As [`listen_unix`](Self::listen_unix).
    fn listen_unix_datagram_with<N, P>(
        &self,
        name: N,
        options: DatagramOptions,
        protocol: P,
    ) -> Result<DatagramTransport, ListenError>
    where
        N: Into<UnixName>,
        P: DatagramProtocol + 'static;

    /// Opens a datagram socket without a name, which sends to `name` and cannot be answered, like programs that write to
    /// `/dev/log`.
    ///
    /// To get answers, [listen](Self::listen_unix_datagram) with a name, and call
    /// [`DatagramTransport::connect`](torsade_protocols::DatagramTransport::connect).
    ///
    /// # Errors
    /// [`ConnectError::Refused`] if the file exists but nothing receives there; [`ConnectError::Io`] if it does not exist
    /// or may not be written to; `ShuttingDown`.
    #[doc(alias = "connectUNIXDatagram")]
    fn connect_unix_datagram<N, P>(&self, name: N, protocol: P) -> Result<DatagramTransport, ConnectError>
    where
        N: Into<UnixName>,
        P: DatagramProtocol + 'static;
}

impl ReactorUnix for Reactor {
    fn listen_unix_with<N, F>(&self, name: N, options: ListenOptions, factory: F) -> Result<Port, ListenError>
    where
        N: Into<UnixName>,
        F: Factory + 'static,
    {
        listen_at(self, &name.into().into(), options, Box::new(factory), Layers::default())
    }

    fn connect_unix<N, F>(&self, name: N, factory: F) -> Result<Connector, ConnectError>
    where
        N: Into<UnixName>,
        F: ClientFactory + 'static,
    {
        connect(self, Destination::Address(name.into().into()), ConnectOptions::default(), Box::new(factory), Layers::default())
    }

    fn adopt_stream_connection<D, P>(&self, socket: D, protocol: P) -> io::Result<()>
    where
        D: Into<Descriptor>,
        P: Protocol + 'static,
    {
        adopt(self, || self.backend().adopt_stream(socket.into()), Box::new(protocol))
    }

    fn listen_unix_datagram_with<N, P>(
        &self,
        name: N,
        options: DatagramOptions,
        protocol: P,
    ) -> Result<DatagramTransport, ListenError>
    where
        N: Into<UnixName>,
        P: DatagramProtocol + 'static,
    {
        let address = Address::Unix(name.into());
        listen_datagram(self, &address, options, Box::new(protocol), || self.backend().bind_datagram(&address, options))
    }

    fn connect_unix_datagram<N, P>(&self, name: N, protocol: P) -> Result<DatagramTransport, ConnectError>
    where
        N: Into<UnixName>,
        P: DatagramProtocol + 'static,
    {
        if self.is_stopping() {
            return Err(ConnectError::ShuttingDown);
        }
        let options = DatagramOptions::default();
        let socket = self.backend().bind_datagram(&Address::Unnamed, options)?;
        socket.connect(&Address::Unix(name.into()))?;
        Ok(DatagramTransport::new(DatagramPort::open(self, socket, options, Box::new(protocol))?))
    }
}
