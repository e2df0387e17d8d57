//! What lives from one login to the loss of its connection: the connections, and what was asked on them.

use std::cell::{Cell, OnceCell, RefCell};
use std::collections::HashMap;
use std::rc::{Rc, Weak};
use std::time::Duration;

use redis_protocol::redis_keyslot;
use torsade_protocols::HostPort;
use torsade_reactor::{Deferred, Reactor};
use torsade_transports::ReactorEndpoints;

use crate::engine::Upstream;
use crate::error::EngineError;
use crate::message::Publication;
use crate::topic::Topic;

use super::channels::Channels;
use super::command::{Again, Answer, Answered, Pending, encode};
use super::engine::Inner;
use super::hosts::Hosts;
use super::link::{Link, MAX_FRAME};
use super::login::{Server, log_in};
use super::tail::Tails;

/// How many nodes of a cluster may be connected with.
const MAX_NODES: usize = 1000;

/// How often one command may be sent elsewhere.
const MAX_REDIRECTS: u8 = 8;

/// How often, and how long each time, it is waited for the answers of other connections when one is lost.
const LAST_LOOKS: u32 = 50;
const LAST_LOOK: Duration = Duration::from_millis(20);

/// A login and what came of it. When one of its connections is lost it ends, and the hub begins anew with the next one.
pub(super) struct Session {
    engine: Weak<Inner>,
    pub(super) hosts: Rc<Hosts>,
    pub(super) reactor: Reactor,
    pub(super) upstream: Upstream,
    pub(super) main: Link,
    pub(super) server: Server,
    /// Where the slots of a cluster are, as far as that was said.
    slots: RefCell<HashMap<u16, Link>>,
    nodes: RefCell<HashMap<String, Link>>,
    pub(super) channels: Channels,
    pub(super) tails: Tails,
    /// Whether the hub waits to be told that there is room to write.
    waiting: Cell<bool>,
    /// Why it is about to end, and what was not answered by what was lost already.
    failing: OnceCell<EngineError>,
    unanswered: RefCell<Vec<Pending>>,
    ended: OnceCell<EngineError>,
}

impl Session {
    pub(super) fn new(engine: &Rc<Inner>, reactor: Reactor, upstream: Upstream, main: Link, server: Server) -> Rc<Self> {
        let session = Rc::new(Self {
            engine: Rc::downgrade(engine),
            hosts: Rc::clone(&engine.hosts),
            reactor,
            upstream,
            main,
            server,
            slots: RefCell::default(),
            nodes: RefCell::default(),
            channels: Channels::default(),
            tails: Tails::default(),
            waiting: Cell::new(false),
            failing: OnceCell::new(),
            unanswered: RefCell::default(),
            ended: OnceCell::new(),
        });
        session.main.belong_to(&session);
        session
    }

    /// Why it has ended, if it has.
    pub(super) fn end_error(&self) -> Option<EngineError> {
        self.ended.get().cloned()
    }

    pub(super) fn publish(self: &Rc<Self>, topic: &Topic, publication: &Publication) {
        let (key, payload) = (topic.as_str().as_bytes(), publication.payload());
        match (self.hosts.sharded, self.server.is_cluster) {
            (true, true) => self.send(key, &[b"SPUBLISH", key, payload], None, Answer::Published(topic.clone())),
            (true, false) => self.main.publish(b"SPUBLISH", topic, payload),
            (false, _) => self.main.publish(b"PUBLISH", topic, payload),
        }
    }

    /// Sends a command for `key` to where that is. If a push answers it, it is for this channel.
    pub(super) fn send(self: &Rc<Self>, key: &[u8], parts: &[&[u8]], confirmed_for: Option<Rc<[u8]>>, answer: Answer) {
        if !self.server.is_cluster {
            return self.main.send(parts, Pending { confirmed_for, answer, again: None });
        }
        let (slot, mut bytes) = (redis_keyslot(key), Vec::new());
        encode(&mut bytes, parts);
        let again = Again { slot, bytes: bytes.into(), redirects: 0 };
        let link = self.node_of(key);
        link.send_encoded(&Rc::clone(&again.bytes), Pending { confirmed_for, answer, again: Some(again) });
    }

    /// The same as a Deferred.
    pub(super) fn call(self: &Rc<Self>, key: &[u8], parts: &[&[u8]]) -> Deferred<Answered> {
        let (answer, deferred) = Answer::deferred();
        self.send(key, parts, None, answer);
        deferred
    }

    /// The connection with the node that has `key`, as far as is known.
    pub(super) fn node_of(&self, key: &[u8]) -> Link {
        if !self.server.is_cluster {
            return self.main.clone();
        }
        self.slots.borrow().get(&redis_keyslot(key)).unwrap_or(&self.main).clone()
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
        self.slots.borrow_mut().insert(slot, node.clone());
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
        if let Some(known) = self.nodes.borrow().get(&name) {
            return Some(known.clone());
        }
        if self.nodes.borrow().len() >= MAX_NODES {
            return None;
        }
        let session = Rc::downgrade(self);
        let link = self.connect(host, MAX_FRAME, move |link, _| {
            link.open();
            if let Some(session) = session.upgrade() {
                session.upstream.writable();
            }
        });
        self.nodes.borrow_mut().insert(name, link.clone());
        Some(link)
    }

    /// Connects with a node, logs in, and calls `ready`. If that fails the session ends.
    pub(super) fn connect(
        self: &Rc<Self>,
        host: &HostPort,
        max_frame: usize,
        ready: impl FnOnce(&Link, Server) + 'static,
    ) -> Link {
        let link = Link::new(host.clone(), max_frame);
        link.belong_to(self);
        let connected = self.reactor.connect_protocol(self.hosts.endpoint(host), (link.protocol(), link.clone()));
        let (session, hosts, failed) = (Rc::downgrade(self), Rc::clone(&self.hosts), link.clone());
        let ready_link = link.clone();
        let told = connected
            .add_callback(move |link| log_in(&link, &hosts))
            .add_callback(move |server| {
                ready(&ready_link, server);
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

    /// A connection is lost. What the others still have to say of what was stored is waited for, so that it is not stored again.
    pub(super) fn link_lost(self: &Rc<Self>, link: &Link, error: &EngineError) {
        let pending = link.end(error);
        if self.ended.get().is_some() {
            return pending.into_iter().for_each(|pending| pending.answer.give(Err(error.clone())));
        }
        self.unanswered.borrow_mut().extend(pending);
        if link.is(&self.main) {
            return self.end(error);
        }
        if self.failing.set(error.clone()).is_ok() {
            self.end_when_answered(0);
        }
    }

    fn end_when_answered(self: &Rc<Self>, looked: u32) {
        let is_answered = !self.main.is_waiting() && !self.nodes.borrow().values().any(Link::is_waiting);
        let Some(error) = self.failing.get().filter(|_| is_answered || looked == LAST_LOOKS) else {
            let session = Rc::downgrade(self);
            self.reactor.call_later(LAST_LOOK, move || {
                if let Some(session) = session.upgrade().filter(|session| session.ended.get().is_none()) {
                    session.end_when_answered(looked + 1);
                }
            });
            return;
        };
        self.end(error);
    }

    /// Ends everything. The hub hears of it before anybody who waits for an answer.
    pub(super) fn end(self: &Rc<Self>, error: &EngineError) {
        if self.ended.set(error.clone()).is_err() {
            return;
        }
        let mut pending = self.unanswered.take();
        pending.extend(self.main.end(error));
        let nodes = std::mem::take(&mut *self.nodes.borrow_mut());
        self.slots.borrow_mut().clear();
        let tails = self.tails.take_links();
        for link in nodes.into_values().chain(tails) {
            pending.extend(link.end(error));
        }
        let unconfirmed = pending.iter().filter(|pending| matches!(pending.answer, Answer::Published(_))).count();
        if let Some(engine) = self.engine.upgrade() {
            engine.session_ended(error.clone(), unconfirmed as u64);
        }
        for pending in pending {
            pending.answer.give(Err(error.clone()));
        }
    }

    /// Closes everything for good, after what was written. Nobody is told.
    pub(super) fn close(&self) {
        self.ended.set(EngineError::Lost("the hub is closed".to_owned())).ok();
        self.main.close();
        self.nodes.borrow().values().for_each(Link::close);
        self.tails.take_links().iter().for_each(Link::close);
    }

    /// Whether the hub should keep what it has to send; if so, it is told when not any more.
    pub(super) fn is_congested(self: &Rc<Self>) -> bool {
        if self.failing.get().is_some() {
            return true;
        }
        let congested = if self.main.is_congested() {
            Some(self.main.clone())
        } else {
            self.nodes.borrow().values().find(|node| node.is_congested()).cloned()
        };
        let Some(link) = congested else { return false };
        // A node that has not let us in yet tells by itself.
        if link.is_open()
            && !self.waiting.replace(true)
            && let Some(transport) = link.transport()
        {
            let session = Rc::downgrade(self);
            let told = transport.when_writable().add_both(move |result| {
                if let Some(session) = session.upgrade() {
                    session.waiting.set(false);
                    if result.is_ok() {
                        session.upstream.writable();
                    }
                }
                Ok(())
            });
            told.detach();
        }
        true
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
