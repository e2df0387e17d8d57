//! Where to listen.

use std::fmt;
use std::net::SocketAddr;
use std::rc::Rc;

#[cfg(feature = "tls")]
use torsade_protocols::TlsConfig;
use torsade_protocols::spi::Layers;
use torsade_protocols::{
    Address, Compression, Factory, Host, HostPort, IntoHostPort, ListenError, ProxyProtocolFactory, UnixName,
};
use torsade_reactor::{Inherited, ListenOptions, PassedSocket, Reactor, SocketDomain};

use super::inherited::InheritedPlace;
use super::layered::Layered;
use super::stdio;
use super::tls_files::ServerTlsFiles;
use crate::ends::port::Port;
use crate::ends::reactor_tcp::{adopt_with, listen, listen_at};
#[cfg(feature = "tls")]
use crate::tls::TlsServerConfig;

/// Where to listen, and which layers connections begin with.
///
/// It is a plain value, which [`listen`](crate::ReactorEndpoints::listen) can use again and again; nothing happens before.
/// `parse` reads it from text, and `to_string` writes it; `torsade::manual::endpoints` lists all texts, with their parts and
/// defaults. On the wire the proxy's header comes first, then TLS, and compression inside TLS, whatever the order of the calls.
///
/// # Examples
/// ```
/// use torsade::{prelude::*, simulated::Simulation, wire::Echo};
///
/// let simulation = Simulation::new(1);
/// let endpoint = ServerEndpoint::tcp("10.0.0.1:7")?.compressed("deflate".parse::<Format>()?);
/// let port = simulation.host("10.0.0.1").listen(endpoint, |_peer| Echo)?;
/// assert_eq!(port.address().port(), Some(7));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
#[doc(alias = "TCP4ServerEndpoint")]
#[doc(alias = "serverFromString")]
pub struct ServerEndpoint {
    pub(super) place: Place,
    pub(super) options: ListenOptions,
    pub(super) proxied: bool,
    pub(super) layers: Layers,
    /// The TLS that its text asks for, if the layers have none.
    pub(super) tls_files: Option<ServerTlsFiles>,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Place {
    Tcp(HostPort),
    Unix(UnixName),
    Stdio,
    Inherited(InheritedPlace),
    Custom(Custom),
}

#[derive(Clone, Debug)]
pub(super) struct Custom(pub(super) Rc<dyn StreamServerEndpoint>);

/// Equal if they are the same value, or have the same text.
impl PartialEq for Custom {
    fn eq(&self, other: &Self) -> bool {
        Rc::ptr_eq(&self.0, &other.0) || self.0.to_string() == other.0.to_string()
    }
}

/// Your own kind of endpoint to listen on, from which [`ServerEndpoint::custom`] makes an endpoint.
///
/// If it has a text, its `Display` should write text that parses to such an endpoint: see
/// [`register_endpoint_parser`](crate::register_endpoint_parser).
#[doc(alias = "IStreamServerEndpoint")]
pub trait StreamServerEndpoint: fmt::Debug + fmt::Display {
    /// Listens; `factory` builds a protocol for each connection.
    ///
    /// # Errors
    /// As [`listen`](crate::ReactorEndpoints::listen).
    fn listen(&self, reactor: &Reactor, factory: Box<dyn Factory>) -> Result<Port, ListenError>;
}

impl ServerEndpoint {
    fn new(place: Place) -> Self {
        Self { place, options: ListenOptions::default(), proxied: false, layers: Layers::default(), tls_files: None }
    }

    /// Makes an endpoint for a TCP port at a local address.
    ///
    /// # Errors
    /// [`ListenError::Address`] and [`ListenError::Name`], as [`listen_tcp`](crate::ReactorTcp::listen_tcp).
    #[doc(alias = "TCP6ServerEndpoint")]
    pub fn tcp(address: impl IntoHostPort) -> Result<Self, ListenError> {
        let address = address.into_host_port()?;
        if let Host::Name(_) = address.host() {
            return Err(ListenError::Name(address));
        }
        Ok(Self::at(address))
    }

    /// Makes an endpoint for an address that is not a name.
    pub(super) fn at(address: HostPort) -> Self {
        Self::new(Place::Tcp(address))
    }

    /// Makes an endpoint for a UNIX socket, by path or abstract name.
    #[doc(alias = "UNIXServerEndpoint")]
    #[must_use]
    pub fn unix(name: impl Into<UnixName>) -> Self {
        Self::new(Place::Unix(name.into()))
    }

    /// Makes an endpoint for a socket that systemd, or a service manager with the same protocol, has passed to this program: by
    /// its index from 0, or by its name.
    ///
    /// Listening takes the socket, once per process; a second attempt is an error. The system says whether it is a TCP or a UNIX
    /// socket. Its backlog was set where it was opened. Other processes may accept from the same socket, so one
    /// connection is accepted per turn. Needs the feature `systemd`.
    ///
    /// # Examples
    /// ```
    /// use torsade::{prelude::*, wire::Echo};
    ///
    /// let reactor = Reactor::new()?;
    /// let not_passed = reactor.listen(ServerEndpoint::systemd("web"), |_peer| Echo);
    /// assert!(not_passed.is_err(), "this example was not started by systemd");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn systemd(socket: impl Into<PassedSocket>) -> Self {
        Self::passed(socket.into(), None)
    }

    /// Like [`systemd`](Self::systemd), by the descriptor's number; the first is 3.
    #[must_use]
    pub fn descriptor(number: u32) -> Self {
        Self::passed(PassedSocket::Descriptor(number), None)
    }

    /// A passed socket, which must be of this domain if one is given.
    pub(crate) fn passed(socket: PassedSocket, domain: Option<SocketDomain>) -> Self {
        Self::new(Place::Inherited(InheritedPlace::Passed { socket, domain }))
    }

    /// Makes an endpoint for a socket that is already listening: see [`Inherited`].
    ///
    /// It can be listened on once, even if the endpoint is cloned.
    #[doc(alias = "AdoptedStreamServerEndpoint")]
    #[must_use]
    pub fn inherited(socket: impl Into<Inherited>) -> Self {
        Self::new(Place::Inherited(InheritedPlace::own(socket.into())))
    }

    /// Makes an endpoint for standard input and output, as in [`standard_io`](crate::ReactorStdio::standard_io): its only
    /// connection is made in the first turn.
    ///
    /// The port stays open, without further connections, until [`stop_listening`](Port::stop_listening). Only one connection of a
    /// process can use them at a time: otherwise listening fails with `ResourceBusy`.
    #[doc(alias = "StandardIOEndpoint")]
    #[must_use]
    pub fn stdio() -> Self {
        Self::new(Place::Stdio)
    }

    /// Makes an endpoint of your own kind.
    #[must_use]
    pub fn custom(endpoint: impl StreamServerEndpoint + 'static) -> Self {
        Self::new(Place::Custom(Custom(Rc::new(endpoint))))
    }

    /// Sets the options; those that do not apply to this kind are ignored.
    #[must_use]
    pub fn options(mut self, options: ListenOptions) -> Self {
        self.options = options;
        self
    }

    /// Expects a proxy's header, which names the client of each connection: see [`ProxyProtocolFactory`].
    #[doc(alias = "proxyEndpoint")]
    #[must_use]
    pub fn proxied(mut self) -> Self {
        self.proxied = true;
        self
    }

    /// Adds TLS from the start, after a proxy's header.
    #[cfg(feature = "tls")]
    #[doc(alias = "SSL4ServerEndpoint")]
    #[must_use]
    pub fn tls(mut self, config: &TlsServerConfig) -> Self {
        self.layers.tls = Some(TlsConfig::from(config));
        self.tls_files = None;
        self
    }

    /// Compresses what we send from the start, inside TLS. Also accepts a peer that announces compression.
    #[must_use]
    pub fn compressed(mut self, compression: impl Into<Compression>) -> Self {
        self.layers.compression = Some(compression.into());
        self
    }

    pub(crate) fn listen(&self, reactor: &Reactor, factory: impl Factory + 'static) -> Result<Port, ListenError> {
        let mut layers = self.layers.clone();
        if let Some(files) = &self.tls_files {
            layers.tls = Some(files.read().map_err(|error| ListenError::Configuration(Rc::from(error)))?);
        }
        let (factory, layers): (Box<dyn Factory>, Layers) = if self.proxied {
            (Box::new(ProxyProtocolFactory::new(factory).layers(layers)), Layers::default())
        } else {
            (Box::new(factory), layers)
        };
        match &self.place {
            Place::Tcp(address) => listen(reactor, address.clone(), self.options, factory, layers),
            Place::Unix(name) => listen_at(reactor, &Address::Unix(name.clone()), self.options, factory, layers),
            Place::Inherited(place) => adopt_with(reactor, || place.take(reactor), self.options.socket, factory, layers),
            Place::Stdio => stdio::listen(reactor, factory, layers),
            Place::Custom(endpoint) if layers.is_empty() => endpoint.0.listen(reactor, factory),
            Place::Custom(endpoint) => endpoint.0.listen(reactor, Box::new(Layered { layers, factory })),
        }
    }
}

impl From<SocketAddr> for ServerEndpoint {
    fn from(address: SocketAddr) -> Self {
        Self::at(address.into())
    }
}
