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

/// Where to connect, and which layers the connection begins with.
///
/// It is a plain value, which can be used again and again by [`connect`](crate::ReactorEndpoints::connect) and
/// [`connect_protocol`](crate::ReactorEndpoints::connect_protocol); nothing happens before. `parse` reads it from text, and
/// `to_string` writes it; `torsade::manual::endpoints` lists all texts, with their parts and defaults. Compression is always
/// inside TLS, whatever the order of the calls.
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
    /// The TLS that its text asks for, if the layers have none.
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

/// Equal if they are the same command: its descriptors cannot be compared.
impl PartialEq for Program {
    fn eq(&self, other: &Self) -> bool {
        Rc::ptr_eq(&self.0, &other.0)
    }
}

#[derive(Clone, Debug)]
pub(super) struct Custom(pub(super) Rc<dyn StreamClientEndpoint>);

/// Equal if they are the same value, or have the same text.
impl PartialEq for Custom {
    fn eq(&self, other: &Self) -> bool {
        Rc::ptr_eq(&self.0, &other.0) || self.0.to_string() == other.0.to_string()
    }
}

/// Your own kind of endpoint to connect to, from which [`ClientEndpoint::custom`] makes an endpoint.
///
/// If it has a text, its `Display` should write text that parses to such an endpoint: see
/// [`register_endpoint_parser`](crate::register_endpoint_parser).
#[doc(alias = "IStreamClientEndpoint")]
pub trait StreamClientEndpoint: fmt::Debug + fmt::Display {
    /// Connects; `factory` builds the protocol.
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

    /// Makes an endpoint for a TCP port of a host, given by name or IP address.
    ///
    /// # Errors
    /// [`AddressError`] if the text is not an address.
    #[doc(alias = "TCP6ClientEndpoint")]
    pub fn tcp(address: impl IntoHostPort) -> Result<Self, AddressError> {
        Ok(Self::new(Place::Tcp(address.into_host_port()?)))
    }

    /// Makes an endpoint for a UNIX socket, by path or abstract name.
    #[doc(alias = "UNIXClientEndpoint")]
    #[must_use]
    pub fn unix(name: impl Into<UnixName>) -> Self {
        Self::new(Place::Unix(name.into()))
    }

    /// Makes an endpoint that starts a program for each connection: we write to its standard input and read its standard output.
    ///
    /// The [`Command`] says everything else. The program's standard error is logged as warnings, unless it is
    /// [`Null`](torsade_reactor::ChildDescriptor::Null) or something else that is not a pipe. The peer's stream ends when the
    /// program ends, even if the program has closed its output before; with an exit status other than 0, or a signal, the
    /// connection is lost with that error. Closing the connection closes the program's input and output, which ends most
    /// programs; aborting kills it.
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

    /// Makes an endpoint of your own kind.
    #[must_use]
    pub fn custom(endpoint: impl StreamClientEndpoint + 'static) -> Self {
        Self::new(Place::Custom(Custom(Rc::new(endpoint))))
    }

    /// Sets the options; those that do not apply to this kind are ignored.
    #[must_use]
    pub fn options(mut self, options: ConnectOptions) -> Self {
        self.options = options;
        self
    }

    /// Adds TLS from the start.
    ///
    /// The server's certificate has to be valid for the host, unless the configuration names another.
    #[cfg(feature = "tls")]
    #[doc(alias = "SSL4ClientEndpoint")]
    #[doc(alias = "wrapClientTLS")]
    #[must_use]
    pub fn tls(mut self, config: &TlsClientConfig) -> Self {
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
