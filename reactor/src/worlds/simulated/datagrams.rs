//! A simulated datagram socket, as its program sees it.

use std::io::{self, ErrorKind};
use std::net::IpAddr;
use std::rc::Rc;

use crate::address::Address;
use crate::backend::{DatagramOptions, Datagrams, MulticastInterface, Token, UdpOptions};

use super::datagram_traffic::{DatagramSocket, UdpState};
use super::world::World;

pub(super) struct SimulatedDatagrams {
    world: Rc<World>,
    id: u64,
}

impl SimulatedDatagrams {
    pub(super) fn bind(world: &Rc<World>, host: usize, address: &Address, options: DatagramOptions) -> io::Result<Self> {
        let id = world.network.borrow_mut().bind_datagram(host, address, options)?;
        Ok(Self { world: Rc::clone(world), id })
    }

    /// The socket in the network; it exists until this is dropped or the program is ended.
    fn with_socket<T>(&self, look: impl FnOnce(&mut DatagramSocket) -> T) -> io::Result<T> {
        Ok(look(self.world.network.borrow_mut().datagrams.get_mut(&self.id).ok_or(ErrorKind::NotConnected)?))
    }

    fn with_options<T>(&self, look: impl FnOnce(&mut UdpState) -> T) -> io::Result<T> {
        self.with_socket(|socket| look(&mut socket.options))
    }
}

impl Drop for SimulatedDatagrams {
    fn drop(&mut self) {
        self.world.network.borrow_mut().close_datagrams(self.id);
    }
}

impl Datagrams for SimulatedDatagrams {
    fn register(&mut self, token: Token) -> io::Result<()> {
        self.with_socket(|socket| socket.token = Some(token))?;
        self.world.network.borrow_mut().wake_datagrams(self.id);
        Ok(())
    }

    fn receive(&self, buffer: &mut [u8]) -> io::Result<(usize, Address)> {
        self.world.network.borrow_mut().receive_datagram(self.id, buffer)
    }

    fn send_to(&self, data: &[u8], to: &Address) -> io::Result<()> {
        self.world.network.borrow_mut().send_datagram_to(self.id, data, to)
    }

    fn send(&self, data: &[u8]) -> io::Result<()> {
        self.world.network.borrow_mut().send_datagram(self.id, data)
    }

    fn connect(&self, peer: &Address) -> io::Result<()> {
        self.world.network.borrow_mut().connect_datagram(self.id, peer)
    }

    fn peer_address(&self) -> Option<Address> {
        self.with_socket(|socket| socket.peer.clone()).ok()?
    }

    fn local_address(&self) -> io::Result<Address> {
        self.with_socket(|socket| socket.local.clone())
    }

    fn udp(&self) -> Option<&dyn UdpOptions> {
        matches!(self.local_address(), Ok(Address::Udp(_))).then_some(self as &dyn UdpOptions)
    }
}

impl UdpOptions for SimulatedDatagrams {
    fn broadcast(&self) -> io::Result<bool> {
        self.with_options(|options| options.broadcast)
    }

    fn set_broadcast(&self, on: bool) -> io::Result<()> {
        self.with_options(|options| options.broadcast = on)
    }

    fn join_group(&self, group: IpAddr, _interface: MulticastInterface) -> io::Result<()> {
        let of_this_kind = self.local_address()?.ip().is_some_and(|own| own.is_ipv6() == group.is_ipv6());
        if !group.is_multicast() || !of_this_kind {
            return Err(io::Error::new(ErrorKind::InvalidInput, format!("{group} is not a group that this socket can join")));
        }
        let joined = self.with_options(|options| options.groups.insert(group))?;
        if joined { Ok(()) } else { Err(ErrorKind::AddrInUse.into()) }
    }

    fn leave_group(&self, group: IpAddr, _interface: MulticastInterface) -> io::Result<()> {
        let left = self.with_options(|options| options.groups.remove(&group))?;
        if left { Ok(()) } else { Err(ErrorKind::AddrNotAvailable.into()) }
    }

    fn multicast_ttl(&self) -> io::Result<u32> {
        self.with_options(|options| options.ttl)
    }

    fn set_multicast_ttl(&self, ttl: u32) -> io::Result<()> {
        if ttl > 255 {
            return Err(io::Error::new(ErrorKind::InvalidInput, "a TTL is a number from 0 to 255"));
        }
        self.with_options(|options| options.ttl = ttl)
    }

    fn multicast_loopback(&self) -> io::Result<bool> {
        self.with_options(|options| options.loopback)
    }

    fn set_multicast_loopback(&self, on: bool) -> io::Result<()> {
        self.with_options(|options| options.loopback = on)
    }

    fn multicast_interface(&self) -> io::Result<MulticastInterface> {
        self.with_options(|options| options.interface)
    }

    fn set_multicast_interface(&self, interface: MulticastInterface) -> io::Result<()> {
        self.with_options(|options| options.interface = interface)
    }
}
