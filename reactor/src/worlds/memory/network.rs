//! What a memory reactor has for a network: sockets of one side, and a record.

use std::cell::{Cell, RefCell};
use std::collections::{HashMap, VecDeque};
use std::io::{self, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::rc::{Rc, Weak};

use crate::backend::{Listener, Ready, Stream, Token};

use super::sockets::{MemoryListener, MemoryStream};

/// The first of the ports that are given out.
const FIRST_PORT: u16 = 49_152;

#[derive(Debug, Default)]
pub(crate) struct Network {
    listened: RefCell<Vec<SocketAddr>>,
    connected_to: RefCell<Vec<SocketAddr>>,
    /// They go when their sockets do.
    listeners: RefCell<Vec<Weak<Listening>>>,
    attempts: RefCell<Vec<Weak<Link>>>,
    ready: RefCell<Vec<(Token, Ready)>>,
    hosts: RefCell<HashMap<String, Vec<IpAddr>>>,
    listen_error: Cell<Option<ErrorKind>>,
    accept_error: RefCell<Option<io::Error>>,
    ports_given: Cell<u16>,
    /// The program's sockets of connections.
    pub(super) streams: Cell<usize>,
}

/// A listening socket.
#[derive(Debug)]
pub(super) struct Listening {
    pub(super) address: SocketAddr,
    pub(super) token: Cell<Option<Token>>,
    pub(super) waiting: RefCell<VecDeque<Rc<Link>>>,
}

/// How far a connection has come.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Stage {
    Connecting,
    Open,
    /// It failed, or the peer reset it.
    Failed(ErrorKind),
}

/// A connection between the program, which has the socket, and a peer.
#[derive(Debug)]
pub(super) struct Link {
    pub(super) local: SocketAddr,
    pub(super) remote: SocketAddr,
    pub(super) token: Cell<Option<Token>>,
    pub(super) stage: Cell<Stage>,
    /// From the peer, not read yet.
    pub(super) input: RefCell<VecDeque<u8>>,
    pub(super) input_ended: Cell<bool>,
    /// To the peer, not taken yet.
    pub(super) output: RefCell<Vec<u8>>,
    pub(super) output_ended: Cell<bool>,
    /// How much output the peer takes, in bytes.
    pub(super) room: Cell<usize>,
    pub(super) reset_on_close: Cell<bool>,
    pub(super) reset: Cell<bool>,
    pub(super) nodelay: Cell<bool>,
    pub(super) keepalive: Cell<bool>,
}

impl Network {
    pub(super) fn listened(&self) -> Vec<SocketAddr> {
        self.listened.borrow().clone()
    }

    pub(super) fn connected_to(&self) -> Vec<SocketAddr> {
        self.connected_to.borrow().clone()
    }

    pub(super) fn refuse_to_listen(&self, error: Option<ErrorKind>) {
        self.listen_error.set(error);
    }

    pub(super) fn fail_next_accept(&self, error: io::Error) {
        self.accept_error.replace(Some(error));
    }

    pub(super) fn take_accept_error(&self) -> Option<io::Error> {
        self.accept_error.take()
    }

    pub(super) fn add_host(&self, name: &str, addresses: Vec<IpAddr>) {
        self.hosts.borrow_mut().insert(name.to_owned(), addresses);
    }

    pub(crate) fn look_up(&self, name: &str) -> io::Result<Vec<IpAddr>> {
        self.hosts.borrow().get(name).cloned().ok_or_else(|| io::Error::new(ErrorKind::NotFound, "no such host was added"))
    }

    pub(crate) fn listen(self: &Rc<Self>, address: SocketAddr) -> io::Result<Box<dyn Listener>> {
        if let Some(error) = self.listen_error.get() {
            return Err(error.into());
        }
        let address = SocketAddr::new(address.ip(), if address.port() == 0 { self.next_port() } else { address.port() });
        let mut listeners = self.listeners.borrow_mut();
        listeners.retain(|listening| listening.strong_count() > 0);
        if listeners.iter().filter_map(Weak::upgrade).any(|listening| listening.address == address) {
            return Err(ErrorKind::AddrInUse.into());
        }
        let listening = Rc::new(Listening { address, token: Cell::new(None), waiting: RefCell::default() });
        listeners.push(Rc::downgrade(&listening));
        self.listened.borrow_mut().push(address);
        Ok(Box::new(MemoryListener::new(self, listening)))
    }

    pub(crate) fn connect(self: &Rc<Self>, address: SocketAddr) -> io::Result<Box<dyn Stream>> {
        let ip: IpAddr = if address.is_ipv4() { Ipv4Addr::LOCALHOST.into() } else { Ipv6Addr::LOCALHOST.into() };
        let link = Rc::new(Link::new(SocketAddr::new(ip, self.next_port()), address, Stage::Connecting));
        self.connected_to.borrow_mut().push(address);
        let mut attempts = self.attempts.borrow_mut();
        attempts.retain(|attempt| attempt.strong_count() > 0);
        attempts.push(Rc::downgrade(&link));
        Ok(Box::new(MemoryStream::new(self, link)))
    }

    /// Ends the oldest attempt at `address` that waits.
    pub(super) fn end_attempt(&self, address: SocketAddr, result: Result<(), ErrorKind>) -> Option<Rc<Link>> {
        let waiting = |link: &Rc<Link>| link.remote == address && link.stage.get() == Stage::Connecting;
        let link = self.attempts.borrow().iter().filter_map(Weak::upgrade).find(waiting)?;
        match result {
            Ok(()) => {
                link.stage.set(Stage::Open);
                self.wake(link.token.get(), Ready::WRITABLE);
            }
            Err(error) => {
                link.stage.set(Stage::Failed(error));
                self.wake(link.token.get(), Ready::ERROR | Ready::WRITABLE | Ready::READABLE);
            }
        }
        Some(link)
    }

    pub(super) fn connect_peer(&self, peer: SocketAddr, listening: SocketAddr) -> Option<Rc<Link>> {
        let everywhere = |address: SocketAddr| address.ip().is_unspecified() && address.port() == listening.port();
        let listeners = self.listeners.borrow();
        let open = || listeners.iter().filter_map(Weak::upgrade);
        let exact = open().find(|open| open.address == listening);
        let found = exact.or_else(|| open().find(|open| everywhere(open.address)))?;
        let link = Rc::new(Link::new(listening, peer, Stage::Open));
        found.waiting.borrow_mut().push_back(Rc::clone(&link));
        self.wake(found.token.get(), Ready::READABLE);
        Some(link)
    }

    /// Has readiness reported by the next poll; a socket without a token gets it when it is registered.
    pub(super) fn wake(&self, token: Option<Token>, ready: Ready) {
        if let Some(token) = token {
            self.ready.borrow_mut().push((token, ready));
        }
    }

    pub(crate) fn take_ready(&self, ready: &mut Vec<(Token, Ready)>) {
        ready.append(&mut self.ready.borrow_mut());
    }

    pub(crate) fn open_streams(&self) -> usize {
        self.streams.get()
    }

    pub(crate) fn has_ready(&self) -> bool {
        !self.ready.borrow().is_empty()
    }

    fn next_port(&self) -> u16 {
        let given = self.ports_given.get();
        self.ports_given.set((given + 1) % (u16::MAX - FIRST_PORT));
        FIRST_PORT + given
    }
}

impl Link {
    fn new(local: SocketAddr, remote: SocketAddr, stage: Stage) -> Self {
        Self {
            local,
            remote,
            token: Cell::new(None),
            stage: Cell::new(stage),
            input: RefCell::default(),
            input_ended: Cell::new(false),
            output: RefCell::default(),
            output_ended: Cell::new(false),
            room: Cell::new(super::peer::ROOM),
            reset_on_close: Cell::new(false),
            reset: Cell::new(false),
            nodelay: Cell::new(true),
            keepalive: Cell::new(false),
        }
    }

    /// What the socket is ready for now.
    pub(super) fn readiness(&self) -> Ready {
        match self.stage.get() {
            Stage::Connecting => Ready::NONE,
            Stage::Failed(_) => Ready::ERROR | Ready::WRITABLE | Ready::READABLE,
            Stage::Open => {
                let ended = self.input_ended.get();
                let input = if ended || !self.input.borrow().is_empty() { Ready::READABLE } else { Ready::NONE };
                Ready::WRITABLE | input | if ended { Ready::READ_CLOSED } else { Ready::NONE }
            }
        }
    }
}
