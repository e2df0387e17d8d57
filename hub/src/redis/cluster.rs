//! The nodes of a cluster: where each slot is, and what waits for one that no node serves at the moment.
//!
//! Guaranteed: the commands of a slot are carried out in the order in which they were given, wherever it goes; what lives on a node that is
//! lost is told to be, and nothing else is.

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

/// How many nodes may be connected with.
const MAX_NODES: usize = 1000;

/// How often one command may be sent elsewhere.
const MAX_REDIRECTS: u8 = 8;

/// How many commands may wait for slots that are not served.
const MAX_HELD: usize = 10_000;

/// After which time it is looked whether such a slot is served again.
const LOOK_AGAIN: Duration = Duration::from_millis(300);

/// The nodes beside the one of the main connection, which is asked for every slot of which nothing is known.
#[derive(Default)]
pub(super) struct Nodes {
    slots: RefCell<HashMap<u16, Link>>,
    links: RefCell<HashMap<String, Link>>,
    held: RefCell<BTreeMap<u16, Held>>,
    is_looking: Cell<bool>,
    /// Whether it was told that one is away.
    is_told: Cell<bool>,
}

/// What waits for a slot, the oldest first.
#[derive(Default)]
struct Held {
    commands: VecDeque<Pending>,
    /// The oldest was sent to see whether the slot is served: the others follow when it is answered, so that none of them overtakes it.
    is_tried: bool,
}

/// Where commands come among those that wait.
#[derive(Clone, Copy, Eq, PartialEq)]
enum Place {
    Before,
    Behind,
}

impl Nodes {
    /// The connections, without the main one.
    pub(super) fn links(&self) -> Vec<Link> {
        self.links.borrow().values().cloned().collect()
    }

    pub(super) fn is_congested(&self) -> Option<Link> {
        self.links.borrow().values().find(|link| link.is_congested()).cloned()
    }

    /// Ends all connections, and gives what was not answered.
    pub(super) fn end(&self, error: &EngineError) -> Vec<Pending> {
        self.slots.borrow_mut().clear();
        let mut pending: Vec<_> = self.links.take().into_values().flat_map(|link| link.end(error)).collect();
        pending.extend(self.take_held());
        pending
    }

    /// What waits for slots.
    pub(super) fn take_held(&self) -> Vec<Pending> {
        self.held.take().into_values().flat_map(|held| held.commands).collect()
    }

    /// Takes a connection out, and gives the slots that it had; none if it is out already.
    fn remove(&self, link: &Link) -> Option<HashSet<u16>> {
        let mut links = self.links.borrow_mut();
        let name = links.iter().find(|(_, known)| known.is(link)).map(|(name, _)| name.clone())?;
        links.remove(&name);
        let mut slots = self.slots.borrow_mut();
        let lost: HashSet<_> = slots.iter().filter(|(_, known)| known.is(link)).map(|(slot, _)| *slot).collect();
        slots.retain(|slot, _| !lost.contains(slot));
        Some(lost)
    }
}

impl Session {
    /// Sends a command of a slot to where that is, behind what waits for the slot.
    pub(super) fn send_to_slot(self: &Rc<Self>, pending: Pending) {
        let Some(again) = &pending.again else { return };
        if self.nodes.held.borrow().contains_key(&again.slot) {
            return self.hold(vec![pending], Place::Behind);
        }
        let (node, bytes) = (self.node_of(again.slot), Rc::clone(&again.bytes));
        node.send_encoded(&bytes, pending);
    }

    /// The connection with the node that has a slot, as far as is known.
    pub(super) fn node_of(&self, slot: u16) -> Link {
        self.nodes.slots.borrow().get(&slot).unwrap_or(&self.main).clone()
    }

    /// A node has said `MOVED SLOT HOST:PORT` or `ASK SLOT HOST:PORT`: the command goes there, and with the first all that
    /// were sent after it for that slot, in their order.
    pub(super) fn redirected(self: &Rc<Self>, from: &Link, said: &str, pending: Pending) {
        let mut words = said.split(' ');
        let (kind, slot, place) = (words.next(), words.next(), words.next().unwrap_or_default());
        let (Some(slot), Some(host)) = (slot.and_then(|slot| slot.parse::<u16>().ok()), place_of(from, place)) else {
            from.take_back(pending);
            return from.lose(EngineError::Protocol(format!("{said:?} names no slot and no node")));
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

    /// The connection with a node, made if there is none.
    fn node(self: &Rc<Self>, host: &HostPort) -> Option<Link> {
        let name = host.to_string();
        if *self.main.host() == *host {
            return Some(self.main.clone());
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

    /// Connects with a node, and logs in.
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

    /// A node is lost: its topics hear of it, and what was asked of it is asked again once somebody has its slots.
    pub(super) fn node_lost(self: &Rc<Self>, link: &Link, pending: Vec<Pending>, error: &EngineError) {
        let Some(lost) = self.nodes.remove(link) else { return };
        let level = if self.nodes.is_told.replace(true) { log::Level::Debug } else { log::Level::Warn };
        log::log!(level, "hub: a node of the cluster: {error}");
        let is_lost = |name: &[u8]| lost.contains(&redis_keyslot(name));
        // Those that are about to begin have nothing to miss.
        let beginning: HashSet<_> = pending.iter().filter_map(|pending| pending.confirmed_for.clone()).collect();
        let (commands, login): (Vec<_>, Vec<_>) = pending.into_iter().partition(|pending| pending.again.is_some());
        self.hold(commands, Place::Before);
        login.into_iter().for_each(|pending| pending.answer.give(Err(error.clone())));
        self.shards_lost(|name| is_lost(name) && !beginning.contains(name));
        self.tails_lost(is_lost);
        self.upstream.writable();
    }

    /// A command was answered with an error that says to ask again: it is, and all that were sent after it for its slot.
    pub(super) fn slot_is_down(self: &Rc<Self>, from: &Link, pending: Pending) {
        let Some(slot) = pending.again.as_ref().map(|again| again.slot) else { return };
        let later = from.take_slot(slot);
        self.nodes.slots.borrow_mut().remove(&slot);
        self.hold(std::iter::once(pending).chain(later).collect(), Place::Before);
    }

    /// Keeps commands until their slots are served, before or behind those that wait already. Messages that nobody keeps are lost.
    fn hold(self: &Rc<Self>, commands: Vec<Pending>, place: Place) {
        let (lost, mut kept): (Vec<_>, Vec<_>) =
            commands.into_iter().partition(|pending| matches!(pending.answer, Answer::Published(_)));
        // Others may be asked meanwhile: of them some begin when this ends, behind these.
        let permits: Vec<_> = kept.iter_mut().filter_map(|pending| pending.permit.take()).collect();
        if place == Place::Before {
            kept.reverse();
        }
        for pending in kept {
            let Some(slot) = pending.again.as_ref().map(|again| again.slot) else { continue };
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

    /// Sends the oldest command of each slot that is not served, by way of the main connection's node.
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
            let bytes = Rc::clone(&again.bytes);
            self.main.send_encoded(&bytes, pending);
        }
    }

    /// A command of a slot was carried out, or refused for good: what waits for the slot follows.
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

/// The node that `HOST:PORT` names; without a host it is at the same one as `from`. IPv6 comes without brackets.
fn place_of(from: &Link, place: &str) -> Option<HostPort> {
    let (host, port) = place.rsplit_once(':')?;
    let port: u16 = port.parse().ok()?;
    let here = from.host().host().to_string();
    HostPort::try_from((if host.is_empty() { here.as_str() } else { host }, port)).ok()
}
