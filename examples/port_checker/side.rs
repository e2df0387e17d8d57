//! One of the two programs, with its connections.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};
use std::net::{Ipv4Addr, SocketAddr};
use std::rc::Rc;
use std::time::Duration;

use socket2::{Domain, Socket, Type};
use torsade::prelude::*;
use torsade::wire::Discard;

use super::action::Action;
use super::command_text::CommandText;
use super::connection::Connection;
use super::observed::Seen;
use super::place::{Endpoints, with_addresses};
use super::program::Program;

/// How often a program is started anew that has ended at once: somebody else may have taken its port.
const ATTEMPTS: usize = 3;

/// How long a program may take until it listens.
const UP: Duration = Duration::from_secs(60);

type Arrivals = Rc<RefCell<Vec<VecDeque<Connection>>>>;

/// A running program, and what is heard of it.
pub struct Side {
    reactor: Reactor,
    pub program: Program,
    listens: Vec<String>,
    _reserved: Vec<(Socket, SocketAddr)>,
    ports: Vec<Port>,
    /// Those of the script.
    endpoints: RefCell<Endpoints>,
    connections: RefCell<BTreeMap<String, Connection>>,
    /// Connections that the program has made and no step has accepted, by place.
    arrivals: Arrivals,
    /// Names that wait for the next arrival at a place.
    accepting: RefCell<Vec<(String, usize)>>,
    waits_for_end: Cell<bool>,
    /// For datagrams that scripts send.
    datagrams: DatagramTransport,
    /// Whether the program's end was seen before this step, and by now.
    had_ended: Cell<bool>,
    saw_end: Cell<bool>,
    changes: Rc<Cell<u64>>,
}

/// Datagrams are sent, and what comes back is not looked at.
struct NoAnswers;

impl DatagramProtocol for NoAnswers {
    fn datagram_received(&mut self, _transport: &DatagramTransport, _data: &[u8], _from: &Address) -> Result {
        Ok(())
    }
}

/// An address for a program to listen on. The socket keeps it from everybody who asks the system for any free port, as other
/// tests do, for as long as the program takes to start. On Linux a program can still listen there, if it sets SO_REUSEADDR, as
/// servers do; the last attempt does without.
fn reserve() -> std::io::Result<(Socket, SocketAddr)> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    socket.set_reuse_address(true)?;
    socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into())?;
    let address = socket.local_addr()?.as_socket().ok_or(std::io::ErrorKind::AddrNotAvailable)?;
    Ok((socket, address))
}

impl Side {
    /// Starts the program, and waits until it listens.
    pub async fn start(reactor: &Reactor, who: &str, text: &CommandText) -> Result<Self> {
        for attempt in 1.. {
            let side = Self::spawn(reactor, text, attempt == ATTEMPTS)
                .map_err(|error| format!("the {who} cannot be started: {error}"))?;
            if side.is_up().await? {
                return Ok(side);
            }
            if attempt == ATTEMPTS || side.program.end().is_none() {
                let end = side.program.end().map_or_else(|| "does not listen".into(), |end| end.to_string());
                let listens = side.listens.join(" and ");
                return Err(format!(
                    "the {who} {end}, before a connection to {listens} succeeded. It printed:\n{}",
                    side.program.printed()
                )
                .into());
            }
        }
        unreachable!("it is tried at least once")
    }

    fn spawn(reactor: &Reactor, text: &CommandText, last_attempt: bool) -> Result<Self> {
        let changes = Rc::new(Cell::new(0));
        let arrivals: Arrivals = Rc::new(RefCell::new(vec![VecDeque::new(); text.peers]));
        let mut ports = Vec::new();
        for place in 0..text.peers {
            let (arrivals, changes) = (arrivals.clone(), changes.clone());
            ports.push(reactor.listen("127.0.0.1:0", move |_peer| {
                let connection = Connection::new(&changes);
                arrivals.borrow_mut()[place].push_back(connection.clone());
                connection.protocol()
            })?);
        }
        let peers: Vec<_> = ports.iter().map(|port| port.address().to_string()).collect();
        // All at once, so that they differ.
        let mut reserved: Vec<_> = (0..text.listens).map(|_| reserve()).collect::<std::io::Result<_>>()?;
        let listens = reserved.iter().map(|(_, address)| address.to_string()).collect::<Vec<_>>();
        if !cfg!(target_os = "linux") || last_attempt {
            reserved.clear();
        }
        let program = Program::start(reactor, text.command(&listens, &peers))?;
        Ok(Self {
            reactor: reactor.clone(),
            program,
            listens,
            _reserved: reserved,
            ports,
            endpoints: RefCell::default(),
            connections: RefCell::default(),
            arrivals,
            accepting: RefCell::default(),
            waits_for_end: Cell::new(false),
            datagrams: reactor.listen_udp("127.0.0.1:0", NoAnswers)?,
            had_ended: Cell::new(false),
            saw_end: Cell::new(false),
            changes,
        })
    }

    /// Tries until a connection to each of its addresses has succeeded; false if it does not come to that.
    async fn is_up(&self) -> Result<bool> {
        let begun = self.reactor.now();
        for address in &self.listens {
            loop {
                if let Ok(transport) = self.reactor.connect_protocol(format!("tcp:{address}"), Discard).await {
                    transport.lose_connection();
                    break;
                }
                if self.program.end().is_some() || self.reactor.now() - begun > UP {
                    return Ok(false);
                }
                // That somebody listens is no event.
                self.reactor.sleep(Duration::from_millis(5)).await?;
            }
        }
        Ok(true)
    }

    /// Begins a step: from now on what is heard belongs to it.
    pub fn next_step(&self) {
        self.connections.borrow().values().for_each(Connection::next_step);
        self.waits_for_end.set(false);
        self.had_ended.set(self.saw_end.get());
    }

    /// Does what a script says; what comes of it is heard later.
    pub fn act(&self, action: &Action) {
        match action {
            Action::Open(name, place) => self.open(name, *place),
            Action::Accept(name, place) => self.accepting.borrow_mut().push((name.clone(), *place)),
            Action::Send(name, bytes) => self.with(name, |connection| connection.with(|transport| transport.write(bytes))),
            Action::Expect(name, bytes) => self.with(name, |connection| connection.expect(bytes)),
            Action::End(name) => self.with(name, |connection| connection.with(Transport::lose_write_connection)),
            Action::Close(name) => self.with(name, |connection| connection.with(Transport::lose_connection)),
            Action::Reset(name) => self.with(name, |connection| connection.with(Transport::abort_connection)),
            Action::Pause(name) => self.with(name, |connection| connection.with(Transport::pause_producing)),
            Action::Resume(name) => self.with(name, |connection| connection.with(Transport::resume_producing)),
            Action::Datagram(place, bytes) => {
                let address = self.listens.get(place - 1).and_then(|address| address.parse().ok());
                address.into_iter().for_each(|address| self.datagrams.write_to(bytes, &Address::Udp(address)));
            }
            Action::Wait(_) => {}
            Action::Ended => self.waits_for_end.set(true),
        }
    }

    fn with(&self, name: &str, act: impl FnOnce(&Connection)) {
        let connection = self.connections.borrow().get(name).cloned();
        if let Some(connection) = connection {
            act(&connection);
        }
    }

    fn open(&self, name: &str, place: usize) {
        let connection = Connection::new(&self.changes);
        self.connections.borrow_mut().insert(name.into(), connection.clone());
        let tcp = format!("tcp:{{listen{place}}}");
        let endpoint = with_addresses(self.endpoints.borrow().get(&place).unwrap_or(&tcp), "listen", &self.listens);
        let made = self.reactor.connect_protocol(endpoint, connection.protocol());
        made.add_callbacks(drop, move |failure| connection.not_made(&failure)).detach();
    }

    /// Gives connections of the program to those who wait for one.
    pub fn accept(&self) {
        self.accepting.borrow_mut().retain(|(name, place)| {
            let arrived = self.arrivals.borrow_mut().get_mut(place - 1).and_then(VecDeque::pop_front);
            let Some(connection) = arrived else { return true };
            self.connections.borrow_mut().insert(name.clone(), connection);
            false
        });
    }

    /// What the step waits for and has not come.
    pub fn unmet(&self) -> Option<String> {
        if let Some((name, _)) = self.accepting.borrow().first() {
            return Some(format!("no connection came for {name}"));
        }
        if self.waits_for_end.get() && self.program.end().is_none() {
            return Some("the program goes on".into());
        }
        self.connections.borrow().iter().find_map(|(name, connection)| {
            if let Some(why) = connection.undecided() {
                return Some(format!("{name} {why}"));
            }
            Some(format!("on {name} {}", connection.unmet()?))
        })
    }

    /// What was heard in this step.
    pub fn seen(&self) -> Seen {
        let heard = |(name, connection): (&String, &Connection)| (name.clone(), connection.heard());
        let mut connections: BTreeMap<_, _> = self.connections.borrow().iter().map(heard).collect();
        connections.retain(|_, heard| *heard != super::observed::Heard::default());
        let waiting = self.arrivals.borrow().iter().map(VecDeque::len).sum();
        let end = self.program.end();
        self.saw_end.set(end.is_some());
        let end = end.filter(|_| !self.had_ended.get());
        Seen { connections, waiting, program: end.map(|end| end.to_string()) }
    }

    /// Grows with whatever is heard.
    pub fn changes(&self) -> u64 {
        self.changes.get() + u64::from(self.program.end().is_some())
    }

    /// Whether the program's system has all that was sent. What a program does not read may stay here for ever.
    pub fn is_delivered(&self) -> bool {
        self.connections.borrow().values().all(Connection::is_delivered)
    }

    /// Whether more comes than is kept.
    pub fn is_flooded(&self) -> bool {
        self.connections.borrow().values().any(Connection::is_flooded)
    }

    /// Ends the program and its connections.
    pub async fn end(&self) -> Result {
        self.ports.iter().for_each(Port::stop_listening);
        self.datagrams.stop_listening();
        self.program.kill().await?;
        self.connections.borrow().values().for_each(|connection| connection.with(Transport::abort_connection));
        Ok(())
    }

    /// Begins a script: forgets the connections of earlier ones, which have closed them.
    pub fn begin(&self, endpoints: &Endpoints) {
        self.endpoints.borrow_mut().clone_from(endpoints);
        self.connections.borrow_mut().clear();
        self.accepting.borrow_mut().clear();
    }
}
