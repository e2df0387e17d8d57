//! Limits on the number of connections.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::rc::Rc;

use torsade_reactor::Result;

use crate::address::Address;
use crate::factory::Factory;
use crate::protocol::{Callback, Protocol};
use crate::transport::Transport;

/// Limits the number of simultaneous connections of a factory.
///
/// Connections above the limit are closed at once or given an overflow protocol, which may say that the server is busy. A
/// connection counts from when its protocol is built until just before its `connection_lost`. Connections of the overflow
/// protocol count as well, as in Twisted.
///
/// # Examples
/// ```
/// use torsade::{Address, Factory, policies::LimitTotalConnectionsFactory, wire};
///
/// let mut factory = LimitTotalConnectionsFactory::new(|_peer| wire::Echo, 1);
/// let first = factory.build_protocol(&Address::Unnamed);
/// assert!(first.is_some() && factory.build_protocol(&Address::Unnamed).is_none());
/// drop(first);
/// assert!(factory.build_protocol(&Address::Unnamed).is_some());
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

    /// Sets a factory for connections above the limit; without one they are closed.
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
            log::info!("refusing {peer}: there are already {} connections", self.count.get());
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

/// Limits the number of simultaneous connections per peer. Connections above the limit are closed at once.
///
/// A peer is an IPv4 address or an IPv6 /64 network, which is what one site is given and any of whose addresses each host can
/// take. An IPv4-mapped address (`::ffff:192.0.2.1`) counts as the IPv4 address. Link-local addresses share their prefix, so each
/// counts as a peer. Peers without an IP address are not limited. (Twisted's class of this name fails on Python 3.)
///
/// # Examples
/// ```
/// use std::net::SocketAddr;
/// use torsade::{Factory, policies::LimitConnectionsByPeer, wire};
///
/// let mut factory = LimitConnectionsByPeer::new(|_peer| wire::Echo, 1);
/// let mut build = |peer: &str| peer.parse::<SocketAddr>().map(|peer| factory.build_protocol(&peer.into()));
/// let first = build("[2001:db8:0:1::a]:1024")?;
/// assert!(first.is_some());
/// assert!(build("[2001:db8:0:1::b]:1024")?.is_none(), "the same network");
/// assert!(build("[2001:db8:0:2::a]:1024")?.is_some(), "another one");
/// # Ok::<(), std::net::AddrParseError>(())
/// ```
pub struct LimitConnectionsByPeer<F> {
    factory: F,
    limit: usize,
    ipv6_prefix: u32,
    /// Keyed by the peer's address, or the first address of its network.
    counts: Rc<RefCell<HashMap<IpAddr, usize>>>,
}

impl<F: Factory> LimitConnectionsByPeer<F> {
    /// Lets each peer have at most `limit` connections; Twisted's default is 5.
    #[doc(alias = "maxConnectionsPerPeer")]
    #[must_use]
    pub fn new(factory: F, limit: usize) -> Self {
        Self { factory, limit, ipv6_prefix: 64, counts: Rc::default() }
    }

    /// Sets the prefix length that identifies an IPv6 peer, in bits; default 64. More than 128 counts as 128.
    ///
    /// Use 56 or 48 where whole sites misbehave. Use 128 where peers share a network and can be trusted to keep their addresses,
    /// or come through an IPv4 translator (RFC 6052), which has one network for all of them.
    #[must_use]
    pub const fn ipv6_prefix(mut self, bits: u32) -> Self {
        self.ipv6_prefix = bits;
        self
    }
}

/// The address itself, or the first address of its network, which stands for all of it.
fn network(ip: IpAddr, ipv6_prefix: u32) -> IpAddr {
    match ip.to_canonical() {
        IpAddr::V6(ip) if !ip.is_unicast_link_local() => {
            let mask = u128::MAX.checked_shr(ipv6_prefix).map_or(u128::MAX, |host| !host);
            Ipv6Addr::from_bits(ip.to_bits() & mask).into()
        }
        ip => ip,
    }
}

impl<F: Factory> Factory for LimitConnectionsByPeer<F> {
    fn build_protocol(&mut self, peer: &Address) -> Option<Box<dyn Protocol>> {
        let Some(ip) = peer.ip().map(|ip| network(ip, self.ipv6_prefix)) else { return self.factory.build_protocol(peer) };
        let count = self.counts.borrow().get(&ip).copied().unwrap_or_default();
        if count >= self.limit {
            log::info!("refusing {peer}: that host or network already has {count} connections");
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

    fn wrapped(&mut self) -> Option<&mut dyn Factory> {
        Some(&mut self.factory)
    }
}

impl<F> fmt::Debug for LimitConnectionsByPeer<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LimitConnectionsByPeer")
            .field("limit", &self.limit)
            .field("ipv6_prefix", &self.ipv6_prefix)
            .field("peers", &self.counts.borrow().len())
            .finish_non_exhaustive()
    }
}

/// A protocol that is counted until it ends in any way.
struct Counted<D: FnMut()> {
    protocol: Box<dyn Protocol>,
    /// Dropped before the protocol's `connection_lost`, which may connect again.
    counted: Option<OnDrop<D>>,
}

struct OnDrop<D: FnMut()>(D);

impl<D: FnMut()> Drop for OnDrop<D> {
    fn drop(&mut self) {
        (self.0)();
    }
}

/// Calls `uncount` once: when the connection ends, or when the protocol is dropped before the connection was established.
pub(super) fn counted(protocol: Box<dyn Protocol>, uncount: impl FnMut() + 'static) -> Box<dyn Protocol> {
    Box::new(Counted { protocol, counted: Some(OnDrop(uncount)) })
}

impl<D: FnMut()> Protocol for Counted<D> {
    fn data_received(&mut self, transport: &Transport, data: &[u8]) -> Result {
        self.protocol.data_received(transport, data)
    }

    fn fallback(&mut self, transport: &Transport, callback: Callback<'_>) -> Result {
        if let Callback::ConnectionLost(_) = callback {
            self.counted.take();
        }
        callback.dispatch(&mut *self.protocol, transport)
    }
}
