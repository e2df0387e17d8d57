//! One host whose clock is advanced by a test, which also plays its peers: nothing takes time, and there are no other hosts.

use std::cell::Cell;
use std::io::{self, ErrorKind};
use std::net::Ipv4Addr;
use std::rc::Rc;
use std::time::Duration;

use crate::address::Address;

use super::faults::Faults;
use super::link::{End, Fate, Link, LinkId, Side, Stage};
use super::network::Network;

/// The only host.
pub(super) const HOST: usize = 0;

/// How many bytes a peer takes by default.
const ROOM: usize = 1024 * 1024;

/// What the test requests, and what its program did.
#[derive(Default)]
pub(super) struct Script {
    /// Whether there is a network: a clock alone has none.
    pub(super) has_network: bool,
    pub(super) listened: Vec<Address>,
    pub(super) connected_to: Vec<Address>,
    pub(super) listen_error: Option<ErrorKind>,
    pub(super) accept_error: Option<io::Error>,
}

impl Script {
    pub(super) fn check_network(&self) -> io::Result<()> {
        let none = || io::Error::new(ErrorKind::Unsupported, "a clock has no network: use a MemoryReactor, or a simulation");
        if self.has_network { Ok(()) } else { Err(none()) }
    }
}

impl Network {
    /// The network of one host played by a test, with nothing connected.
    pub(super) fn scripted(clock: Rc<Cell<Duration>>, has_network: bool) -> Self {
        let script = Script { has_network, ..Script::default() };
        let mut network = Self::new(clock, 0, Faults::none());
        network.script = Some(script);
        network.add_host(Ipv4Addr::LOCALHOST.into());
        network
    }

    /// Connects a peer to the port that listens on `listening`.
    pub(super) fn connect_peer(&mut self, peer: &Address, listening: &Address) -> Option<LinkId> {
        let listener = self.find_listener(HOST, listening)?;
        let id = self.add_link((HOST, peer), (HOST, listening), Fate::Answered);
        self.open_link(id, Side::Client);
        self.listeners.get_mut(&listener)?.waiting.push_back(id);
        self.wake_listener(listener);
        Some(id)
    }

    /// Ends the oldest pending attempt to connect to `address`.
    pub(super) fn end_attempt(&mut self, address: &Address, result: Result<(), ErrorKind>) -> Option<LinkId> {
        let waits = |link: &Link| link.client.remote == *address && link.client.stage == Stage::Connecting;
        let id = *self.links.iter().find(|(_, link)| waits(link))?.0;
        match result {
            Ok(()) => self.open_link(id, Side::Server),
            Err(error) => self.die(id, Side::Client, error),
        }
        Some(id)
    }

    /// Connects the ends; the test has `peer`.
    fn open_link(&mut self, id: LinkId, peer: Side) {
        let Some(link) = self.links.get_mut(&id) else { return };
        link.end_mut(peer).set_room(ROOM);
        for end in [&mut link.client, &mut link.server] {
            end.stage = Stage::Open;
            end.released = false;
        }
        self.wake(id, peer.other());
    }

    /// Accesses the peer's socket, or takes what it has received: then the program may have room again.
    pub(super) fn with_peer<T>(&mut self, id: LinkId, peer: Side, act: impl FnOnce(&mut End) -> T) -> Option<T> {
        let link = self.links.get_mut(&id)?;
        let done = act(link.end_mut(peer));
        link.end_mut(peer).open_window(1);
        if link.window(peer.other()) > 0 {
            self.report_room(id, peer.other());
        }
        Some(done)
    }
}
