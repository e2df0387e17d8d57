//! The nodes of a cluster: which one has each slot, and what waits for a slot that no node serves at the moment.
//!
//! Guaranteed: the commands of a slot are executed in the order in which they were sent, wherever the slot moves; when a node is lost, only the topics
//! that live there have a gap.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::rc::Rc;
use std::time::Duration;

use redis_protocol::redis_keyslot;
use torsade_protocols::HostPort;
use torsade_transports::ReactorEndpoints;

use crate::error::EngineError;

use super::command::{Answer, Pending};
use super::link::Link;
use super::login::log_in;
use super::session::Session;

/// How many nodes may be connected at once.
const MAX_NODES: usize = 1000;

/// How often one command may be redirected.
const MAX_REDIRECTS: u8 = 8;

/// How many commands may wait for slots that no node serves.
const MAX_HELD: usize = 10_000;

/// How long to wait before such a slot is tried again.
const LOOK_AGAIN: Duration = Duration::from_millis(300);

/// The nodes: all connections but the main one, and which connection gets the commands of each slot that is used.
#[derive(Default)]
pub(super) struct Nodes {
    slots: RefCell<HashMap<u16, Link>>,
    links: RefCell<HashMap<String, Link>>,
    held: RefCell<BTreeMap<u16, Held>>,
    is_looking: Cell<bool>,
    /// Whether the loss of a node was logged since the last time that one was connected.
    is_told: Cell<bool>,
}

/// The commands that wait for a slot, oldest first.
#[derive(Default)]
struct Held {
    commands: VecDeque<Pending>,
    /// The oldest was sent to find out whether the slot is served again; the others follow its answer, so none can overtake it.
    is_tried: bool,
}

/// Where commands go in the queue of a slot.
#[derive(Clone, Copy, Eq, PartialEq)]
enum Place {
    Before,
    Behind,
}

impl Nodes {
    /// All connections but the main one.
    pub(super) fn links(&self) -> Vec<Link> {
        self.links.borrow().values().cloned().collect()
    }

    pub(super) fn is_congested(&self) -> Option<Link> {
        self.links.borrow().values().find(|link| link.is_congested()).cloned()
    }

    /// Ends all connections, and returns what was not answered.
    pub(super) fn end(&self, error: &EngineError) -> Vec<Pending> {
        self.slots.borrow_mut().clear();
        let mut pending: Vec<_> = self.links.take().into_values().flat_map(|link| link.end(error)).collect();
        pending.extend(self.take_held());
        pending
    }

    /// Takes the commands that wait for slots.
    pub(super) fn take_held(&self) -> Vec<Pending> {
        self.held.take().into_values().flat_map(|held| held.commands).collect()
    }

    /// A connection that is logged in.
    pub(super) fn any_open(&self) -> Option<Link> {
        self.links.borrow().values().find(|link| link.is_open()).cloned()
    }

    /// Forgets a connection; says whether it was known.
    fn remove(&self, link: &Link) -> bool {
        let mut links = self.links.borrow_mut();
        let known = links.len();
        links.retain(|_, known| !known.is(link));
        links.len() < known
    }

    /// The slots that have a connection, and nothing that waits.
    fn served(&self) -> HashSet<u16> {
        let (slots, held) = (self.slots.borrow(), self.held.borrow());
        slots.keys().filter(|slot| !held.contains_key(slot)).copied().collect()
    }

    /// The channels whose subscription waits for a slot.
    fn held_channels(&self) -> Vec<Rc<[u8]>> {
        let held = self.held.borrow();
        held.values().flat_map(|held| &held.commands).filter_map(|pending| pending.confirmed_for.clone()).collect()
    }
}

impl Session {
    /// Sends a command to the node that has its slot, after everything that waits for that slot.
    pub(super) fn send_to_slot(self: &Rc<Self>, pending: Pending) {
        let Some(again) = &pending.again else { return };
        if self.nodes.held.borrow().contains_key(&again.slot) {
            return self.hold(vec![pending], Place::Behind);
        }
        let (node, bytes) = (self.node_of(again.slot), Rc::clone(&again.bytes));
        node.send_encoded(&bytes, pending);
    }

    /// The connection to the node that has a slot, as far as is known; the first is a guess. The slot stays with it until it is
    /// redirected: on another connection, commands might overtake those that were sent before.
    pub(super) fn node_of(&self, slot: u16) -> Link {
        let guess = || Some(self.main()).filter(|main| !main.has_ended()).or_else(|| self.nodes.any_open());
        let mut slots = self.nodes.slots.borrow_mut();
        slots.entry(slot).or_insert_with(|| guess().unwrap_or_else(|| self.main())).clone()
    }

    /// A node has answered `MOVED SLOT HOST:PORT` or `ASK SLOT HOST:PORT`: sends the command there. After MOVED all commands that
    /// were sent after it for that slot follow, in order.
    pub(super) fn redirected(self: &Rc<Self>, from: &Link, said: &str, pending: Pending) {
        let mut words = said.split(' ');
        let (kind, slot, place) = (words.next(), words.next(), words.next().unwrap_or_default());
        let (Some(slot), Some(host)) = (slot.and_then(|slot| slot.parse::<u16>().ok()), place_of(from, place)) else {
            from.take_back(pending);
            return from.lose(EngineError::Protocol(format!("{said:?} is not a redirection")));
        };
        let Some(node) = self.node(&host) else {
            from.take_back(pending);
            return from.lose(EngineError::Lost(format!("the cluster has more than {MAX_NODES} nodes")));
        };
        if kind == Some("ASK") {
            node.send(&[b"ASKING"], Pending::new(Answer::Ignored));
            return resend(from, &node, pending);
        }
        self.nodes.slots.borrow_mut().insert(slot, node.clone());
        let later = from.take_slot(slot);
        for pending in std::iter::once(pending).chain(later) {
            resend(from, &node, pending);
        }
    }

    /// The connection to a node, made if there is none.
    fn node(self: &Rc<Self>, host: &HostPort) -> Option<Link> {
        let (name, main) = (host.to_string(), self.main());
        if *main.host() == *host && !main.has_ended() {
            return Some(main);
        }
        if let Some(known) = self.nodes.links.borrow().get(&name) {
            return Some(known.clone());
        }
        if self.nodes.links.borrow().len() >= MAX_NODES {
            return None;
        }
        let link = self.connect(host);
        self.nodes.links.borrow_mut().insert(name, link.clone());
        Some(link)
    }

    /// Connects to a node and logs in.
    fn connect(self: &Rc<Self>, host: &HostPort) -> Link {
        let link = Link::new(host.clone());
        link.belong_to(self);
        let connected = self.reactor.connect_protocol(self.address.hosts.endpoint_of(host), (link.protocol(), link.clone()));
        let (session, address, failed) = (Rc::downgrade(self), Rc::clone(&self.address), link.clone());
        let (ready, ready_session) = (link.clone(), Rc::downgrade(self));
        let told = connected
            .add_callback(move |link| log_in(&link, &address))
            .add_callback(move |_| {
                ready.open();
                if let Some(session) = ready_session.upgrade() {
                    session.nodes.is_told.set(false);
                    session.upstream.writable();
                }
                Ok(())
            })
            .add_errback(move |failure| {
                let error = failure.downcast_ref::<EngineError>().cloned();
                let error = error.unwrap_or_else(|| EngineError::Unreachable(format!("{}: {failure}", failed.host())));
                if let Some(session) = session.upgrade() {
                    session.link_lost(&failed, &error);
                }
                Ok(())
            });
        told.detach();
        link
    }

    /// A node was lost: its topics are told of a gap, and its commands wait until a node serves their slots again.
    pub(super) fn node_lost(self: &Rc<Self>, link: &Link, pending: Vec<Pending>, error: &EngineError) {
        if link.is(&self.main()) {
            self.await_main();
        } else if !self.nodes.remove(link) {
            return;
        }
        self.nodes.slots.borrow_mut().retain(|_, known| !known.is(link));
        let level = if self.nodes.is_told.replace(true) { log::Level::Debug } else { log::Level::Warn };
        log::log!(level, "hub: a node of the cluster: {error}");
        let served = self.nodes.served();
        let is_lost = |name: &[u8]| !served.contains(&redis_keyslot(name));
        // Subscriptions that had not begun yet have missed nothing, and those that wait are told already.
        let beginning = pending.iter().filter_map(|pending| pending.confirmed_for.clone());
        let beginning: HashSet<_> = beginning.chain(self.nodes.held_channels()).collect();
        let (commands, login): (Vec<_>, Vec<_>) = pending.into_iter().partition(|pending| pending.again.is_some());
        self.hold(commands, Place::Before);
        login.into_iter().for_each(|pending| pending.answer.give(Err(error.clone())));
        self.shards_lost(|name| is_lost(name) && !beginning.contains(name));
        self.tails_lost(is_lost);
        self.upstream.writable();
    }

    /// A command was answered with an error that passes by itself: it waits, with all that were sent after it for its slot.
    pub(super) fn slot_is_down(self: &Rc<Self>, from: &Link, pending: Pending) {
        let Some(slot) = pending.slot() else { return };
        let later = from.take_slot(slot);
        self.nodes.slots.borrow_mut().remove(&slot);
        self.hold(std::iter::once(pending).chain(later).collect(), Place::Before);
    }

    /// Keeps commands until their slots are served. Live messages are not kept: they are counted as unconfirmed.
    fn hold(self: &Rc<Self>, commands: Vec<Pending>, place: Place) {
        let (lost, mut kept): (Vec<_>, Vec<_>) =
            commands.into_iter().partition(|pending| matches!(pending.answer, Answer::Published(_)));
        // A free permit may send another command at once, so they are released last: that command is to queue behind these.
        let permits: Vec<_> = kept.iter_mut().filter_map(|pending| pending.permit.take()).collect();
        if place == Place::Before {
            kept.reverse();
        }
        for pending in kept {
            let Some(slot) = pending.slot() else { continue };
            let mut held = self.nodes.held.borrow_mut();
            let waiting = held.entry(slot).or_default();
            match place {
                Place::Before => {
                    waiting.is_tried = false;
                    waiting.commands.push_front(pending);
                }
                Place::Behind => waiting.commands.push_back(pending),
            }
        }
        drop(permits);
        if !lost.is_empty() {
            self.upstream.unconfirmed(lost.len() as u64);
        }
        let count: usize = self.nodes.held.borrow().values().map(|held| held.commands.len()).sum();
        if count > MAX_HELD {
            return self.end(&EngineError::Lost(format!("more than {MAX_HELD} commands wait for nodes that are away")));
        }
        self.try_slots_later();
    }

    fn try_slots_later(self: &Rc<Self>) {
        if self.nodes.is_looking.replace(true) {
            return;
        }
        let session = Rc::downgrade(self);
        self.reactor.call_later(LOOK_AGAIN, move || {
            if let Some(session) = session.upgrade().filter(|session| session.end_error().is_none()) {
                session.nodes.is_looking.set(false);
                session.try_slots();
            }
        });
    }

    /// Sends the oldest command of each waiting slot, to a node that may redirect it.
    fn try_slots(self: &Rc<Self>) {
        let mut tried = Vec::new();
        self.nodes.held.borrow_mut().retain(|_, held| {
            if !held.is_tried {
                held.is_tried = !held.commands.is_empty();
                tried.extend(held.commands.pop_front());
            }
            held.is_tried
        });
        for mut pending in tried {
            let Some(again) = &mut pending.again else { continue };
            again.redirects = 0;
            let (node, bytes) = (self.node_of(again.slot), Rc::clone(&again.bytes));
            node.send_encoded(&bytes, pending);
        }
    }

    /// A command of a slot was answered other than by a redirection: the slot is served, and the waiting commands follow.
    pub(super) fn slot_served(self: &Rc<Self>, slot: u16) {
        let held = self.nodes.held.borrow_mut().remove(&slot);
        for mut pending in held.into_iter().flat_map(|held| held.commands) {
            if let Some(again) = &mut pending.again {
                again.redirects = 0;
            }
            self.send_to_slot(pending);
        }
    }
}

fn resend(from: &Link, node: &Link, mut pending: Pending) {
    let Some(again) = &mut pending.again else { return };
    again.redirects = again.redirects.saturating_add(1);
    if again.redirects > MAX_REDIRECTS {
        from.lose(EngineError::Lost("the cluster sends a command from node to node".to_owned()));
        return from.take_back(pending);
    }
    let bytes = Rc::clone(&again.bytes);
    node.send_encoded(&bytes, pending);
}

/// Reads `HOST:PORT`; without a host it is that of `from`. IPv6 addresses come without brackets.
fn place_of(from: &Link, place: &str) -> Option<HostPort> {
    let (host, port) = place.rsplit_once(':')?;
    let port: u16 = port.parse().ok()?;
    let here = from.host().host().to_string();
    HostPort::try_from((if host.is_empty() { here.as_str() } else { host }, port)).ok()
}
