//! The handle of a datagram socket.

use std::fmt;
use std::io;
use std::net::IpAddr;
use std::rc::Rc;

use torsade_reactor::spi::{Datagrams, UdpOptions};
use torsade_reactor::{MulticastInterface, Reactor};

use crate::address::Address;

/// What a [`DatagramTransport`] is a handle to. Each method implements the one of the same name there.
///
/// No method calls a callback.
pub trait DatagramEnd {
    /// The reactor it belongs to.
    fn reactor(&self) -> &Reactor;

    /// The local address; after closing, the last one.
    fn host(&self) -> Address;

    /// The address it is connected to.
    fn peer(&self) -> Option<Address>;

    /// Sends `data` to `to`; `None` sends to the address it is connected to.
    fn write(&self, data: &[u8], to: Option<&Address>);

    /// Restricts sending and receiving to `peer`.
    ///
    /// # Errors
    /// See [`DatagramTransport::connect`].
    fn connect(&self, peer: &Address) -> io::Result<()>;

    /// Closes it.
    fn stop_listening(&self);

    /// The number of datagrams dropped instead of sent.
    fn dropped(&self) -> u64;

    /// The number of datagrams truncated on receipt.
    fn truncated(&self) -> u64;

    /// The socket, until it is closed.
    fn socket(&self) -> Option<Rc<dyn Datagrams>>;
}

/// A datagram socket; a cheap handle.
///
/// `listen_udp` and `listen_unix_datagram` return it, and every callback gets it. No method calls a callback before it returns,
/// so a `RefCell` may stay borrowed across all of them. Dropping the handle has no effect: the socket stays open until
/// [`stop_listening`](Self::stop_listening) or until the reactor stops. Once it is closed, writing does nothing, and fallible
/// methods return `NotConnected`.
#[derive(Clone)]
#[doc(alias = "IUDPTransport")]
#[doc(alias = "IMulticastTransport")]
#[doc(alias = "IUNIXDatagramTransport")]
pub struct DatagramTransport(Rc<dyn DatagramEnd>); // not `Send`: give other threads `transport.reactor().handle()`

impl DatagramTransport {
    /// Wraps an implementation.
    #[must_use]
    pub fn new(end: Rc<dyn DatagramEnd>) -> Self {
        Self(end)
    }

    /// The reactor it belongs to.
    #[must_use]
    pub fn reactor(&self) -> &Reactor {
        self.0.reactor()
    }

    /// The local address, with the port the system chose if 0 was requested.
    #[doc(alias = "getHost")]
    #[must_use]
    pub fn host(&self) -> Address {
        self.0.host()
    }

    /// The address it is [connected](Self::connect) to, if any.
    #[must_use]
    pub fn peer(&self) -> Option<Address> {
        self.0.peer()
    }

    /// Sends a datagram to the address the transport is [connected](Self::connect) to.
    ///
    /// The datagram leaves at once, in one piece, or is dropped: when there is no room in the system's buffer, when it is longer
    /// than a datagram can be (65,507 bytes over IPv4), or when the system refuses. Drops are [counted](Self::dropped), and
    /// [`write_dropped`](crate::DatagramProtocol::write_dropped) says why; the first drop of a transport is also reported. A
    /// datagram that was sent may still be lost on the way.
    pub fn write(&self, data: impl AsRef<[u8]>) {
        self.0.write(data.as_ref(), None);
    }

    /// Sends a datagram to `to`, as [`write`](Self::write) does.
    ///
    /// A host name has to be [resolved](torsade_reactor::Reactor::resolve) first.
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

    /// Connects to `peer`: from now on only its datagrams are received, [`write`](Self::write) sends to it, and
    /// [`connection_refused`](crate::DatagramProtocol::connection_refused) says when nothing receives there.
    ///
    /// This sends nothing, so it succeeds even if nothing receives at `peer`. Datagrams that already wait to be received may
    /// still be from others. Calling it again changes the peer.
    ///
    /// # Errors
    /// `InvalidInput` if the address does not fit this kind of socket; otherwise any system error, such as no route, or no
    /// socket at a UNIX address.
    pub fn connect(&self, peer: &Address) -> io::Result<()> {
        self.0.connect(peer)
    }

    /// Closes the socket: nothing more is received, and [`stop_protocol`](crate::DatagramProtocol::stop_protocol) is called at
    /// the end of this turn.
    ///
    /// What was written before is sent. Calling it again does nothing.
    #[doc(alias = "stopListening")]
    #[doc(alias = "loseConnection")]
    pub fn stop_listening(&self) {
        self.0.stop_listening();
    }

    /// The total number of datagrams dropped instead of sent: see [`write`](Self::write).
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.0.dropped()
    }

    /// The total number of received datagrams that were truncated because they were longer than
    /// [`max_packet_size`](torsade_reactor::DatagramOptions::max_packet_size).
    #[must_use]
    pub fn truncated(&self) -> u64 {
        self.0.truncated()
    }
}

/// # UDP only
/// Broadcast and multicast. The methods return the system's errors, and `Unsupported` for UNIX datagrams.
impl DatagramTransport {
    /// Returns whether datagrams may be sent to broadcast addresses; default false.
    ///
    /// # Errors
    /// Any system error.
    #[doc(alias = "getBroadcastAllowed")]
    pub fn broadcast_allowed(&self) -> io::Result<bool> {
        self.udp(|socket| socket.broadcast())
    }

    /// Sets whether datagrams may be sent to broadcast addresses such as 255.255.255.255. Every host on the local network that
    /// listens on the port at all addresses receives them. IPv4 only.
    ///
    /// # Errors
    /// Any system error.
    #[doc(alias = "setBroadcastAllowed")]
    pub fn set_broadcast_allowed(&self, on: bool) -> io::Result<()> {
        self.udp(|socket| socket.set_broadcast(on))
    }

    /// Joins `group`, a multicast address: receives what is sent to it on this transport's port. May be called for several
    /// groups.
    ///
    /// The transport has to listen on `0.0.0.0` or `[::]`. Sending to a group does not require membership.
    ///
    /// # Errors
    /// `InvalidInput` if it is not a multicast address, or of another IP version than the transport; otherwise any system error
    /// error, such as no such interface or no route.
    #[doc(alias = "joinGroup")]
    #[doc(alias = "MulticastJoinError")]
    pub fn join_group(&self, group: IpAddr, interface: impl Into<MulticastInterface>) -> io::Result<()> {
        self.udp(|socket| socket.join_group(group, interface.into()))
    }

    /// Leaves `group`.
    ///
    /// # Errors
    /// See [`join_group`](Self::join_group); `AddrNotAvailable` if the transport is not a member.
    #[doc(alias = "leaveGroup")]
    pub fn leave_group(&self, group: IpAddr, interface: impl Into<MulticastInterface>) -> io::Result<()> {
        self.udp(|socket| socket.leave_group(group, interface.into()))
    }

    /// The number of networks a datagram to a group may cross; default 1.
    ///
    /// # Errors
    /// Any system error.
    #[doc(alias = "getTTL")]
    pub fn ttl(&self) -> io::Result<u32> {
        self.udp(|socket| socket.multicast_ttl())
    }

    /// Sets the number of networks (for IPv6, hops) a datagram to a group may cross: 0 this host only, 1 the local network, at
    /// most
    /// 255. Other datagrams are not affected.
    ///
    /// # Errors
    /// `InvalidInput` above 255; otherwise any system error.
    #[doc(alias = "setTTL")]
    pub fn set_ttl(&self, ttl: u32) -> io::Result<()> {
        self.udp(|socket| socket.set_multicast_ttl(ttl))
    }

    /// Returns whether members of a group on this host receive what this transport sends to it; default true.
    ///
    /// # Errors
    /// Any system error.
    #[doc(alias = "getLoopbackMode")]
    pub fn loopback_mode(&self) -> io::Result<bool> {
        self.udp(|socket| socket.multicast_loopback())
    }

    /// Sets whether members of a group on this host receive what this transport sends to it.
    ///
    /// # Errors
    /// Any system error.
    #[doc(alias = "setLoopbackMode")]
    pub fn set_loopback_mode(&self, on: bool) -> io::Result<()> {
        self.udp(|socket| socket.set_multicast_loopback(on))
    }

    /// The interface from which datagrams to groups leave; default [chosen by the system](MulticastInterface::Any).
    ///
    /// # Errors
    /// Any system error.
    #[doc(alias = "getOutgoingInterface")]
    pub fn outgoing_interface(&self) -> io::Result<MulticastInterface> {
        self.udp(|socket| socket.multicast_interface())
    }

    /// Sets the interface from which datagrams to groups leave.
    ///
    /// # Errors
    /// `InvalidInput` for an index where IPv4 needs an address, or an address where IPv6 needs an index; otherwise any system
    /// error.
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
