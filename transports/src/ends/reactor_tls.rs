//! TLS over TCP on a reactor.

use torsade_protocols::spi::Layers;
use torsade_protocols::{
    ClientFactory, ConnectError, ConnectOptions, Connector, Destination, Factory, IntoHostPort, ListenError, TlsConfig,
};
use torsade_reactor::{ListenOptions, Reactor};

use crate::ends::port::Port;
use crate::ends::reactor_tcp::{connect, listen};
use crate::tls::{Handshakes, TlsClientConfig, TlsServerConfig};

/// TLS servers and clients on a [`Reactor`]: TCP whose connections begin with a handshake.
///
/// A connection's `connection_made` comes **before** the handshake, as in Twisted: what is written there is held, and
/// sent once the handshake is complete. Then comes
/// [`handshake_completed`](torsade_protocols::Protocol::handshake_completed), and data only after that. If the handshake
/// fails, protocol and factory get the same `Reason::Tls`.
///
/// Closing sends a close_notify alert before the stream ends; a peer's stream that ends without one is
/// `Reason::TlsTruncated`. Half-close works as on TCP if the peer uses TLS 1.3; a peer with TLS 1.2 answers it by
/// closing (RFC 5246, 7.2.1).
#[doc(alias = "IReactorSSL")]
pub trait ReactorTls {
    /// Listens on `address` with TLS; `factory` builds a protocol for each connection.
    ///
    /// Otherwise like [`listen_tcp`](crate::ReactorTcp::listen_tcp).
    ///
    /// # Errors
    /// As [`listen_tcp`](crate::ReactorTcp::listen_tcp).
    ///
    /// # Examples
    /// ```no_run
    /// use torsade::{Reactor, ReactorTls, TlsServerConfig, wire::Echo};
    ///
    /// let reactor = Reactor::new()?;
    /// let config = TlsServerConfig::from_pem_files("chain.pem", "key.pem")?;
    /// reactor.listen_tls("127.0.0.1:8443", &config, |_peer| Echo)?;
    /// reactor.run()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[doc(alias = "listenSSL")]
    fn listen_tls<A, F>(&self, address: A, config: &TlsServerConfig, factory: F) -> Result<Port, ListenError>
    where
        A: IntoHostPort,
        F: Factory + 'static;

    /// Sets the limit on unfinished handshakes in which this reactor is the server. Default 1,000.
    ///
    /// At the limit the ports of [`listen_tls`](Self::listen_tls) stop accepting while every handshake is younger than 3 s: many
    /// clients that come at once wait for each other. A handshake that takes longer gives its place to the next connection, and
    /// ends with `Reason::TimedOut(Deadline::Handshake)`: a peer that opens connections and sends nothing does not keep others
    /// out. A handshake on an existing connection ([`start_tls`](torsade_protocols::Transport::start_tls)) takes the place of the
    /// oldest at once. Reaching the limit is logged once, as a warning. Handshakes in which we are the client do not count.
    ///
    /// # Examples
    /// ```
    /// use torsade::prelude::*;
    ///
    /// let reactor = Reactor::new()?;
    /// reactor.set_handshake_limit(200);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    fn set_handshake_limit(&self, handshakes: usize);

    /// Connects to `address` with TLS; `factory` builds the protocol once the TCP connection is established.
    ///
    /// The server's certificate has to be valid for the host in `address`, unless the configuration names another. Otherwise like
    /// [`connect_tcp`](crate::ReactorTcp::connect_tcp). The timeout of the attempt does not
    /// include the handshake, which has its own.
    ///
    /// # Errors
    /// As [`connect_tcp`](crate::ReactorTcp::connect_tcp).
    #[doc(alias = "connectSSL")]
    fn connect_tls<A, F>(&self, address: A, config: &TlsClientConfig, factory: F) -> Result<Connector, ConnectError>
    where
        A: IntoHostPort,
        F: ClientFactory + 'static;
}

impl ReactorTls for Reactor {
    fn listen_tls<A, F>(&self, address: A, config: &TlsServerConfig, factory: F) -> Result<Port, ListenError>
    where
        A: IntoHostPort,
        F: Factory + 'static,
    {
        listen(self, address.into_host_port()?, ListenOptions::default(), Box::new(factory), layers(config))
    }

    fn set_handshake_limit(&self, handshakes: usize) {
        Handshakes::of(self).set_limit(handshakes);
    }

    fn connect_tls<A, F>(&self, address: A, config: &TlsClientConfig, factory: F) -> Result<Connector, ConnectError>
    where
        A: IntoHostPort,
        F: ClientFactory + 'static,
    {
        connect(self, Destination::Host(address.into_host_port()?), ConnectOptions::default(), Box::new(factory), layers(config))
    }
}

fn layers(config: impl Into<TlsConfig>) -> Layers {
    Layers { tls: Some(config.into()), ..Layers::default() }
}
