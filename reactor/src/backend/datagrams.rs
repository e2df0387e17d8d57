//! A socket of datagrams.

use std::io;
use std::net::{IpAddr, Ipv4Addr};

use crate::address::Address;

use super::readiness::Token;

/// How to open a socket of datagrams.
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
    /// The longest datagram that is received whole, in bytes; 8,192 unless set, and 1 MiB at most. A longer one is cut, and that is
    /// told. So many bytes are kept for each socket.
    #[doc(alias = "maxPacketSize")]
    pub max_packet_size: usize,
    /// Whether other sockets may have the same UDP address, if they say so too; off unless set. All of them get what is sent to a
    /// multicast group or by broadcast; of other datagrams each goes to one of them.
    #[doc(alias = "listenMultiple")]
    pub listen_multiple: bool,
    /// As in [`ListenOptions`](crate::ListenOptions), of the path of a UNIX socket; true unless set.
    pub lock: bool,
    /// As in [`ListenOptions`](crate::ListenOptions), of the file of a UNIX socket: who may write to it may send to it; `0o666` unless
    /// set.
    pub mode: u32,
}

impl Default for DatagramOptions {
    fn default() -> Self {
        Self { max_packet_size: 8192, listen_multiple: false, lock: true, mode: 0o666 }
    }
}

/// A non-blocking socket of datagrams.
pub trait Datagrams {
    /// Has it reported under `token` that there is something to receive.
    ///
    /// # Errors
    /// As the system says.
    fn register(&mut self, token: Token) -> io::Result<()>;

    /// Takes the next datagram, and says its length and where it comes from. One that is longer than `buffer` is cut, and fills it:
    /// whoever has to know gives a buffer that is a byte longer than what may come.
    ///
    /// # Errors
    /// `WouldBlock` when there is none, and the readiness is used up then; `ConnectionRefused` or `ConnectionReset` when nobody is
    /// there where an earlier one was sent; otherwise as the system says. Only after `WouldBlock` is there nothing more to receive.
    fn receive(&self, buffer: &mut [u8]) -> io::Result<(usize, Address)>;

    /// Sends a datagram to `to`.
    ///
    /// # Errors
    /// `WouldBlock` when there is no room; `FileTooLarge` when it is longer than a datagram can be; `InvalidInput` when `to` is not
    /// an address of this kind of socket; otherwise as the system says.
    fn send_to(&self, data: &[u8], to: &Address) -> io::Result<()>;

    /// Sends a datagram to where the socket is [connected](Self::connect).
    ///
    /// # Errors
    /// As [`send_to`](Self::send_to); `ConnectionRefused` when nobody was there for an earlier one, and this one is not sent.
    fn send(&self, data: &[u8]) -> io::Result<()>;

    /// Receives from `peer` only, and sends to it unless told otherwise.
    ///
    /// # Errors
    /// As [`send_to`](Self::send_to).
    fn connect(&self, peer: &Address) -> io::Result<()>;

    /// Where it is connected to; none if it is not.
    fn peer_address(&self) -> Option<Address>;

    /// The address on our side.
    ///
    /// # Errors
    /// As the system says.
    fn local_address(&self) -> io::Result<Address>;

    /// What can be set for UDP only; none if it is something else.
    fn udp(&self) -> Option<&dyn UdpOptions>;
}

/// Which interface of this host a multicast group is joined on, or sent to.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum MulticastInterface {
    /// The one that the system chooses.
    #[default]
    Any,
    /// The one with this address; for IPv4.
    Address(Ipv4Addr),
    /// The one with this number; for IPv6.
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
    /// Whether it may send to broadcast addresses.
    ///
    /// # Errors
    /// As the system says.
    fn broadcast(&self) -> io::Result<bool>;

    /// Sets [`UdpOptions::broadcast`].
    ///
    /// # Errors
    /// As the system says.
    fn set_broadcast(&self, on: bool) -> io::Result<()>;

    /// Receives what is sent to `group`.
    ///
    /// # Errors
    /// `InvalidInput` if it is not a multicast address, or not of the socket's family; otherwise as the system says.
    fn join_group(&self, group: IpAddr, interface: MulticastInterface) -> io::Result<()>;

    /// Receives it no more.
    ///
    /// # Errors
    /// As [`join_group`](Self::join_group); `AddrNotAvailable` if it is not a member.
    fn leave_group(&self, group: IpAddr, interface: MulticastInterface) -> io::Result<()>;

    /// How many networks a datagram to a group may reach: 1 is the local one, 0 this host.
    ///
    /// # Errors
    /// As the system says.
    fn multicast_ttl(&self) -> io::Result<u32>;

    /// Sets [`UdpOptions::multicast_ttl`].
    ///
    /// # Errors
    /// `InvalidInput` above 255; otherwise as the system says.
    fn set_multicast_ttl(&self, ttl: u32) -> io::Result<()>;

    /// Whether members on this host get what it sends to a group.
    ///
    /// # Errors
    /// As the system says.
    fn multicast_loopback(&self) -> io::Result<bool>;

    /// Sets [`UdpOptions::multicast_loopback`].
    ///
    /// # Errors
    /// As the system says.
    fn set_multicast_loopback(&self, on: bool) -> io::Result<()>;

    /// The interface that datagrams to groups leave by.
    ///
    /// # Errors
    /// As the system says.
    fn multicast_interface(&self) -> io::Result<MulticastInterface>;

    /// Sets [`UdpOptions::multicast_interface`].
    ///
    /// # Errors
    /// `InvalidInput` if it is not given as the socket's family wants it; otherwise as the system says.
    fn set_multicast_interface(&self, interface: MulticastInterface) -> io::Result<()>;
}
