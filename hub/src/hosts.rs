//! The hosts of a broker, any of which will do.

use std::cell::Cell;
use std::fmt;
use std::rc::Rc;
use std::time::Duration;

use torsade_protocols::{ClientFactory, ConnectError, ConnectOptions, Connector, HostPort};
use torsade_reactor::Reactor;
#[cfg(feature = "tls")]
use torsade_transports::TlsClientConfig;
use torsade_transports::{ClientEndpoint, ReactorEndpoints, StreamClientEndpoint};

/// How long an attempt to connect may take before it fails.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// The hosts of a broker: each attempt to connect goes to the next one; a cheap handle.
#[derive(Clone, Debug)]
pub(crate) struct Hosts {
    hosts: Rc<[HostPort]>,
    attempts: Rc<Cell<usize>>,
    #[cfg(feature = "tls")]
    tls: Option<TlsClientConfig>,
}

impl Hosts {
    /// `hosts` must not be empty; a [`BrokerUrl`](crate::broker_url::BrokerUrl) always has one.
    pub(crate) fn new(hosts: &[HostPort]) -> Self {
        Self {
            hosts: hosts.into(),
            attempts: Rc::default(),
            #[cfg(feature = "tls")]
            tls: None,
        }
    }

    /// Uses TLS from the first byte of every connection.
    #[cfg(feature = "tls")]
    pub(crate) fn with_tls(self, tls: Option<TlsClientConfig>) -> Self {
        Self { tls, ..self }
    }

    /// The host of the last attempt.
    pub(crate) fn current(&self) -> &HostPort {
        &self.hosts[self.attempts.get().saturating_sub(1) % self.hosts.len()]
    }

    /// An endpoint that is all of them in turn.
    pub(crate) fn endpoint(&self) -> ClientEndpoint {
        ClientEndpoint::custom(self.clone())
    }

    /// An endpoint for one host, with the same timeout and TLS; it need not be one of these.
    pub(crate) fn endpoint_of(&self, host: &HostPort) -> ClientEndpoint {
        let options = ConnectOptions { timeout: CONNECT_TIMEOUT, ..ConnectOptions::default() };
        let endpoint = ClientEndpoint::from(host.clone()).options(options);
        #[cfg(feature = "tls")]
        if let Some(tls) = &self.tls {
            return endpoint.tls(tls);
        }
        endpoint
    }
}

impl StreamClientEndpoint for Hosts {
    fn connect(&self, reactor: &Reactor, factory: Box<dyn ClientFactory>) -> Result<Connector, ConnectError> {
        self.attempts.set(self.attempts.get().wrapping_add(1));
        reactor.connect(self.endpoint_of(self.current()), factory)
    }
}

impl fmt::Display for Hosts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, host) in self.hosts.iter().enumerate() {
            write!(f, "{}{host}", if index == 0 { "" } else { " or " })?;
        }
        Ok(())
    }
}
