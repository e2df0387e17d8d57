//! The servers of a cluster, tried in turn.

use std::cell::Cell;
use std::fmt;
use std::rc::Rc;
use std::time::Duration;

use torsade_protocols::{ClientFactory, ConnectError, ConnectOptions, Connector, HostPort};
use torsade_reactor::Reactor;
use torsade_transports::{ClientEndpoint, ReactorEndpoints, StreamClientEndpoint};

/// How long an attempt to connect may take before the next server is tried.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Servers that stand for each other: every attempt to connect goes to the next.
#[derive(Clone, Debug)]
pub(super) struct Places {
    hosts: Rc<[HostPort]>,
    next: Rc<Cell<usize>>,
}

impl Places {
    pub(super) fn new(hosts: Vec<HostPort>) -> Self {
        Self { hosts: hosts.into(), next: Rc::default() }
    }

    pub(super) fn endpoint(&self) -> ClientEndpoint {
        ClientEndpoint::custom(self.clone())
    }
}

impl StreamClientEndpoint for Places {
    fn connect(&self, reactor: &Reactor, factory: Box<dyn ClientFactory>) -> Result<Connector, ConnectError> {
        let number = self.next.replace(self.next.get().wrapping_add(1));
        let host = self.hosts.get(number % self.hosts.len().max(1)).ok_or(ConnectError::NotConnecting)?;
        let options = ConnectOptions { timeout: CONNECT_TIMEOUT, ..ConnectOptions::default() };
        reactor.connect(ClientEndpoint::from(host.clone()).options(options), factory)
    }
}

impl fmt::Display for Places {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, host) in self.hosts.iter().enumerate() {
            write!(f, "{}{host}", if index == 0 { "" } else { " or " })?;
        }
        Ok(())
    }
}
