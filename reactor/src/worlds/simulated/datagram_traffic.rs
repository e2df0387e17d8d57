//! Datagrams in the network: their receivers, and what happens to them in transit.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io::{self, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::rc::Rc;
use std::time::Duration;

use crate::address::{Address, UnixName};
use crate::backend::{DatagramOptions, ListenOptions, MulticastInterface, Ready, Token};
use crate::event_log::fingerprint;

use super::local::LOCAL_LATENCY;
use super::network::{Network, SocketId, reachable, takes};
use super::queue::Happening;
use super::traffic::{GAP, time_for};

/// The overhead of a UDP datagram, over IPv4.
const HEADER: usize = 28;
/// What a datagram takes of a receive buffer besides its bytes, about as on Linux: even empty ones cost something.
const OVERHEAD: usize = 512;
/// The longest UDP datagram, over both IPv4 and IPv6.
const LONGEST: usize = 65_507;
const LONGEST_IPV6: usize = 65_527;

/// A datagram socket, as Linux represents it.
pub(super) struct DatagramSocket {
    /// Its program and its machine.
    pub(super) program: usize,
    host: usize,
    pub(super) local: Address,
    pub(super) peer: Option<Address>,
    /// The socket to which a UNIX socket is connected.
    peer_socket: Option<u64>,
    pub(super) token: Option<Token>,
    pub(super) queued: bool,
    /// Whether its readiness is reported again only after `WouldBlock`.
    without_edges: bool,
    reported: bool,
    shared: bool,
    received: VecDeque<(Rc<[u8]>, Address)>,
    /// Bytes in `received`; for a UNIX socket including those in transit.
    held: usize,
    receive_limit: usize,
    send_limit: usize,
    error: Option<ErrorKind>,
    /// When its last datagram will have left.
    line_free: Duration,
    /// For each host, when the last datagram arrives that was not reordered.
    arrivals: BTreeMap<usize, Duration>,
    pub(super) options: UdpState,
}

pub(super) struct UdpState {
    pub(super) groups: BTreeSet<IpAddr>,
    pub(super) broadcast: bool,
    pub(super) ttl: u32,
    pub(super) loopback: bool,
    pub(super) interface: MulticastInterface,
}

impl DatagramSocket {
    pub(super) fn readiness(&mut self) -> Ready {
        let mut ready = Ready::NONE;
        if !self.received.is_empty() {
            ready |= Ready::READABLE;
        }
        if self.error.is_some() {
            ready |= Ready::ERROR;
        }
        if self.without_edges && ready != Ready::NONE && std::mem::replace(&mut self.reported, true) {
            Ready::NONE
        } else {
            ready
        }
    }

    /// Returns whether it receives a datagram from `from` to `to`, apart from multicast and broadcast.
    fn gets(&self, from: SocketAddr, to: SocketAddr) -> bool {
        let Address::Udp(local) = self.local else { return false };
        let ours = local.port() == to.port() && takes(local.ip().to_canonical(), to.ip());
        ours && self.udp_peer().is_none_or(|peer| peer == from)
    }

    /// The address it is connected to, in canonical form.
    fn udp_peer(&self) -> Option<SocketAddr> {
        if let Some(Address::Udp(peer)) = self.peer { Some(canonical(peer)) } else { None }
    }

    fn has_room(&self) -> bool {
        self.held < self.receive_limit
    }
}

pub(super) struct Flight {
    data: Rc<[u8]>,
    way: Way,
}

enum Way {
    /// Into the buffer of a UNIX socket, where its space is reserved.
    Local { from: Address, to: u64 },
    /// Over the network to a host.
    Network { sender: u64, hosts: (usize, usize), from: SocketAddr, to: SocketAddr },
}

/// Returns whether an address is a multicast or broadcast one.
fn is_for_many(ip: IpAddr) -> bool {
    ip.is_multicast() || ip == Ipv4Addr::BROADCAST
}

/// The canonical form of an address in transit: the wildcard becomes loopback, and IPv4-mapped addresses become IPv4.
fn canonical(address: SocketAddr) -> SocketAddr {
    let ip = address.ip();
    let ip = if ip.is_unspecified() { reachable(ip) } else { ip.to_canonical() };
    SocketAddr::new(ip, address.port())
}

/// The address in the family of a socket at `local`: IPv4 is mapped for IPv6.
fn for_family(address: SocketAddr, local: SocketAddr) -> SocketAddr {
    match address.ip() {
        IpAddr::V4(ip) if local.is_ipv6() => SocketAddr::new(ip.to_ipv6_mapped().into(), address.port()),
        _ => address,
    }
}

impl Network {
    pub(super) fn bind_datagram(&mut self, program: usize, address: &Address, options: DatagramOptions) -> io::Result<u64> {
        self.script.as_ref().map_or(Ok(()), |script| script.check_network())?;
        let host = self.machine(program);
        let local = match address {
            Address::Udp(address) => Address::Udp(self.free_udp_address(host, *address, options.listen_multiple)?),
            Address::Unix(name) => {
                let options = ListenOptions { lock: options.lock, ..ListenOptions::default() };
                self.bind_unix(host, name, options)?
            }
            Address::Unnamed => Address::Unnamed,
            Address::Tcp(_) => {
                let text = format!("datagrams cannot be sent to {address}: it is a TCP address");
                return Err(io::Error::new(ErrorKind::Unsupported, text));
            }
        };
        let id = self.next_id();
        let socket = DatagramSocket {
            program,
            host,
            local,
            peer: None,
            peer_socket: None,
            token: None,
            queued: false,
            without_edges: self.rng.chance(self.faults.without_edges),
            reported: false,
            shared: options.listen_multiple,
            received: VecDeque::new(),
            held: 0,
            receive_limit: self.rng.size(&self.faults.receive_buffer),
            send_limit: self.rng.size(&self.faults.send_buffer),
            error: None,
            line_free: Duration::ZERO,
            arrivals: BTreeMap::new(),
            options: UdpState {
                groups: BTreeSet::new(),
                broadcast: false,
                ttl: 1,
                loopback: true,
                interface: MulticastInterface::Any,
            },
        };
        self.datagrams.insert(id, socket);
        Ok(id)
    }

    fn free_udp_address(&mut self, host: usize, address: SocketAddr, shared: bool) -> io::Result<SocketAddr> {
        let ip = address.ip();
        if !self.is_own(host, ip) && !ip.is_multicast() {
            return Err(ErrorKind::AddrNotAvailable.into());
        }
        let taken = |network: &Self, port| {
            network.datagrams.values().any(|socket| {
                let Address::Udp(bound) = socket.local else { return false };
                let meets = takes(bound.ip(), ip) || takes(ip, bound.ip());
                socket.host == host && bound.port() == port && meets && !(shared && socket.shared)
            })
        };
        let port = if address.port() == 0 { self.free_port(host, taken)? } else { address.port() };
        if taken(self, port) { Err(ErrorKind::AddrInUse.into()) } else { Ok(SocketAddr::new(ip, port)) }
    }

    pub(super) fn find_named(&self, host: usize, name: &UnixName) -> Option<u64> {
        let host = self.machine(host);
        let named = |socket: &DatagramSocket| socket.host == host && matches!(&socket.local, Address::Unix(own) if own == name);
        self.datagrams.iter().find(|(_, socket)| named(socket)).map(|(id, _)| *id)
    }

    /// The socket with this name, or the error of looking for it.
    fn named(&self, host: usize, name: &UnixName) -> io::Result<u64> {
        let nobody = || self.nobody_at(host, &Address::Unix(name.clone())).into();
        self.find_named(host, name).ok_or_else(nobody)
    }

    pub(super) fn close_datagrams(&mut self, id: u64) {
        if let Some(socket) = self.datagrams.remove(&id) {
            self.remove_socket_file(socket.host, &socket.local);
        }
    }

    pub(super) fn connect_datagram(&mut self, id: u64, peer: &Address) -> io::Result<()> {
        let (host, local) = self.local_of(id)?;
        let mut ours = local.clone();
        let mut peer_socket = None;
        match (&local, peer) {
            (Address::Udp(local), Address::Udp(peer)) if local.is_ipv6() == peer.is_ipv6() => {
                ours = Address::Udp(self.source(host, *local, *peer));
            }
            (Address::Unix(_) | Address::Unnamed, Address::Unix(name)) => peer_socket = Some(self.named(host, name)?),
            _ => return Err(ErrorKind::InvalidInput.into()),
        }
        if let Some(socket) = self.datagrams.get_mut(&id) {
            (socket.peer, socket.peer_socket, socket.local) = (Some(peer.clone()), peer_socket, ours);
        }
        Ok(())
    }

    /// The source address of what `local` sends to `to`.
    fn source(&self, host: usize, local: SocketAddr, to: SocketAddr) -> SocketAddr {
        if !local.ip().is_unspecified() && !local.ip().is_multicast() {
            return local;
        }
        let to = canonical(to).ip();
        let ip = if to.is_loopback() { to } else { self.source_ip(host, to) };
        for_family(SocketAddr::new(ip, local.port()), local)
    }

    fn local_of(&self, id: u64) -> io::Result<(usize, Address)> {
        let socket = self.datagrams.get(&id).ok_or(ErrorKind::NotConnected)?;
        Ok((socket.host, socket.local.clone()))
    }

    pub(super) fn send_datagram(&mut self, id: u64, data: &[u8]) -> io::Result<()> {
        let socket = self.datagrams.get(&id).ok_or(ErrorKind::NotConnected)?;
        let peer = socket.peer.clone().ok_or(ErrorKind::NotConnected)?;
        match (&peer, socket.peer_socket) {
            (Address::Udp(to), _) => self.send_udp(id, data, *to),
            (_, Some(peer)) => self.send_unix(id, data, peer),
            _ => Err(ErrorKind::NotConnected.into()),
        }
    }

    pub(super) fn send_datagram_to(&mut self, id: u64, data: &[u8], to: &Address) -> io::Result<()> {
        let (host, local) = self.local_of(id)?;
        match (&local, to) {
            (Address::Udp(local), Address::Udp(to)) if local.is_ipv6() == to.is_ipv6() => self.send_udp(id, data, *to),
            (Address::Unix(_) | Address::Unnamed, Address::Unix(name)) => self.send_unix(id, data, self.named(host, name)?),
            _ => Err(ErrorKind::InvalidInput.into()),
        }
    }

    /// Puts a datagram into the buffer of a socket on the same host, or fails if there is no room; so nothing is lost.
    fn send_unix(&mut self, id: u64, data: &[u8], to: u64) -> io::Result<()> {
        let (_, from) = self.local_of(id)?;
        let sender = self.datagrams.get(&id).ok_or(ErrorKind::NotConnected)?;
        if data.len() > sender.send_limit {
            return Err(ErrorKind::FileTooLarge.into());
        }
        let receiver = self.datagrams.get_mut(&to).ok_or(ErrorKind::ConnectionRefused)?;
        if receiver.peer.as_ref().is_some_and(|peer| *peer != from) {
            return Err(ErrorKind::PermissionDenied.into());
        }
        if !receiver.has_room() {
            return Err(ErrorKind::WouldBlock.into());
        }
        receiver.held += data.len() + OVERHEAD;
        let flight = Flight { data: data.into(), way: Way::Local { from, to } };
        self.queue.push(self.now() + LOCAL_LATENCY, Happening::Datagram(Box::new(flight)));
        Ok(())
    }

    fn send_udp(&mut self, id: u64, data: &[u8], to: SocketAddr) -> io::Result<()> {
        let now = self.now();
        let (host, Address::Udp(local)) = self.local_of(id)? else { return Err(ErrorKind::InvalidInput.into()) };
        let socket = self.datagrams.get_mut(&id).ok_or(ErrorKind::NotConnected)?;
        if let Some(kind) = socket.error.take() {
            return Err(kind.into());
        }
        if data.len() > if local.is_ipv6() { LONGEST_IPV6 } else { LONGEST } {
            return Err(ErrorKind::FileTooLarge.into());
        }
        if to.ip() == Ipv4Addr::BROADCAST && !socket.options.broadcast {
            return Err(ErrorKind::PermissionDenied.into());
        }
        let bandwidth = self.faults.bandwidth.unwrap_or(u64::MAX);
        if socket.line_free.saturating_sub(now) > time_for(socket.send_limit, bandwidth)
            || self.rng.chance(self.faults.short_write)
        {
            return Err(ErrorKind::WouldBlock.into());
        }
        socket.line_free = socket.line_free.max(now) + time_for(HEADER + data.len(), bandwidth);
        let from = canonical(self.source(host, local, to));
        let to = canonical(to);
        let data: Rc<[u8]> = data.into();
        for there in self.hosts_at(id, host, to.ip()) {
            let way = || Way::Network { sender: id, hosts: (host, there), from, to };
            if self.rng.chance(self.faults.loss) {
                continue;
            }
            self.fly(id, there, Flight { data: Rc::clone(&data), way: way() });
            if self.rng.chance(self.faults.duplication) {
                self.fly(id, there, Flight { data: Rc::clone(&data), way: way() });
            }
        }
        Ok(())
    }

    /// The hosts that a datagram to `ip` reaches.
    fn hosts_at(&self, id: u64, host: usize, ip: IpAddr) -> Vec<usize> {
        if ip.is_loopback() || self.addresses(host).any(|own| own == ip) || self.script.is_some() {
            return vec![host];
        }
        let Some(socket) = self.datagrams.get(&id).filter(|_| ip.is_multicast()) else {
            return if ip == Ipv4Addr::BROADCAST { self.all_hosts().collect() } else { self.find_host(ip).into_iter().collect() };
        };
        let options = &socket.options;
        let leaves = options.ttl > 0 && options.interface != MulticastInterface::Address(Ipv4Addr::LOCALHOST);
        self.all_hosts().filter(|there| if *there == host { options.loopback } else { leaves }).collect()
    }

    fn fly(&mut self, id: u64, there: usize, flight: Flight) {
        let (latency, overtaken) = (self.latency(), self.rng.chance(self.faults.reordering));
        let detour = if overtaken { self.latency() + self.latency() } else { Duration::ZERO };
        let scripted = self.script.is_some();
        let Some(socket) = self.datagrams.get_mut(&id) else { return };
        let mut arrival = socket.line_free + latency + detour;
        if scripted {
            arrival = self.clock.get();
        } else if !overtaken {
            let last = socket.arrivals.entry(there).or_default();
            arrival = arrival.max(*last + GAP);
            *last = arrival;
        }
        self.queue.push(arrival, Happening::Datagram(Box::new(flight)));
    }

    pub(super) fn arrive_datagram(&mut self, flight: Flight) {
        let Flight { data, way } = flight;
        let (sender, hosts, from, to) = match way {
            Way::Local { from, to } => return self.put_datagram(to, data, from),
            Way::Network { sender, hosts, from, to } => (sender, hosts, from, to),
        };
        if self.are_partitioned(hosts.0, hosts.1) {
            return;
        }
        let receivers = self.receivers(hosts.1, from, to);
        if receivers.is_empty() && !is_for_many(to.ip()) {
            let back = if self.script.is_some() { self.now() } else { self.now() + self.latency() };
            self.queue.push(back, Happening::Refused(sender, to));
        }
        for receiver in receivers {
            let Some(socket) = self.datagrams.get_mut(&receiver).filter(|socket| socket.has_room()) else { continue };
            socket.held += data.len() + OVERHEAD;
            let Address::Udp(local) = socket.local else { continue };
            self.put_datagram(receiver, Rc::clone(&data), Address::Udp(for_family(from, local)));
        }
    }

    /// The sockets of `host` that receive a datagram: all interested ones for multicast and broadcast, otherwise the best match.
    fn receivers(&self, host: usize, from: SocketAddr, to: SocketAddr) -> Vec<u64> {
        let many = is_for_many(to.ip());
        let member = |socket: &DatagramSocket| !to.ip().is_multicast() || socket.options.groups.contains(&to.ip());
        let fits = |socket: &DatagramSocket| socket.host == host && socket.gets(from, to) && member(socket);
        let fitting: Vec<_> = self.datagrams.iter().filter(|(_, socket)| fits(socket)).collect();
        let rank = |socket: &DatagramSocket| (socket.peer.is_some(), socket.local.ip() == Some(to.ip()));
        let best = fitting.iter().map(|(_, socket)| rank(socket)).max();
        let keep = |socket: &DatagramSocket| many || Some(rank(socket)) == best;
        let mut receivers: Vec<u64> = fitting.into_iter().filter(|(_, socket)| keep(socket)).map(|(id, _)| *id).collect();
        if !many && receivers.len() > 1 {
            // Among sockets that share an address, one sender always reaches the same one.
            let place = fingerprint(from.to_string().as_bytes()) % receivers.len() as u64;
            receivers = vec![receivers[usize::try_from(place).unwrap_or(0)]];
        }
        receivers
    }

    /// Puts a datagram into its reserved space.
    fn put_datagram(&mut self, id: u64, data: Rc<[u8]>, from: Address) {
        if let Some(socket) = self.datagrams.get_mut(&id) {
            socket.received.push_back((data, from));
            self.wake_datagrams(id);
        }
    }

    /// A host reports that nothing receives at `to`.
    pub(super) fn refuse_datagrams(&mut self, id: u64, to: &SocketAddr) {
        let Some(socket) = self.datagrams.get_mut(&id) else { return };
        if socket.udp_peer() == Some(*to) {
            socket.error = Some(ErrorKind::ConnectionRefused);
            self.wake_datagrams(id);
        }
    }

    pub(super) fn receive_datagram(&mut self, id: u64, buffer: &mut [u8]) -> io::Result<(usize, Address)> {
        let socket = self.datagrams.get_mut(&id).ok_or(ErrorKind::NotConnected)?;
        if let Some(kind) = socket.error.take() {
            return Err(kind.into());
        }
        let Some((data, from)) = socket.received.pop_front() else {
            socket.reported = false;
            return Err(ErrorKind::WouldBlock.into());
        };
        socket.held -= data.len() + OVERHEAD;
        let length = data.len().min(buffer.len());
        buffer[..length].copy_from_slice(&data[..length]);
        Ok((length, from))
    }

    pub(super) fn wake_datagrams(&mut self, id: u64) {
        let Some(socket) = self.datagrams.get_mut(&id) else { return };
        if socket.token.is_some() && !std::mem::replace(&mut socket.queued, true) {
            let program = socket.program;
            self.wake_place(program, SocketId::Datagrams(id));
        }
    }

    /// Appends the datagram sockets to the report of a run that does not end.
    pub(super) fn describe_datagrams(&self, text: &mut String) {
        use std::fmt::Write as _;
        for socket in self.datagrams.values().filter(|socket| !socket.received.is_empty()) {
            let ip = self.host_ip(socket.host);
            // Writing to a String cannot fail.
            let _ignored = write!(text, "\n  {ip}: {} datagrams unread on {}", socket.received.len(), socket.local);
        }
    }
}
