//! UDP on a reactor.

use std::io;
use std::net::UdpSocket;

use torsade_protocols::{Address, DatagramProtocol, DatagramTransport, IntoHostPort, ListenError};
use torsade_reactor::spi::Datagrams;
use torsade_reactor::{DatagramOptions, Reactor};

use crate::ends::datagram_port::DatagramPort;
use crate::ends::socket_address::own_address;

/// UDP on a [`Reactor`].
#[doc(alias = "IReactorUDP")]
#[doc(alias = "IReactorMulticast")]
pub trait ReactorUdp {
    /// Opens a socket on `address`, whose datagrams `protocol` receives.
    ///
    /// The address is text such as `"127.0.0.1:8000"` or `"[::]:8000"`, or a [`SocketAddr`](std::net::SocketAddr); port 0 takes a
    /// free port, which [`DatagramTransport::host`] returns. Clients listen too, on `"0.0.0.0:0"`, to get answers. When this
    /// method returns, the system keeps arriving datagrams until the reactor runs, as far as its buffer holds them.
    ///
    /// Datagrams of up to 8,192 bytes arrive whole; longer ones are truncated, which is reported: see
    /// [`listen_udp_with`](Self::listen_udp_with).
    ///
    /// # Errors
    /// [`ListenError::Address`] if the text is not an address, `Name` if it has a host name, `Io` if the system refuses (most
    /// often: the port is in use), `ShuttingDown`.
    ///
    /// # Examples
    /// A client of a server that answers once:
    /// ```
    /// use torsade::{prelude::*, wire::Echo};
    ///
    /// struct Client(Address);
    ///
    /// impl DatagramProtocol for Client {
    ///     fn start_protocol(&mut self, transport: &DatagramTransport) -> Result {
    ///         transport.connect(&self.0)?;
    ///         transport.write("hello");
    ///         Ok(())
    ///     }
    ///
    ///     fn datagram_received(&mut self, transport: &DatagramTransport, data: &[u8], _from: &Address) -> Result {
    ///         assert_eq!(data, b"hello");
    ///         Ok(transport.reactor().stop()?)
    ///     }
    ///
    ///     fn connection_refused(&mut self, _transport: &DatagramTransport) -> Result {
    ///         Err("nothing listens there".into())
    ///     }
    /// }
    ///
    /// fn main() -> Result {
    ///     let reactor = Reactor::new()?;
    ///     let server = reactor.listen_udp("127.0.0.1:0", Echo)?;
    ///     reactor.listen_udp("127.0.0.1:0", Client(server.host()))?;
    ///     reactor.run()
    /// }
    /// ```
    #[doc(alias = "listenUDP")]
    fn listen_udp<A, P>(&self, address: A, protocol: P) -> Result<DatagramTransport, ListenError>
    where
        A: IntoHostPort,
        P: DatagramProtocol + 'static;

    /// Like [`listen_udp`](Self::listen_udp), with options.
    ///
    /// # Errors
    /// Those of [`listen_udp`](Self::listen_udp).
    ///
    /// # Examples
    /// A member of a multicast group, on a port that other programs on this host share:
    /// ```
    /// use torsade::{DatagramOptions, MulticastInterface, prelude::*, wire::Discard};
    ///
    /// let reactor = Reactor::new()?;
    /// let options = DatagramOptions { listen_multiple: true, ..DatagramOptions::default() };
    /// let transport = reactor.listen_udp_with("0.0.0.0:0", options, Discard)?;
    /// transport.set_ttl(4)?;
    /// if let Err(error) = transport.join_group("228.0.0.5".parse()?, MulticastInterface::Any) {
    ///     println!("without a network there is no group: {error}");
    /// }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[doc(alias = "listenMulticast")]
    fn listen_udp_with<A, P>(&self, address: A, options: DatagramOptions, protocol: P) -> Result<DatagramTransport, ListenError>
    where
        A: IntoHostPort,
        P: DatagramProtocol + 'static;

    /// Uses a socket that was opened elsewhere, for instance by the parent process; `protocol` receives its datagrams.
    ///
    /// The socket becomes non-blocking, together with its clones, and [`DatagramTransport::stop_listening`] closes it. Of the
    /// options only `max_packet_size` matters.
    ///
    /// # Errors
    /// [`ListenError::Io`] if the system refuses, or the reactor is in a simulated world; `ShuttingDown`.
    ///
    /// # Examples
    /// ```
    /// use std::net::UdpSocket;
    /// use torsade::{Address, DatagramOptions, Reactor, ReactorUdp, wire::Echo};
    ///
    /// let socket = UdpSocket::bind("127.0.0.1:0")?;
    /// let address = socket.local_addr()?;
    /// let reactor = Reactor::new()?;
    /// let transport = reactor.adopt_datagram_port(socket, DatagramOptions::default(), Echo)?;
    /// assert_eq!(transport.host(), Address::Udp(address));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[doc(alias = "adoptDatagramPort")]
    fn adopt_datagram_port<P>(
        &self,
        socket: UdpSocket,
        options: DatagramOptions,
        protocol: P,
    ) -> Result<DatagramTransport, ListenError>
    where
        P: DatagramProtocol + 'static;
}

impl ReactorUdp for Reactor {
    fn listen_udp<A, P>(&self, address: A, protocol: P) -> Result<DatagramTransport, ListenError>
    where
        A: IntoHostPort,
        P: DatagramProtocol + 'static,
    {
        self.listen_udp_with(address, DatagramOptions::default(), protocol)
    }

    fn listen_udp_with<A, P>(&self, address: A, options: DatagramOptions, protocol: P) -> Result<DatagramTransport, ListenError>
    where
        A: IntoHostPort,
        P: DatagramProtocol + 'static,
    {
        let address = Address::Udp(own_address(self, address.into_host_port()?)?);
        listen_datagram(self, &address, options, Box::new(protocol), || self.backend().bind_datagram(&address, options))
    }

    fn adopt_datagram_port<P>(
        &self,
        socket: UdpSocket,
        options: DatagramOptions,
        protocol: P,
    ) -> Result<DatagramTransport, ListenError>
    where
        P: DatagramProtocol + 'static,
    {
        let address = socket.local_addr().map_or(Address::Unnamed, Address::Udp);
        listen_datagram(self, &address, options, Box::new(protocol), || self.backend().adopt_datagram(socket))
    }
}

/// Opens a port on the socket that `bind` returns.
pub(crate) fn listen_datagram(
    reactor: &Reactor,
    address: &Address,
    options: DatagramOptions,
    protocol: Box<dyn DatagramProtocol>,
    bind: impl FnOnce() -> io::Result<Box<dyn Datagrams>>,
) -> Result<DatagramTransport, ListenError> {
    if reactor.is_stopping() {
        return Err(ListenError::ShuttingDown);
    }
    let port = bind().and_then(|socket| DatagramPort::open(reactor, socket, options, protocol));
    let port = port.map_err(|cause| ListenError::Io { address: address.clone(), cause })?;
    Ok(DatagramTransport::new(port))
}
