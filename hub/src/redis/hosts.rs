//! Where Redis is, and how it lets us in.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::rc::Rc;
use std::time::Duration;

use torsade_protocols::{ClientFactory, ConnectError, ConnectOptions, Connector, HostPort};
use torsade_reactor::Reactor;
#[cfg(feature = "tls")]
use torsade_transports::TlsClientConfig;
use torsade_transports::{ClientEndpoint, ReactorEndpoints, StreamClientEndpoint};

use crate::broker_url::BrokerUrl;
use crate::error::HubError;

/// How long an attempt to connect may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// What a URL of Redis says.
pub(super) struct Hosts {
    hosts: Vec<HostPort>,
    next: Cell<usize>,
    /// The one that was tried last.
    current: RefCell<HostPort>,
    /// User and password.
    pub(super) login: Option<(String, String)>,
    /// Whether live messages go by the shards of a cluster.
    pub(super) sharded: bool,
    #[cfg(feature = "tls")]
    tls: Option<TlsClientConfig>,
}

impl Hosts {
    /// Reads `redis://[[USER]:PASSWORD@]HOST[:PORT][,..][?sharded]`, or `rediss://` for TLS.
    pub(super) fn new(url: &BrokerUrl, #[cfg(feature = "tls")] tls: Option<&TlsClientConfig>) -> Result<Self, HubError> {
        let wrong = |problem: String| HubError::Address { text: format!("{}:..", url.scheme), problem };
        let current = url.hosts.first().cloned().ok_or_else(|| wrong("it names no host".to_owned()))?;
        let login = match (&url.user, &url.password) {
            (None, _) => None,
            (Some(_), None) => return Err(wrong("its login has no password: write USER:PASSWORD@ or :PASSWORD@".to_owned())),
            (Some(user), Some(password)) if user.is_empty() => Some(("default".to_owned(), password.clone())),
            (Some(user), Some(password)) => Some((user.clone(), password.clone())),
        };
        let (mut sharded, mut roots) = (false, None);
        for (name, value) in &url.options {
            match name.as_str() {
                "sharded" if matches!(value.as_str(), "" | "true" | "yes" | "1") => sharded = true,
                "ca" if url.scheme == "rediss" => roots = Some(value.as_str()),
                _ => {
                    return Err(wrong(format!(
                        "there is no option {name:?} such as this: there are sharded, and ca=FILE for rediss"
                    )));
                }
            }
        }
        #[cfg(not(feature = "tls"))]
        if url.scheme == "rediss" {
            let _ = roots;
            return Err(HubError::Tls { problem: "this program was built without the feature `tls`".to_owned() });
        }
        #[cfg(feature = "tls")]
        let tls = tls_config(url, tls, roots)?;
        Ok(Self {
            hosts: url.hosts.clone(),
            next: Cell::new(0),
            current: RefCell::new(current),
            login,
            sharded,
            #[cfg(feature = "tls")]
            tls,
        })
    }

    /// The host that was tried last.
    pub(super) fn current(&self) -> HostPort {
        self.current.borrow().clone()
    }

    /// How to connect to a node.
    pub(super) fn endpoint(&self, host: &HostPort) -> ClientEndpoint {
        let options = ConnectOptions { timeout: CONNECT_TIMEOUT, ..ConnectOptions::default() };
        let endpoint = ClientEndpoint::from(host.clone()).options(options);
        #[cfg(feature = "tls")]
        if let Some(tls) = &self.tls {
            return endpoint.tls(tls);
        }
        endpoint
    }
}

#[cfg(feature = "tls")]
fn tls_config(
    url: &BrokerUrl,
    given: Option<&TlsClientConfig>,
    roots: Option<&str>,
) -> Result<Option<TlsClientConfig>, HubError> {
    if url.scheme != "rediss" {
        return Ok(None);
    }
    let made = match (given, roots) {
        (_, Some(file)) => TlsClientConfig::with_roots_file(file),
        (Some(given), None) => Ok(given.clone()),
        (None, None) => TlsClientConfig::with_system_roots(),
    };
    made.map(Some).map_err(|error| HubError::Tls { problem: error.to_string() })
}

/// An endpoint that is each of the hosts in turn: the next one with each attempt.
#[derive(Clone)]
pub(super) struct InTurn(pub(super) Rc<Hosts>);

impl StreamClientEndpoint for InTurn {
    fn connect(&self, reactor: &Reactor, factory: Box<dyn ClientFactory>) -> Result<Connector, ConnectError> {
        let hosts = &self.0;
        let at = hosts.next.get();
        hosts.next.set(at.wrapping_add(1));
        if let Some(host) = hosts.hosts.get(at % hosts.hosts.len().max(1)) {
            hosts.current.replace(host.clone());
        }
        reactor.connect(hosts.endpoint(&hosts.current()), factory)
    }
}

impl fmt::Debug for InTurn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("InTurn").field(&self.0.hosts).finish()
    }
}

impl fmt::Display for InTurn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hosts: Vec<_> = self.0.hosts.iter().map(ToString::to_string).collect();
        write!(f, "Redis at {}", hosts.join(", "))
    }
}
