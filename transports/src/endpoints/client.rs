//! Where to connect to.

use std::fmt;
use std::net::SocketAddr;
use std::rc::Rc;

#[cfg(feature = "tls")]
use torsade_protocols::TlsConfig;
use torsade_protocols::spi::Layers;
use torsade_protocols::{
    Address, AddressError, ClientFactory, Compression, ConnectError, ConnectOptions, Connector, Destination, HostPort,
    IntoHostPort, UnixName,
};
use torsade_reactor::{Command, Reactor};

use super::layered::Layered;
use super::tls_files::{ClientTlsFiles, ReadOnce};
use crate::ends::reactor_tcp::{connect, connect_process};
#[cfg(feature = "tls")]
use crate::tls::TlsClientConfig;

/// Where to connect to, and what the connection begins with.
///
/// It is a value that touches nothing until [`connect`](crate::ReactorEndpoints::connect) or
/// [`connect_protocol`](crate::ReactorEndpoints::connect_protocol) is called, which they can be again and again. It is read from text by `parse`, and
/// written by `to_string`; all texts, with their parts and defaults, are in `torsade::manual::endpoints`. In whichever order its
/// methods are called, compression is within TLS.
///
/// # Examples
/// ```
/// use torsade::{prelude::*, simulated::Simulation, wire::Discard};
///
/// let simulation = Simulation::new(1);
/// let endpoint = ClientEndpoint::tcp("10.0.0.2:9")?.compressed("deflate".parse::<Format>()?);
/// let connector = simulation.host("10.0.0.1").connect(endpoint, |_peer| Discard)?;
/// assert_eq!(connector.destination().to_string(), "10.0.0.2:9");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
#[doc(alias = "HostnameEndpoint")]
#[doc(alias = "TCP4ClientEndpoint")]
#[doc(alias = "clientFromString")]
pub struct ClientEndpoint {
    pub(super) place: Place,
    pub(super) options: ConnectOptions,
    pub(super) layers: Layers,
    /// TLS as text says it, where the layers have none.
    pub(super) tls_files: Option<ClientTlsFiles>,
    read_files: ReadOnce,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Place {
    Tcp(HostPort),
    Unix(UnixName),
    Process(Program),
    Custom(Custom),
}

#[derive(Clone, Debug)]
pub(super) struct Program(pub(super) Rc<Command>);

/// Whether they are the same: what descriptors a command has cannot be compared.
impl PartialEq for Program {
    fn eq(&self, other: &Self) -> bool {
        Rc::ptr_eq(&self.0, &other.0)
    }
}

#[derive(Clone, Debug)]
pub(super) struct Custom(pub(super) Rc<dyn StreamClientEndpoint>);

/// Whether they are the same, or written the same.
impl PartialEq for Custom {
    fn eq(&self, other: &Self) -> bool {
        Rc::ptr_eq(&self.0, &other.0) || self.0.to_string() == other.0.to_string()
    }
}

/// A kind of endpoint of one's own to connect to; [`ClientEndpoint::custom`] makes an endpoint of it.
///
/// Its `Display` should write text that is read as such an endpoint again, if there is any: see
/// [`register_endpoint_parser`](crate::register_endpoint_parser).
#[doc(alias = "IStreamClientEndpoint")]
pub trait StreamClientEndpoint: fmt::Debug + fmt::Display {
    /// Connects, and has `factory` build the protocol.
    ///
    /// # Errors
    /// As [`connect`](crate::ReactorEndpoints::connect).
    fn connect(&self, reactor: &Reactor, factory: Box<dyn ClientFactory>) -> Result<Connector, ConnectError>;
}

impl ClientEndpoint {
    fn new(place: Place) -> Self {
        Self {
            place,
            options: ConnectOptions::default(),
            layers: Layers::default(),
            tls_files: None,
            read_files: ReadOnce::default(),
        }
    }

    /// A TCP port of a host, by number or by name.
    ///
    /// # Errors
    /// [`AddressError`] if it is text that is no address.
    #[doc(alias = "TCP6ClientEndpoint")]
    pub fn tcp(address: impl IntoHostPort) -> Result<Self, AddressError> {
        Ok(Self::new(Place::Tcp(address.into_host_port()?)))
    }

    /// The path, or abstract name, of a UNIX socket.
    #[doc(alias = "UNIXClientEndpoint")]
    #[must_use]
    pub fn unix(name: impl Into<UnixName>) -> Self {
        Self::new(Place::Unix(name.into()))
    }

    /// A program, which is started for each connection: it reads what we write from its standard input, and we read what it writes
    /// to its standard output.
    ///
    /// What else it has the [`Command`] says. What it writes to its standard error is logged as it comes, in warnings, unless that is
    /// [`Null`](torsade_reactor::ChildDescriptor::Null) or something else that is not a pipe. Its end is the end of what we read, even
    /// if it has closed its output before; a status other than 0, or a signal, is the error that the connection is lost with. A close
    /// closes its input and output, which ends most programs; an abort kills it.
    ///
    /// # Examples
    /// ```
    /// use torsade::prelude::*;
    ///
    /// let sort = ClientEndpoint::process(Command::new("sort").args(["-n", "-r"]));
    /// assert_eq!(sort.to_string(), "<process \"sort\">");
    /// ```
    #[doc(alias = "ProcessEndpoint")]
    #[doc(alias = "StandardErrorBehavior")]
    #[must_use]
    pub fn process(command: Command) -> Self {
        Self::new(Place::Process(Program(Rc::new(command))))
    }

    /// An endpoint of a kind of one's own.
    #[must_use]
    pub fn custom(endpoint: impl StreamClientEndpoint + 'static) -> Self {
        Self::new(Place::Custom(Custom(Rc::new(endpoint))))
    }

    /// The same with these options, as far as they concern it.
    #[must_use]
    pub fn options(mut self, options: ConnectOptions) -> Self {
        self.options = options;
        self
    }

    /// The same with TLS from the start.
    ///
    /// The server's certificate has to be for the host, unless the configuration names another.
    #[cfg(feature = "tls")]
    #[doc(alias = "SSL4ClientEndpoint")]
    #[doc(alias = "wrapClientTLS")]
    #[must_use]
    pub fn tls(mut self, config: &TlsClientConfig) -> Self {
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

    /// Connects.
    pub(crate) fn connect(&self, reactor: &Reactor, factory: Box<dyn ClientFactory>) -> Result<Connector, ConnectError> {
        let mut layers = self.layers.clone();
        if let Some(files) = &self.tls_files {
            layers.tls = Some(self.read_files.read(files).map_err(|error| ConnectError::Configuration(Rc::from(error)))?);
        }
        let destination = match &self.place {
            Place::Tcp(there) => Destination::Host(there.clone()),
            Place::Unix(name) => Destination::Address(Address::Unix(name.clone())),
            Place::Process(program) => {
                return connect_process(reactor, Rc::clone(&program.0), self.options, factory, layers);
            }
            Place::Custom(endpoint) if layers.is_empty() => return endpoint.0.connect(reactor, factory),
            Place::Custom(endpoint) => return endpoint.0.connect(reactor, Box::new(Layered { layers, factory })),
        };
        connect(reactor, destination, self.options, factory, layers)
    }
}

impl From<HostPort> for ClientEndpoint {
    fn from(there: HostPort) -> Self {
        Self::new(Place::Tcp(there))
    }
}

impl From<SocketAddr> for ClientEndpoint {
    fn from(address: SocketAddr) -> Self {
        Self::new(Place::Tcp(address.into()))
    }
}
