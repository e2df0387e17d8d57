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

/// Where to listen, and what connections begin with.
///
/// It is a value that touches nothing until [`listen`](crate::ReactorEndpoints::listen) is called, which it can be again and again. It is read
/// from text by `parse`, and written by `to_string`; all texts, with their parts and defaults, are in `torsade::manual::endpoints`. The
/// methods that take `self` add to it; in whichever order they are called, the wire has the proxy's header first, then TLS, and
/// compression within that.
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
    /// TLS as text says it, where the layers have none.
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

/// Whether they are the same, or written the same.
impl PartialEq for Custom {
    fn eq(&self, other: &Self) -> bool {
        Rc::ptr_eq(&self.0, &other.0) || self.0.to_string() == other.0.to_string()
    }
}

/// A kind of endpoint of one's own to listen on; [`ServerEndpoint::custom`] makes an endpoint of it.
///
/// Its `Display` should write text that is read as such an endpoint again, if there is any: see
/// [`register_endpoint_parser`](crate::register_endpoint_parser).
#[doc(alias = "IStreamServerEndpoint")]
pub trait StreamServerEndpoint: fmt::Debug + fmt::Display {
    /// Listens, and has `factory` build a protocol for each connection.
    ///
    /// # Errors
    /// As [`listen`](crate::ReactorEndpoints::listen).
    fn listen(&self, reactor: &Reactor, factory: Box<dyn Factory>) -> Result<Port, ListenError>;
}

impl ServerEndpoint {
    fn new(place: Place) -> Self {
        Self { place, options: ListenOptions::default(), proxied: false, layers: Layers::default(), tls_files: None }
    }

    /// A TCP port at an address of ours.
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

    /// The same at an address that is no name.
    pub(super) fn at(address: HostPort) -> Self {
        Self::new(Place::Tcp(address))
    }

    /// The path, or abstract name, of a UNIX socket.
    #[doc(alias = "UNIXServerEndpoint")]
    #[must_use]
    pub fn unix(name: impl Into<UnixName>) -> Self {
        Self::new(Place::Unix(name.into()))
    }

    /// A socket that systemd has opened, or another starter that says so in the same way: by its index from 0, or by its name.
    ///
    /// It is taken when it is listened on, once in a process; whoever comes second gets an error. Whether it is of TCP or of UNIX, the
    /// system says. How connections wait was decided where it was opened. Who else holds the socket can take connections too, so one
    /// is accepted a turn. It needs the feature `systemd`.
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

    /// The same by the descriptor's number; the first has 3.
    #[must_use]
    pub fn descriptor(number: u32) -> Self {
        Self::passed(PassedSocket::Descriptor(number), None)
    }

    /// A passed socket, which has to be of this domain if one is given.
    pub(crate) fn passed(socket: PassedSocket, domain: Option<SocketDomain>) -> Self {
        Self::new(Place::Inherited(InheritedPlace::Passed { socket, domain }))
    }

    /// A socket that listens already: see [`Inherited`]. It can be listened on once, also if the endpoint is cloned.
    #[doc(alias = "AdoptedStreamServerEndpoint")]
    #[must_use]
    pub fn inherited(socket: impl Into<Inherited>) -> Self {
        Self::new(Place::Inherited(InheritedPlace::own(socket.into())))
    }

    /// Standard input and output, as [`standard_io`](crate::ReactorStdio::standard_io) takes them: the one connection that comes is
    /// there from the beginning.
    ///
    /// The port stays, and nobody else comes, until [`stop_listening`](Port::stop_listening). Only one connection of a process can
    /// have them at a time: otherwise listening fails with `ResourceBusy`.
    #[doc(alias = "StandardIOEndpoint")]
    #[must_use]
    pub fn stdio() -> Self {
        Self::new(Place::Stdio)
    }

    /// An endpoint of a kind of one's own.
    #[must_use]
    pub fn custom(endpoint: impl StreamServerEndpoint + 'static) -> Self {
        Self::new(Place::Custom(Custom(Rc::new(endpoint))))
    }

    /// The same with these options, as far as they concern it.
    #[must_use]
    pub fn options(mut self, options: ListenOptions) -> Self {
        self.options = options;
        self
    }

    /// The same behind a proxy, which says in a header whose connection each is: see [`ProxyProtocolFactory`].
    #[doc(alias = "proxyEndpoint")]
    #[must_use]
    pub fn proxied(mut self) -> Self {
        self.proxied = true;
        self
    }

    /// The same with TLS from the start, behind a proxy's header.
    #[cfg(feature = "tls")]
    #[doc(alias = "SSL4ServerEndpoint")]
    #[must_use]
    pub fn tls(mut self, config: &TlsServerConfig) -> Self {
        self.layers.tls = Some(TlsConfig::from(config));
        self.tls_files = None;
        self
    }

    /// The same with what we send compressed from the start, within TLS. A peer that announces compression is understood.
    #[must_use]
    pub fn compressed(mut self, compression: impl Into<Compression>) -> Self {
        self.layers.compression = Some(compression.into());
        self
    }

    /// Listens.
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
