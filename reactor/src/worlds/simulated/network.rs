//! Listeners and connections.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt::Write as _;
use std::io::{self, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

use crate::address::Address;
use crate::backend::{ListenOptions, Ready, Token, Wakeups};
use crate::resolver::parse_address;

use super::children::ChildState;
use super::datagram_traffic::DatagramSocket;
use super::faults::Faults;
use super::link::{End, Fate, Link, LinkId, Medium, Side, Stage};
use super::places::Place;
use super::queue::{Happening, Queue};
use super::rng::Rng;
use super::script::Script;

/// The first ephemeral port (RFC 6335).
pub(super) const FIRST_EPHEMERAL: u16 = 49152;
/// How long a connect waits for an answer: Linux's six retries, after 1, 2, 4, ... seconds.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(127);
/// How long it takes to find that an address does not exist.
const UNREACHABLE: Duration = Duration::from_secs(3);

/// A listening socket, an end of a connection, a datagram socket, or a child process.
#[derive(Clone, Copy, Debug)]
pub(super) enum SocketId {
    /// A child process, by its place.
    Child(usize),
    Listener(u64),
    Stream(LinkId, Side),
    Datagrams(u64),
}

pub(super) struct Listening {
    pub(super) host: usize,
    pub(super) address: Address,
    pub(super) backlog: usize,
    pub(super) token: Option<Token>,
    pub(super) queued: bool,
    /// Connections that were answered and wait for the client's acknowledgement.
    pub(super) half_open: usize,
    /// Server ends that can be accepted.
    pub(super) waiting: VecDeque<LinkId>,
}

/// Everything in the simulated world outside the programs.
pub(super) struct Network {
    pub(super) clock: Rc<Cell<Duration>>,
    pub(super) rng: Rng,
    pub(super) faults: Faults,
    pub(super) queue: Queue,
    /// Set if a test plays all other hosts.
    pub(super) script: Option<Script>,
    pub(super) links: BTreeMap<LinkId, Link>,
    pub(super) listeners: BTreeMap<u64, Listening>,
    /// The files of UNIX sockets, by host, including those of killed programs.
    pub(super) socket_files: BTreeSet<(usize, PathBuf)>,
    pub(super) datagrams: BTreeMap<u64, DatagramSocket>,
    /// The places of hosts and processes.
    pub(super) places: Vec<Place>,
    /// Processes whose parents do not know yet how they ended, by place.
    pub(super) children: BTreeMap<usize, ChildState>,
    /// Hosts that may have something to do.
    pub(super) stirred: Vec<usize>,
    names: BTreeMap<String, Vec<IpAddr>>,
    partitions: BTreeSet<(usize, usize)>,
    next_id: u64,
    pub(super) seed: u64,
}

impl Network {
    pub(super) fn new(clock: Rc<Cell<Duration>>, seed: u64, faults: Faults) -> Self {
        Self {
            clock,
            rng: Rng::new(seed),
            faults,
            queue: Queue::default(),
            script: None,
            links: BTreeMap::new(),
            listeners: BTreeMap::new(),
            socket_files: BTreeSet::new(),
            datagrams: BTreeMap::new(),
            places: Vec::new(),
            children: BTreeMap::new(),
            stirred: Vec::new(),
            names: BTreeMap::new(),
            partitions: BTreeSet::new(),
            next_id: 0,
            seed,
        }
    }

    /// A socket, while the network knows its connection.
    pub(super) fn end(&mut self, id: LinkId, side: Side) -> Option<&mut End> {
        Some(self.links.get_mut(&id)?.end_mut(side))
    }

    pub(super) fn now(&self) -> Duration {
        self.clock.get()
    }

    pub(super) fn add_name(&mut self, name: &str, ip: IpAddr) {
        self.names.entry(name.to_ascii_lowercase()).or_default().push(ip);
    }

    pub(super) fn set_name(&mut self, name: &str, addresses: Vec<IpAddr>) {
        self.names.insert(name.to_ascii_lowercase(), addresses);
    }

    pub(super) fn look_up(&mut self, name: &str) -> io::Result<Vec<SocketAddr>> {
        self.script.as_ref().map_or(Ok(()), Script::check_network)?;
        if let Some(address) = parse_address(name) {
            return Ok(vec![address]);
        }
        let name = name.trim_end_matches('.').to_ascii_lowercase();
        let found = match &*name {
            "localhost" => &[IpAddr::V6(Ipv6Addr::LOCALHOST), IpAddr::V4(Ipv4Addr::LOCALHOST)][..],
            _ => self
                .names
                .get(&name)
                .filter(|_| !self.rng.chance(self.faults.lookup_fails))
                .ok_or_else(|| io::Error::other("failed to look up the address: name or service not known"))?,
        };
        Ok(found.iter().map(|ip| SocketAddr::new(*ip, 0)).collect())
    }

    pub(super) fn part(&mut self, a: usize, b: usize) {
        if a != b {
            self.partitions.insert((a.min(b), a.max(b)));
        }
    }

    pub(super) fn heal(&mut self, a: usize, b: usize) {
        self.partitions.remove(&(a.min(b), a.max(b)));
        self.release_stalled();
    }

    pub(super) fn are_partitioned(&self, a: usize, b: usize) -> bool {
        let (a, b) = (self.machine(a), self.machine(b));
        self.places[a].off || self.places[b].off || self.partitions.contains(&(a.min(b), a.max(b)))
    }

    /// Records an edge: the host's next poll reports the socket's readiness.
    pub(super) fn wake(&mut self, id: LinkId, side: Side) {
        let Some(end) = self.end(id, side) else { return };
        if end.token.is_some() && !end.released && !end.queued {
            end.queued = true;
            let host = end.host;
            self.wake_place(host, SocketId::Stream(id, side));
        }
    }

    pub(super) fn wake_listener(&mut self, id: u64) {
        let Some(listener) = self.listeners.get_mut(&id) else { return };
        if listener.token.is_some() && !listener.queued {
            listener.queued = true;
            let host = listener.host;
            self.wake_place(host, SocketId::Listener(id));
        }
    }

    /// Records a socket for the next poll of a program to report.
    pub(super) fn wake_place(&mut self, place: usize, socket: SocketId) {
        self.places[place].woken.push_back(socket);
        self.stir(place);
    }

    pub(super) fn has_ready(&self, host: usize) -> bool {
        !self.places[host].woken.is_empty() || !self.places[host].signals.is_empty()
    }

    /// Reports and clears the edges of a host.
    pub(super) fn take_ready(&mut self, host: usize, wakeups: &mut Wakeups) {
        let now = self.now();
        wakeups.signals.append(&mut self.places[host].signals);
        while let Some(socket) = self.places[host].woken.pop_front() {
            let (token, ready) = match socket {
                SocketId::Child(place) => (self.child_token(place), Ready::READABLE),
                SocketId::Listener(id) => {
                    let Some(listener) = self.listeners.get_mut(&id) else { continue };
                    listener.queued = false;
                    (listener.token, if listener.waiting.is_empty() { Ready::NONE } else { Ready::READABLE })
                }
                SocketId::Stream(id, side) => {
                    let Some(end) = self.end(id, side) else { continue };
                    end.queued = false;
                    let ready = end.readiness(now);
                    end.wants_room |= end.stage == Stage::Open && !ready.contains(Ready::WRITABLE);
                    (end.token.filter(|_| !end.released), end.report(ready))
                }
                SocketId::Datagrams(id) => {
                    let Some(socket) = self.datagrams.get_mut(&id) else { continue };
                    socket.queued = false;
                    (socket.token, socket.readiness())
                }
            };
            if let Some(token) = token.filter(|_| ready != Ready::NONE) {
                wakeups.ready.push((token, ready));
            }
        }
    }

    pub(super) fn listen(&mut self, host: usize, address: &Address, options: ListenOptions) -> io::Result<u64> {
        if let Some(script) = &self.script {
            script.check_network()?;
            script.listen_error.map_or(Ok(()), |error| Err(io::Error::from(error)))?;
        }
        let address = match address {
            Address::Unix(name) => self.bind_unix(host, name, options)?,
            _ => self.bind_tcp(host, address.to_tcp()?)?,
        };
        let id = self.next_id();
        let backlog = usize::try_from(options.backlog).unwrap_or(usize::MAX);
        if let Some(script) = &mut self.script {
            script.listened.push(address.clone());
        }
        let waiting = VecDeque::new();
        self.listeners.insert(id, Listening { host, address, backlog, token: None, queued: false, half_open: 0, waiting });
        Ok(id)
    }

    fn bind_tcp(&mut self, host: usize, address: SocketAddr) -> io::Result<Address> {
        let ip = address.ip();
        if !self.is_own(host, ip) {
            return Err(ErrorKind::AddrNotAvailable.into());
        }
        let port = if address.port() == 0 {
            self.free_port(host, |network, port| network.is_taken(host, ip, port))?
        } else {
            address.port()
        };
        if self.is_taken(host, ip, port) {
            return Err(ErrorKind::AddrInUse.into());
        }
        Ok(SocketAddr::new(ip, port).into())
    }

    /// Begins a connection; its first request is then in transit.
    pub(super) fn connect(&mut self, host: usize, address: &Address, from: Option<SocketAddr>) -> io::Result<LinkId> {
        if let Some(script) = &mut self.script {
            script.check_network()?;
            script.connected_to.push(address.clone());
        }
        if matches!(address, Address::Unix(_)) {
            return self.connect_unix(host, address);
        }
        let address = address.to_tcp()?;
        if self.rng.chance(self.faults.connect_fails) {
            return Err(ErrorKind::NetworkUnreachable.into());
        }
        let mut remote = address;
        remote.set_ip(reachable(address.ip()));
        let here = remote.ip().is_loopback() || self.addresses(host).any(|own| own == remote.ip());
        let there = if here { Some(self.machine(host)) } else { self.find_host(remote.ip()) };
        let local_ip = if here { remote.ip() } else { self.source_ip(host, remote.ip()) };
        let local = self.bind_client(host, from, local_ip, remote)?;
        let fate = match () {
            () if self.rng.chance(self.faults.connect_hangs) => Fate::Hanging,
            () if self.rng.chance(self.faults.connect_refused) => Fate::Refused,
            () => Fate::Answered,
        };
        let id = self.add_link((host, &local.into()), (there.unwrap_or(host), &remote.into()), fate);
        let now = self.now();
        if self.script.is_some() {
            // The attempt hangs until the test decides.
        } else if there.is_some() {
            let arrival = now + self.latency();
            self.queue.push(arrival, Happening::Syn(id, 0));
            self.queue.push(now + CONNECT_TIMEOUT, Happening::NoAnswer(id, ErrorKind::TimedOut));
        } else {
            self.queue.push(now + UNREACHABLE, Happening::NoAnswer(id, ErrorKind::HostUnreachable));
        }
        Ok(id)
    }

    /// Adds a connection that is not established, with the hosts and addresses of its ends.
    pub(super) fn add_link(&mut self, client: (usize, &Address), server: (usize, &Address), fate: Fate) -> LinkId {
        let id = LinkId(self.next_id());
        let (here, there) = (client.1.clone(), server.1.clone());
        let medium = if matches!(there, Address::Unix(_)) { Medium::Machine } else { Medium::Network };
        let client = self.new_end(medium, client.0, here.clone(), there.clone());
        let mut server = self.new_end(medium, server.0, there, here);
        server.released = true;
        self.links.insert(id, Link { medium, client, server, fate });
        id
    }

    /// The listener of `host` that a connect to `address` reaches.
    pub(super) fn find_listener(&self, host: usize, address: &Address) -> Option<u64> {
        let fits = |bound: &Address| match (bound, address) {
            (Address::Tcp(bound), Address::Tcp(address)) => bound.port() == address.port() && takes(bound.ip(), address.ip()),
            (bound, address) => bound == address,
        };
        let machine = self.machine(host);
        self.listeners
            .iter()
            .find(|(_, listener)| self.machine(listener.host) == machine && fits(&listener.address))
            .map(|(id, _)| *id)
    }

    pub(super) fn new_end(&mut self, medium: Medium, host: usize, local: Address, remote: Address) -> End {
        let network = medium == Medium::Network;
        let limits = (self.rng.size(&self.faults.receive_buffer), self.rng.size(&self.faults.send_buffer));
        let slow = network && self.rng.chance(self.faults.slow);
        let mut end = End::new(host, local, remote, limits);
        if network && self.rng.chance(self.faults.stuck) {
            end.until_stuck = Some(self.rng.size(&(1..=65536)));
        }
        end.reported = self.rng.chance(self.faults.without_edges).then_some(Ready::NONE);
        end.bandwidth = if slow { Some(self.faults.slow_bandwidth) } else { self.faults.bandwidth.filter(|_| network) };
        end
    }

    pub(super) fn latency(&mut self) -> Duration {
        self.rng.duration(&self.faults.latency).max(Duration::from_micros(1))
    }

    pub(super) fn next_id(&mut self) -> u64 {
        self.next_id += 1;
        self.next_id
    }

    fn next_port(&mut self, host: usize) -> u16 {
        let host = self.machine(host);
        let port = self.places[host].next_port;
        self.places[host].next_port = port.checked_add(1).unwrap_or(FIRST_EPHEMERAL);
        self.places[host].wrapped |= port == u16::MAX;
        port
    }

    /// The local address of a connection: `from`, or else `ip` and a free port.
    fn bind_client(&mut self, host: usize, from: Option<SocketAddr>, ip: IpAddr, remote: SocketAddr) -> io::Result<SocketAddr> {
        let asked = from.map(|from| from.ip()).filter(|ip| !ip.is_unspecified());
        if asked.is_some_and(|ip| !self.is_own(host, ip)) {
            return Err(ErrorKind::AddrNotAvailable.into());
        }
        if asked.is_some_and(|ip| ip.is_loopback()) && !remote.ip().is_loopback() {
            return Err(ErrorKind::InvalidInput.into());
        }
        let ip = asked.unwrap_or(ip);
        let Some(port) = from.map(|from| from.port()).filter(|port| *port > 0) else {
            return Ok(SocketAddr::new(ip, self.port_to(host, ip, remote)?));
        };
        let address = SocketAddr::new(ip, port);
        if self.is_taken(host, ip, port) || self.is_used(host, &address.into()) {
            return Err(ErrorKind::AddrInUse.into());
        }
        Ok(address)
    }

    /// Returns whether a connection of the host has this local address.
    fn is_used(&self, host: usize, address: &Address) -> bool {
        let machine = self.machine(host);
        let ends = self.links.values().flat_map(|link| [&link.client, &link.server]);
        ends.into_iter().any(|end| !end.released && end.local == *address && self.machine(end.host) == machine)
    }

    /// A port for a connection from `ip` to `remote` that no listener and no other connection between the two uses.
    fn port_to(&mut self, host: usize, ip: IpAddr, remote: SocketAddr) -> io::Result<u16> {
        for _ in FIRST_EPHEMERAL..=u16::MAX {
            let port = self.next_port(host);
            let ends = (SocketAddr::new(ip, port).into(), remote.into());
            let used = |link: &Link| (&link.client.local, &link.client.remote) == (&ends.0, &ends.1);
            if !(self.is_taken(host, ip, port) || self.places[self.machine(host)].wrapped && self.links.values().any(used)) {
                return Ok(port);
            }
        }
        Err(ErrorKind::AddrNotAvailable.into())
    }

    pub(super) fn free_port(&mut self, host: usize, is_taken: impl Fn(&Self, u16) -> bool) -> io::Result<u16> {
        for _ in FIRST_EPHEMERAL..=u16::MAX {
            let port = self.next_port(host);
            if !is_taken(self, port) {
                return Ok(port);
            }
        }
        Err(ErrorKind::AddrInUse.into())
    }

    /// Returns whether programs of the host can listen on the address; if a test plays all other hosts, they can listen on any.
    pub(super) fn is_own(&self, host: usize, ip: IpAddr) -> bool {
        ip.is_unspecified() || ip.is_loopback() || self.addresses(host).any(|own| own == ip) || self.script.is_some()
    }

    fn is_taken(&self, host: usize, ip: IpAddr, port: u16) -> bool {
        self.listeners.values().any(|listener| {
            let Address::Tcp(bound) = listener.address else { return false };
            let meets = takes(bound.ip(), ip) || takes(ip, bound.ip());
            self.machine(listener.host) == self.machine(host) && bound.port() == port && meets
        })
    }

    /// Appends the current state to the report of a run that does not end.
    pub(super) fn describe(&self, text: &mut String) {
        let now = self.now();
        for (id, link) in &self.links {
            let (client, server) = (&link.client, &link.server);
            let unsent = client.unsent.len() + server.unsent.len();
            let unread = client.received.len() + server.received.len();
            let flying = client.in_flight.len() + server.in_flight.len();
            // Writing to a String cannot fail.
            let _ignored = write!(
                text,
                "\n  connection {} from {} to {} ({:?}, {:?}): {unsent} bytes unsent, {unread} unread, {flying} segments in \
                 flight",
                id.0, client.local, server.local, client.stage, server.stage
            );
            link.describe_troubles(now, text);
        }
        self.describe_datagrams(text);
        for host in self.places.iter().filter(|host| host.off) {
            let _ignored = write!(text, "\n  {} is off", host.ip);
        }
        for (a, b) in &self.partitions {
            let _ignored = write!(text, "\n  {} and {} are partitioned", self.places[*a].ip, self.places[*b].ip);
        }
    }
}

/// Returns whether a socket bound to `bound` receives what is sent to `ip`: [::] includes IPv4, 0.0.0.0 does not include IPv6.
pub(super) fn takes(bound: IpAddr, ip: IpAddr) -> bool {
    bound == ip || bound.is_unspecified() && (bound.is_ipv6() || ip.is_ipv4())
}

/// The wildcard address means this host, as on Linux.
pub(super) fn reachable(ip: IpAddr) -> IpAddr {
    match ip {
        IpAddr::V4(Ipv4Addr::UNSPECIFIED) => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(Ipv6Addr::UNSPECIFIED) => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    }
}
