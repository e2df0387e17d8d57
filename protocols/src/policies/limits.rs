//! Limits on how many connections there are.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::fmt;
use std::net::IpAddr;
use std::rc::Rc;

use torsade_reactor::Result;

use crate::address::Address;
use crate::factory::Factory;
use crate::protocol::Protocol;
use crate::reason::Reason;
use crate::transport::Transport;

/// Limits how many connections a factory has at a time.
///
/// Those above the limit are closed at once, or given another protocol, which may say that the server is busy. A
/// connection counts from when its protocol is built until just before its `connection_lost`; those of the overflow
/// protocol count as well, as in Twisted.
///
/// # Examples
/// ```
/// use torsade_protocols::policies::LimitTotalConnectionsFactory;
/// use torsade_protocols::{Address, Factory, wire};
///
/// let mut factory = LimitTotalConnectionsFactory::new(|_peer| wire::Echo, 1);
/// let first = factory.build_protocol(&Address::None);
/// assert!(first.is_some() && factory.build_protocol(&Address::None).is_none());
/// drop(first);
/// assert!(factory.build_protocol(&Address::None).is_some());
/// ```
pub struct LimitTotalConnectionsFactory<F> {
    factory: F,
    limit: usize,
    overflow: Option<Box<dyn Factory>>,
    count: Rc<Cell<usize>>,
}

impl<F: Factory> LimitTotalConnectionsFactory<F> {
    /// Lets `factory` have at most `limit` connections.
    #[doc(alias = "connectionLimit")]
    #[must_use]
    pub fn new(factory: F, limit: usize) -> Self {
        Self { factory, limit, overflow: None, count: Rc::default() }
    }

    /// Has `overflow` build the protocols of connections above the limit; without it they are closed.
    #[doc(alias = "overflowProtocol")]
    #[must_use]
    pub fn overflow(mut self, overflow: impl Factory + 'static) -> Self {
        self.overflow = Some(Box::new(overflow));
        self
    }
}

impl<F: Factory> Factory for LimitTotalConnectionsFactory<F> {
    fn build_protocol(&mut self, peer: &Address) -> Option<Box<dyn Protocol>> {
        let protocol = if self.count.get() < self.limit {
            self.factory.build_protocol(peer)?
        } else {
            log::info!("refusing {peer}: there are {} connections already", self.count.get());
            self.overflow.as_mut()?.build_protocol(peer)?
        };
        self.count.set(self.count.get() + 1);
        let count = Rc::clone(&self.count);
        Some(counted(protocol, move || count.set(count.get() - 1)))
    }

    fn start_factory(&mut self) {
        self.factory.start_factory();
        if let Some(overflow) = &mut self.overflow {
            overflow.start_factory();
        }
    }

    fn stop_factory(&mut self) {
        self.factory.stop_factory();
        if let Some(overflow) = &mut self.overflow {
            overflow.stop_factory();
        }
    }
}

impl<F> fmt::Debug for LimitTotalConnectionsFactory<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LimitTotalConnectionsFactory")
            .field("limit", &self.limit)
            .field("count", &self.count.get())
            .finish_non_exhaustive()
    }
}

/// Limits how many connections one IP address has at a time; more are closed at once.
///
/// Peers without an IP address are not limited. (Twisted's class of this name fails on Python 3.)
pub struct LimitConnectionsByPeer<F> {
    factory: F,
    limit: usize,
    counts: Rc<RefCell<HashMap<IpAddr, usize>>>,
}

impl<F: Factory> LimitConnectionsByPeer<F> {
    /// Lets each address have at most `limit` connections; Twisted's default is 5.
    #[doc(alias = "maxConnectionsPerPeer")]
    #[must_use]
    pub fn new(factory: F, limit: usize) -> Self {
        Self { factory, limit, counts: Rc::default() }
    }
}

impl<F: Factory> Factory for LimitConnectionsByPeer<F> {
    fn build_protocol(&mut self, peer: &Address) -> Option<Box<dyn Protocol>> {
        // An IPv4 peer of an IPv6 port is the same peer.
        let Some(ip) = peer.ip().map(|ip| ip.to_canonical()) else { return self.factory.build_protocol(peer) };
        let count = self.counts.borrow().get(&ip).copied().unwrap_or_default();
        if count >= self.limit {
            log::info!("refusing {peer}: that host has {count} connections already");
            return None;
        }
        let protocol = self.factory.build_protocol(peer)?;
        *self.counts.borrow_mut().entry(ip).or_default() += 1;
        let counts = Rc::clone(&self.counts);
        Some(counted(protocol, move || {
            let mut counts = counts.borrow_mut();
            if let Some(count) = counts.get_mut(&ip) {
                *count -= 1;
                if *count == 0 {
                    counts.remove(&ip);
                }
            }
        }))
    }

    fn start_factory(&mut self) {
        self.factory.start_factory();
    }

    fn stop_factory(&mut self) {
        self.factory.stop_factory();
    }
}

impl<F> fmt::Debug for LimitConnectionsByPeer<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LimitConnectionsByPeer").field("limit", &self.limit).finish_non_exhaustive()
    }
}

/// A protocol that is counted until it ends, however it ends.
struct Counted<D: FnMut()> {
    protocol: Box<dyn Protocol>,
    /// Dropped before the protocol's `connection_lost`, which may make a connection again.
    counted: Option<OnDrop<D>>,
}

struct OnDrop<D: FnMut()>(D);

impl<D: FnMut()> Drop for OnDrop<D> {
    fn drop(&mut self) {
        (self.0)();
    }
}

/// Calls `uncount` once, when the connection ends or, if it never stood, when the protocol is dropped.
pub(super) fn counted(protocol: Box<dyn Protocol>, uncount: impl FnMut() + 'static) -> Box<dyn Protocol> {
    Box::new(Counted { protocol, counted: Some(OnDrop(uncount)) })
}

impl<D: FnMut()> Protocol for Counted<D> {
    fn connection_made(&mut self, transport: &Transport) -> Result {
        self.protocol.connection_made(transport)
    }

    fn handshake_completed(&mut self, transport: &Transport) -> Result {
        self.protocol.handshake_completed(transport)
    }

    fn data_received(&mut self, transport: &Transport, data: &[u8]) -> Result {
        self.protocol.data_received(transport, data)
    }

    fn read_connection_lost(&mut self, transport: &Transport) -> Result {
        self.protocol.read_connection_lost(transport)
    }

    fn write_connection_lost(&mut self, transport: &Transport) -> Result {
        self.protocol.write_connection_lost(transport)
    }

    fn reading_resumed(&mut self, transport: &Transport) -> Result {
        self.protocol.reading_resumed(transport)
    }

    fn connection_lost(&mut self, transport: &Transport, reason: &Reason) -> Result {
        self.counted.take();
        self.protocol.connection_lost(transport, reason)
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use super::*;
    use crate::wire::Discard;

    #[test]
    fn each_host_has_its_own_limit() {
        let mut factory = LimitConnectionsByPeer::new(|_| Discard, 2);
        let mut connect = |peer: &str| factory.build_protocol(&peer.parse::<SocketAddr>().unwrap().into());
        let first = connect("10.0.0.1:1");
        assert!(first.is_some() && connect("[::ffff:10.0.0.1]:2").is_some(), "the second one is dropped at once");
        let second = connect("10.0.0.1:3");
        assert!(second.is_some() && connect("10.0.0.1:4").is_none());
        assert!(connect("10.0.0.2:1").is_some());
        drop(first);
        assert!(connect("10.0.0.1:5").is_some());
        drop(second);
        assert!(factory.counts.borrow().is_empty(), "nothing is kept of hosts that have gone");
    }
}
