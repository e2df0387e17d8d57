//! UDP sockets of the system.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::rc::Rc;

use mio::Interest;
use socket2::{Domain, Protocol, SockRef, Socket, Type};

use super::Registry;
use crate::address::Address;
use crate::backend::{DatagramOptions, Datagrams, MulticastInterface, Token, UdpOptions};

pub(super) struct OsUdp {
    socket: mio::net::UdpSocket,
    is_ipv6: bool,
    registry: Rc<Registry>,
}

impl OsUdp {
    pub(super) fn bind(address: SocketAddr, options: DatagramOptions, registry: Rc<Registry>) -> io::Result<Self> {
        let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
        if options.listen_multiple {
            socket.set_reuse_address(true)?;
            #[cfg(unix)]
            socket.set_reuse_port(true)?;
        }
        // By default Linux delivers what is sent to any group that some other socket of this host has joined.
        #[cfg(target_os = "linux")]
        if address.is_ipv4() {
            socket.set_multicast_all_v4(false)?;
        } else {
            // Before Linux 4.20 this cannot be changed.
            socket.set_multicast_all_v6(false).ok();
        }
        socket.bind(&address.into())?;
        Self::adopt(socket.into(), registry)
    }

    pub(super) fn adopt(socket: UdpSocket, registry: Rc<Registry>) -> io::Result<Self> {
        socket.set_nonblocking(true)?;
        let is_ipv6 = socket.local_addr()?.is_ipv6();
        Ok(Self { socket: mio::net::UdpSocket::from_std(socket), is_ipv6, registry })
    }

    /// The address, if it is of this socket's family.
    fn target(&self, address: &Address) -> io::Result<SocketAddr> {
        match address {
            Address::Udp(address) if address.is_ipv6() == self.is_ipv6 => Ok(*address),
            _ => Err(io::ErrorKind::InvalidInput.into()),
        }
    }
}

impl Drop for OsUdp {
    /// Deregisters the socket, because the poll forgets it by itself only if nothing else holds the same socket.
    fn drop(&mut self) {
        if !self.registry.is_forked() {
            // This fails only if it was never registered.
            self.registry.deregister(&mut self.socket).ok();
        }
    }
}

impl Datagrams for OsUdp {
    fn register(&mut self, token: Token) -> io::Result<()> {
        self.registry.register(&mut self.socket, mio::Token(token.to_usize()), Interest::READABLE)
    }

    fn receive(&self, buffer: &mut [u8]) -> io::Result<(usize, Address)> {
        match self.socket.recv_from(buffer) {
            Ok((length, from)) => Ok((length, Address::Udp(from))),
            // Windows reports truncation as an error, without the sender.
            Err(error) if is_too_long(&error) => Ok((buffer.len(), Address::Unnamed)),
            Err(error) => Err(error),
        }
    }

    fn send_to(&self, data: &[u8], to: &Address) -> io::Result<()> {
        self.socket.send_to(data, self.target(to)?).map(drop).map_err(classify)
    }

    fn send(&self, data: &[u8]) -> io::Result<()> {
        self.socket.send(data).map(drop).map_err(classify)
    }

    fn connect(&self, peer: &Address) -> io::Result<()> {
        self.socket.connect(self.target(peer)?)
    }

    fn peer_address(&self) -> Option<Address> {
        self.socket.peer_addr().ok().map(Address::Udp)
    }

    fn local_address(&self) -> io::Result<Address> {
        self.socket.local_addr().map(Address::Udp)
    }

    fn udp(&self) -> Option<&dyn UdpOptions> {
        Some(self)
    }
}

impl UdpOptions for OsUdp {
    fn broadcast(&self) -> io::Result<bool> {
        self.socket.broadcast()
    }

    fn set_broadcast(&self, on: bool) -> io::Result<()> {
        self.socket.set_broadcast(on)
    }

    fn join_group(&self, group: IpAddr, interface: MulticastInterface) -> io::Result<()> {
        match self.group(group, interface)? {
            Group::V4(group, interface) => self.socket.join_multicast_v4(&group, &interface),
            Group::V6(group, interface) => self.socket.join_multicast_v6(&group, interface),
        }
    }

    fn leave_group(&self, group: IpAddr, interface: MulticastInterface) -> io::Result<()> {
        match self.group(group, interface)? {
            Group::V4(group, interface) => self.socket.leave_multicast_v4(&group, &interface),
            Group::V6(group, interface) => self.socket.leave_multicast_v6(&group, interface),
        }
    }

    fn multicast_ttl(&self) -> io::Result<u32> {
        let socket = SockRef::from(&self.socket);
        if self.is_ipv6 { socket.multicast_hops_v6() } else { socket.multicast_ttl_v4() }
    }

    fn set_multicast_ttl(&self, ttl: u32) -> io::Result<()> {
        if ttl > 255 {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "a TTL is a number from 0 to 255"));
        }
        let socket = SockRef::from(&self.socket);
        if self.is_ipv6 { socket.set_multicast_hops_v6(ttl) } else { socket.set_multicast_ttl_v4(ttl) }
    }

    fn multicast_loopback(&self) -> io::Result<bool> {
        let socket = SockRef::from(&self.socket);
        if self.is_ipv6 { socket.multicast_loop_v6() } else { socket.multicast_loop_v4() }
    }

    fn set_multicast_loopback(&self, on: bool) -> io::Result<()> {
        let socket = SockRef::from(&self.socket);
        if self.is_ipv6 { socket.set_multicast_loop_v6(on) } else { socket.set_multicast_loop_v4(on) }
    }

    fn multicast_interface(&self) -> io::Result<MulticastInterface> {
        let socket = SockRef::from(&self.socket);
        if self.is_ipv6 {
            Ok(Some(socket.multicast_if_v6()?).filter(|index| *index != 0).map_or(MulticastInterface::Any, Into::into))
        } else {
            let address = socket.multicast_if_v4()?;
            Ok(if address.is_unspecified() { MulticastInterface::Any } else { address.into() })
        }
    }

    fn set_multicast_interface(&self, interface: MulticastInterface) -> io::Result<()> {
        let socket = SockRef::from(&self.socket);
        if self.is_ipv6 {
            socket.set_multicast_if_v6(index(interface)?)
        } else {
            socket.set_multicast_if_v4(&address(interface)?)
        }
    }
}

/// A group and an interface in the form for the socket's family.
enum Group {
    V4(Ipv4Addr, Ipv4Addr),
    V6(Ipv6Addr, u32),
}

impl OsUdp {
    fn group(&self, group: IpAddr, interface: MulticastInterface) -> io::Result<Group> {
        match group {
            IpAddr::V4(group) if group.is_multicast() && !self.is_ipv6 => Ok(Group::V4(group, address(interface)?)),
            IpAddr::V6(group) if group.is_multicast() && self.is_ipv6 => Ok(Group::V6(group, index(interface)?)),
            _ if !group.is_multicast() => {
                Err(io::Error::new(io::ErrorKind::InvalidInput, format!("{group} is not a multicast address")))
            }
            _ => {
                let text = format!("{group} is a group of the other IP version: bind the socket to 0.0.0.0 or [::]");
                Err(io::Error::new(io::ErrorKind::InvalidInput, text))
            }
        }
    }
}

fn address(interface: MulticastInterface) -> io::Result<Ipv4Addr> {
    match interface {
        MulticastInterface::Any => Ok(Ipv4Addr::UNSPECIFIED),
        MulticastInterface::Address(address) => Ok(address),
        MulticastInterface::Index(_) => {
            Err(io::Error::new(io::ErrorKind::InvalidInput, "for IPv4 an interface is given by its address"))
        }
    }
}

fn index(interface: MulticastInterface) -> io::Result<u32> {
    match interface {
        MulticastInterface::Any => Ok(0),
        MulticastInterface::Index(index) => Ok(index),
        MulticastInterface::Address(_) => {
            Err(io::Error::new(io::ErrorKind::InvalidInput, "for IPv6 an interface is given by its number"))
        }
    }
}

#[cfg(unix)]
const TOO_LONG: i32 = libc::EMSGSIZE;
/// WSAEMSGSIZE.
#[cfg(not(unix))]
const TOO_LONG: i32 = 10040;

/// The interface's queue is full, which also means that there is no room.
#[cfg(unix)]
const NO_BUFFERS: i32 = libc::ENOBUFS;
/// WSAENOBUFS.
#[cfg(not(unix))]
const NO_BUFFERS: i32 = 10055;

fn is_too_long(error: &io::Error) -> bool {
    error.raw_os_error() == Some(TOO_LONG)
}

/// Maps an error of send(2) to the kinds promised by [`Datagrams::send_to`].
pub(super) fn classify(error: io::Error) -> io::Error {
    match error.raw_os_error() {
        Some(TOO_LONG) => io::Error::new(io::ErrorKind::FileTooLarge, error),
        Some(NO_BUFFERS) => io::Error::new(io::ErrorKind::WouldBlock, error),
        _ => error,
    }
}
