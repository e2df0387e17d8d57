//! The handle of a socket of datagrams.

use std::fmt;
use std::io;
use std::net::IpAddr;
use std::rc::Rc;

use torsade_reactor::spi::{Datagrams, UdpOptions};
use torsade_reactor::{MulticastInterface, Reactor};

use crate::address::Address;

/// What a [`DatagramTransport`] is the handle of. Each method is the one of the same name there.
///
/// No method calls a callback.
pub trait DatagramEnd {
    /// The reactor it belongs to.
    fn reactor(&self) -> &Reactor;

    /// The address on our side; the last one, once it is closed.
    fn host(&self) -> Address;

    /// Where it is connected to.
    fn peer(&self) -> Option<Address>;

    /// Sends `data` to `to`, or where it is connected to.
    fn write(&self, data: &[u8], to: Option<&Address>);

    /// Receives from `peer` only.
    ///
    /// # Errors
    /// As of the method there.
    fn connect(&self, peer: &Address) -> io::Result<()>;

    /// Closes it.
    fn stop_listening(&self);

    /// How many datagrams were dropped instead of sent.
    fn dropped(&self) -> u64;

    /// How many datagrams were cut.
    fn truncated(&self) -> u64;

    /// The socket, until it is closed.
    fn socket(&self) -> Option<Rc<dyn Datagrams>>;
}

/// A socket of datagrams, as its protocol and others see it; a cheap handle.
///
/// `listen_udp` and `listen_unix_datagram` give it, and every callback gets it too. No method calls a callback before it
/// returns, so a `RefCell` may stay borrowed across all of them. Dropping it changes nothing: the socket is open until
/// [`stop_listening`](Self::stop_listening) or the reactor's stop. Once it is closed, writing does nothing, and what has a result
/// gives `NotConnected`.
#[derive(Clone)]
#[doc(alias = "IUDPTransport")]
#[doc(alias = "IMulticastTransport")]
#[doc(alias = "IUNIXDatagramTransport")]
pub struct DatagramTransport(Rc<dyn DatagramEnd>); // not `Send`: give other threads `transport.reactor().handle()`

impl DatagramTransport {
    /// Wraps what does the work.
    #[must_use]
    pub fn new(end: Rc<dyn DatagramEnd>) -> Self {
        Self(end)
    }

    /// The reactor it belongs to.
    #[must_use]
    pub fn reactor(&self) -> &Reactor {
        self.0.reactor()
    }

    /// The address on our side, with the port that the system chose where 0 was asked for.
    #[doc(alias = "getHost")]
    #[must_use]
    pub fn host(&self) -> Address {
        self.0.host()
    }

    /// Where it is [connected](Self::connect) to; none if it is not.
    #[must_use]
    pub fn peer(&self) -> Option<Address> {
        self.0.peer()
    }

    /// Sends a datagram where the transport is [connected](Self::connect) to.
    ///
    /// It leaves at once, in one piece, or is dropped: when there is no room in the system's buffer, when it is longer than a
    /// datagram can be (65,507 bytes over IPv4), when the system refuses. What is dropped is [counted](Self::dropped), and
    /// [`write_dropped`](crate::DatagramProtocol::write_dropped) tells why; the first of a transport is also reported. That it
    /// was sent does not mean that it arrives.
    pub fn write(&self, data: impl AsRef<[u8]>) {
        self.0.write(data.as_ref(), None);
    }

    /// Sends a datagram to `to`, as [`write`](Self::write) does.
    ///
    /// A host name is no address: [look it up](torsade_reactor::Reactor::resolve) first.
    ///
    /// # Examples
    /// ```
    /// use torsade::{prelude::*, wire::Discard};
    ///
    /// let reactor = Reactor::new()?;
    /// let transport = reactor.listen_udp("127.0.0.1:0", Discard)?;
    /// transport.write_to("hello", &Address::Udp("127.0.0.1:9".parse()?));
    /// assert_eq!(transport.dropped(), 0);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn write_to(&self, data: impl AsRef<[u8]>, to: &Address) {
        self.0.write(data.as_ref(), Some(to));
    }

    /// From now on receives from `peer` only, and is told when
    /// [nobody is there](crate::DatagramProtocol::connection_refused); [`write`](Self::write) sends to it.
    ///
    /// Nothing is sent by this, so it succeeds with nobody there. What waits to be received already may still be others'. Connected
    /// again, it changes its peer.
    ///
    /// # Errors
    /// `InvalidInput` if it is not an address of this kind of socket; otherwise as the system says: no route to it, or nobody at
    /// the name of a UNIX socket.
    pub fn connect(&self, peer: &Address) -> io::Result<()> {
        self.0.connect(peer)
    }

    /// Closes the socket: nothing more is received, and at the end of this turn
    /// [`stop_protocol`](crate::DatagramProtocol::stop_protocol) comes.
    ///
    /// What was written is sent. Called again it does nothing.
    #[doc(alias = "stopListening")]
    #[doc(alias = "loseConnection")]
    pub fn stop_listening(&self) {
        self.0.stop_listening();
    }

    /// How many datagrams were dropped instead of sent, since the beginning: see [`write`](Self::write).
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.0.dropped()
    }

    /// How many datagrams have lost their ends, since the beginning: they were longer than
    /// [`max_packet_size`](torsade_reactor::DatagramOptions::max_packet_size).
    #[must_use]
    pub fn truncated(&self) -> u64 {
        self.0.truncated()
    }
}

/// # UDP only
/// Broadcast and multicast. Each is as the system says, and `Unsupported` for UNIX datagrams.
impl DatagramTransport {
    /// Whether datagrams may be sent to broadcast addresses; false unless set.
    ///
    /// # Errors
    /// As the system says.
    #[doc(alias = "getBroadcastAllowed")]
    pub fn broadcast_allowed(&self) -> io::Result<bool> {
        self.udp(|socket| socket.broadcast())
    }

    /// Allows datagrams to broadcast addresses, such as 255.255.255.255, which everybody on the local network gets who listens on
    /// that port of all addresses; only IPv4 has them.
    ///
    /// # Errors
    /// As the system says.
    #[doc(alias = "setBroadcastAllowed")]
    pub fn set_broadcast_allowed(&self, on: bool) -> io::Result<()> {
        self.udp(|socket| socket.set_broadcast(on))
    }

    /// Receives what is sent to `group`, a multicast address, and this transport's port; to several groups, if it is called again.
    ///
    /// Listen on `0.0.0.0` or `[::]` for that. To send to a group one need not be a member.
    ///
    /// # Errors
    /// `InvalidInput` if it is not a multicast address, or not of this transport's IP version; otherwise as the system says: there is
    /// no such interface, or no route.
    #[doc(alias = "joinGroup")]
    #[doc(alias = "MulticastJoinError")]
    pub fn join_group(&self, group: IpAddr, interface: impl Into<MulticastInterface>) -> io::Result<()> {
        self.udp(|socket| socket.join_group(group, interface.into()))
    }

    /// Receives it no more.
    ///
    /// # Errors
    /// As of [`join_group`](Self::join_group); `AddrNotAvailable` if it is not a member.
    #[doc(alias = "leaveGroup")]
    pub fn leave_group(&self, group: IpAddr, interface: impl Into<MulticastInterface>) -> io::Result<()> {
        self.udp(|socket| socket.leave_group(group, interface.into()))
    }

    /// How many networks a datagram to a group may reach; 1 unless set.
    ///
    /// # Errors
    /// As the system says.
    #[doc(alias = "getTTL")]
    pub fn ttl(&self) -> io::Result<u32> {
        self.udp(|socket| socket.multicast_ttl())
    }

    /// Sets how many networks a datagram to a group may reach: 0 this host only, 1 the local one, at most 255. For IPv6 these are
    /// hops. Other datagrams are not concerned.
    ///
    /// # Errors
    /// `InvalidInput` above 255; otherwise as the system says.
    #[doc(alias = "setTTL")]
    pub fn set_ttl(&self, ttl: u32) -> io::Result<()> {
        self.udp(|socket| socket.set_multicast_ttl(ttl))
    }

    /// Whether this host's members of a group get what the transport sends to it; true unless set.
    ///
    /// # Errors
    /// As the system says.
    #[doc(alias = "getLoopbackMode")]
    pub fn loopback_mode(&self) -> io::Result<bool> {
        self.udp(|socket| socket.multicast_loopback())
    }

    /// Sets whether this host's members of a group get what the transport sends to it.
    ///
    /// # Errors
    /// As the system says.
    #[doc(alias = "setLoopbackMode")]
    pub fn set_loopback_mode(&self, on: bool) -> io::Result<()> {
        self.udp(|socket| socket.set_multicast_loopback(on))
    }

    /// The interface by which datagrams to groups leave; unless set, [the one that the system chooses](MulticastInterface::Any).
    ///
    /// # Errors
    /// As the system says.
    #[doc(alias = "getOutgoingInterface")]
    pub fn outgoing_interface(&self) -> io::Result<MulticastInterface> {
        self.udp(|socket| socket.multicast_interface())
    }

    /// Sets the interface by which datagrams to groups leave.
    ///
    /// # Errors
    /// `InvalidInput` for a number where IPv4 wants an address, or the other way round for IPv6; otherwise as the system says.
    #[doc(alias = "setOutgoingInterface")]
    pub fn set_outgoing_interface(&self, interface: impl Into<MulticastInterface>) -> io::Result<()> {
        self.udp(|socket| socket.set_multicast_interface(interface.into()))
    }

    fn udp<T>(&self, call: impl FnOnce(&dyn UdpOptions) -> io::Result<T>) -> io::Result<T> {
        let socket = self.0.socket().ok_or(io::ErrorKind::NotConnected)?;
        call(socket.udp().ok_or_else(|| io::Error::new(io::ErrorKind::Unsupported, "only UDP has this"))?)
    }
}

impl fmt::Debug for DatagramTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DatagramTransport").field("host", &self.host()).field("peer", &self.peer()).finish_non_exhaustive()
    }
}
