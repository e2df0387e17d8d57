//! The servers of a cluster, tried in turn.

use std::cell::Cell;
use std::fmt;
use std::rc::Rc;

use torsade_protocols::{ClientFactory, ConnectError, Connector, HostPort};
use torsade_reactor::Reactor;
use torsade_transports::{ClientEndpoint, ReactorEndpoints, StreamClientEndpoint};

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
        reactor.connect(ClientEndpoint::from(host.clone()), factory)
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
