//! Datagram sockets.

use std::io;
use std::net::{IpAddr, Ipv4Addr};

use crate::address::Address;

use super::readiness::Token;

/// Options of a datagram socket.
///
/// # Examples
/// ```
/// use torsade::DatagramOptions;
///
/// let options = DatagramOptions { max_packet_size: 65_535, ..DatagramOptions::default() };
/// assert!(!options.listen_multiple);
/// ```
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "made with the update syntax")]
pub struct DatagramOptions {
    /// The longest datagram that is received whole, in bytes; default 8,192, at most 1 MiB. A longer one is truncated and
    /// reported. Each socket has a buffer of this size.
    #[doc(alias = "maxPacketSize")]
    pub max_packet_size: usize,
    /// Whether other sockets may share the UDP address, if they set this too; default false. All of them receive multicast and
    /// broadcast datagrams; any other datagram goes to one of them.
    #[doc(alias = "listenMultiple")]
    pub listen_multiple: bool,
    /// As in [`ListenOptions`](crate::ListenOptions), for the path of a UNIX socket; default true.
    pub lock: bool,
    /// As in [`ListenOptions`](crate::ListenOptions), for the file of a UNIX socket: write permission allows sending to it.
    /// Default `0o666`.
    pub mode: u32,
}

impl Default for DatagramOptions {
    fn default() -> Self {
        Self { max_packet_size: 8192, listen_multiple: false, lock: true, mode: 0o666 }
    }
}

/// A non-blocking datagram socket.
pub trait Datagrams {
    /// Makes [`Backend::poll`](super::Backend::poll) report under `token` when there is something to receive.
    ///
    /// # Errors
    /// Any system error.
    fn register(&mut self, token: Token) -> io::Result<()>;

    /// Receives the next datagram. Returns its length and sender. A datagram longer than `buffer` is truncated and fills it, so
    /// to detect truncation pass a buffer one byte longer than the longest expected datagram.
    ///
    /// # Errors
    /// `WouldBlock` if there is none, which uses up the readiness; `ConnectionRefused` or `ConnectionReset` if nothing receives
    /// at the address of an earlier datagram; otherwise any system error. Only after `WouldBlock` is there nothing more to
    /// receive.
    fn receive(&self, buffer: &mut [u8]) -> io::Result<(usize, Address)>;

    /// Sends a datagram to `to`.
    ///
    /// # Errors
    /// `WouldBlock` if there is no room; `FileTooLarge` if it is longer than a datagram can be; `InvalidInput` if `to` does not
    /// fit this kind of socket; otherwise any system error.
    fn send_to(&self, data: &[u8], to: &Address) -> io::Result<()>;

    /// Sends a datagram to the [connected](Self::connect) peer.
    ///
    /// # Errors
    /// See [`send_to`](Self::send_to); `ConnectionRefused` if nothing received an earlier one, and this one is not sent.
    fn send(&self, data: &[u8]) -> io::Result<()>;

    /// Connects to `peer`: receives from it only, and sends to it by default.
    ///
    /// # Errors
    /// See [`send_to`](Self::send_to).
    fn connect(&self, peer: &Address) -> io::Result<()>;

    /// The connected peer, if any.
    fn peer_address(&self) -> Option<Address>;

    /// The local address.
    ///
    /// # Errors
    /// Any system error.
    fn local_address(&self) -> io::Result<Address>;

    /// Options of UDP sockets; `None` for other sockets.
    fn udp(&self) -> Option<&dyn UdpOptions>;
}

/// The network interface on which a multicast group is joined, or to which it is sent.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum MulticastInterface {
    /// Chosen by the system.
    #[default]
    Any,
    /// The interface with this address; for IPv4.
    Address(Ipv4Addr),
    /// The interface with this index; for IPv6.
    Index(u32),
}

impl From<Ipv4Addr> for MulticastInterface {
    fn from(address: Ipv4Addr) -> Self {
        Self::Address(address)
    }
}

impl From<u32> for MulticastInterface {
    fn from(index: u32) -> Self {
        Self::Index(index)
    }
}

/// The options of a UDP socket.
pub trait UdpOptions {
    /// Returns whether it may send to broadcast addresses.
    ///
    /// # Errors
    /// Any system error.
    fn broadcast(&self) -> io::Result<bool>;

    /// Sets [`UdpOptions::broadcast`].
    ///
    /// # Errors
    /// Any system error.
    fn set_broadcast(&self, on: bool) -> io::Result<()>;

    /// Receives what is sent to `group`.
    ///
    /// # Errors
    /// `InvalidInput` if it is not a multicast address, or not of the socket's family; otherwise any system error.
    fn join_group(&self, group: IpAddr, interface: MulticastInterface) -> io::Result<()>;

    /// Leaves `group`.
    ///
    /// # Errors
    /// See [`join_group`](Self::join_group); `AddrNotAvailable` if it is not a member.
    fn leave_group(&self, group: IpAddr, interface: MulticastInterface) -> io::Result<()>;

    /// The number of networks a datagram to a group may cross: 0 this host only, 1 the local network.
    ///
    /// # Errors
    /// Any system error.
    fn multicast_ttl(&self) -> io::Result<u32>;

    /// Sets [`UdpOptions::multicast_ttl`].
    ///
    /// # Errors
    /// `InvalidInput` above 255; otherwise any system error.
    fn set_multicast_ttl(&self, ttl: u32) -> io::Result<()>;

    /// Returns whether members of a group on this host receive what is sent from this socket.
    ///
    /// # Errors
    /// Any system error.
    fn multicast_loopback(&self) -> io::Result<bool>;

    /// Sets [`UdpOptions::multicast_loopback`].
    ///
    /// # Errors
    /// Any system error.
    fn set_multicast_loopback(&self, on: bool) -> io::Result<()>;

    /// The interface from which datagrams to groups leave.
    ///
    /// # Errors
    /// Any system error.
    fn multicast_interface(&self) -> io::Result<MulticastInterface>;

    /// Sets [`UdpOptions::multicast_interface`].
    ///
    /// # Errors
    /// `InvalidInput` if it is not in the form for the socket's family; otherwise any system error.
    fn set_multicast_interface(&self, interface: MulticastInterface) -> io::Result<()>;
}
