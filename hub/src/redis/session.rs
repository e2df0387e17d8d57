//! What lives from a login to the loss of its connection.

use std::cell::{Cell, OnceCell, RefCell};
use std::rc::{Rc, Weak};

use torsade_reactor::{Deferred, Reactor};

use crate::engine::Upstream;
use crate::error::EngineError;
use crate::message::Publication;
use crate::topic::Topic;

use super::address::RedisAddress;
use super::channels::Channels;
use super::cluster::Nodes;
use super::command::{Again, Answer, Answered, Pending};
use super::engine::Inner;
use super::link::Link;
use super::login::Server;
use super::tail::Tails;

/// Everything that belongs to one login. It ends when the main connection is lost, or with sharded pub/sub in a cluster, where
/// each topic has its node, when all connections are; the hub starts over with the next session.
pub(super) struct Session {
    engine: Weak<Inner>,
    pub(super) address: Rc<RedisAddress>,
    pub(super) reactor: Reactor,
    pub(super) upstream: Upstream,
    main: RefCell<Link>,
    pub(super) server: Server,
    pub(super) nodes: Nodes,
    pub(super) channels: Channels,
    pub(super) tails: Tails,
    /// Whether the hub is to be told when there is room to write.
    waiting: Cell<bool>,
    ended: OnceCell<EngineError>,
}

impl Session {
    pub(super) fn new(engine: &Rc<Inner>, reactor: Reactor, upstream: Upstream, main: Link, server: Server) -> Rc<Self> {
        let session = Rc::new(Self {
            engine: Rc::downgrade(engine),
            address: Rc::clone(&engine.address),
            reactor,
            upstream,
            main: RefCell::new(main),
            server,
            nodes: Nodes::default(),
            channels: Channels::default(),
            tails: Tails::default(),
            waiting: Cell::new(false),
            ended: OnceCell::new(),
        });
        session.main().belong_to(&session);
        session
    }

    /// The connection that the engine has made.
    pub(super) fn main(&self) -> Link {
        self.main.borrow().clone()
    }

    /// The engine has made another connection after the main one was lost.
    pub(super) fn go_on_with(self: &Rc<Self>, main: &Link) {
        main.belong_to(self);
        self.main.replace(main.clone());
        main.open();
        self.upstream.writable();
    }

    /// Why it has ended, if it has.
    pub(super) fn end_error(&self) -> Option<EngineError> {
        self.ended.get().cloned()
    }

    pub(super) fn publish(self: &Rc<Self>, topic: &Topic, publication: &Publication) {
        let (key, payload) = (topic.as_str().as_bytes(), publication.payload());
        match (self.address.sharded, self.server.is_cluster) {
            (true, true) => self.send(key, &[b"SPUBLISH", key, payload], None, Answer::Published(topic.clone())),
            (true, false) => self.main().publish(b"SPUBLISH", topic, payload),
            (false, _) => self.main().publish(b"PUBLISH", topic, payload),
        }
    }

    /// Sends a command to the node that has `key`. `confirmed_for` is the channel, if a push answers the command.
    pub(super) fn send(self: &Rc<Self>, key: &[u8], parts: &[&[u8]], confirmed_for: Option<Rc<[u8]>>, answer: Answer) {
        if self.server.is_cluster {
            let again = Some(Again::new(key, parts));
            self.send_to_slot(Pending { confirmed_for, again, ..Pending::new(answer) });
        } else {
            self.main().send(parts, Pending { confirmed_for, ..Pending::new(answer) });
        }
    }

    /// Sends a command, and returns its answer.
    pub(super) fn call(self: &Rc<Self>, key: &[u8], parts: &[&[u8]]) -> Deferred<Answered> {
        let (answer, deferred) = Answer::deferred();
        self.send(key, parts, None, answer);
        deferred
    }

    /// The same for a command whose answer may be long: it is sent once few enough such answers are under way on that connection.
    pub(super) fn ask(self: &Rc<Self>, key: &[u8], parts: &[&[u8]]) -> Deferred<Answered> {
        let (session, command) = (Rc::clone(self), Again::new(key, parts));
        let link = if self.server.is_cluster { self.node_of(command.slot) } else { self.main() };
        link.permit().add_callback(move |permit| {
            let (answer, deferred) = Answer::deferred();
            let pending = Pending { permit: Some(permit), ..Pending::new(answer) };
            if session.server.is_cluster {
                session.send_to_slot(Pending { again: Some(command), ..pending });
            } else {
                session.main().send_encoded(&command.bytes, pending);
            }
            deferred
        })
    }

    /// A connection is lost, or could not be made.
    pub(super) fn link_lost(self: &Rc<Self>, link: &Link, error: &EngineError) {
        let pending = link.end(error);
        if self.ended.get().is_some() {
            pending.into_iter().for_each(|pending| pending.answer.give(Err(error.clone())));
        } else if (link.is(&self.main()) && !self.has_shards()) || !self.has_connection() {
            self.end_with(error, pending);
        } else {
            self.node_lost(link, pending, error);
        }
    }

    /// Whether every topic has its node, live ones too, so that no node matters more than another.
    fn has_shards(&self) -> bool {
        self.address.sharded && self.server.is_cluster
    }

    fn has_connection(&self) -> bool {
        !self.main().has_ended() || self.nodes.any_open().is_some()
    }

    /// The main connection was lost, and the session goes on.
    pub(super) fn await_main(&self) {
        if let Some(engine) = self.engine.upgrade() {
            engine.await_connection();
        }
    }

    /// Ends everything.
    pub(super) fn end(self: &Rc<Self>, error: &EngineError) {
        let pending = self.main().end(error);
        self.end_with(error, pending);
    }

    /// The hub hears of the end before the commands get their errors.
    fn end_with(self: &Rc<Self>, error: &EngineError, mut pending: Vec<Pending>) {
        if self.ended.set(error.clone()).is_ok() {
            pending.extend(self.nodes.end(error));
            let unconfirmed = pending.iter().filter(|pending| matches!(pending.answer, Answer::Published(_))).count();
            if let Some(engine) = self.engine.upgrade() {
                engine.session_ended(error.clone(), unconfirmed as u64);
            }
        }
        for pending in pending {
            pending.answer.give(Err(error.clone()));
        }
    }

    /// Closes everything for good, after what was written, without telling the hub.
    pub(super) fn close(&self) {
        let closed = EngineError::Lost("the hub is closed".to_owned());
        self.ended.set(closed.clone()).ok();
        self.main().close();
        self.nodes.links().iter().for_each(Link::close);
        self.nodes.take_held().into_iter().for_each(|pending| pending.answer.give(Err(closed.clone())));
    }

    /// Whether the hub should keep its publications for now; if so, it is told when that has changed.
    pub(super) fn is_congested(self: &Rc<Self>) -> bool {
        let congested = Some(self.main()).filter(Link::is_congested).or_else(|| self.nodes.is_congested());
        let Some(link) = congested else { return false };
        // A link that waits for its login or for answers reports by itself.
        if link.is_open()
            && !link.is_full()
            && !self.waiting.replace(true)
            && let Some(transport) = link.transport()
        {
            let session = Rc::downgrade(self);
            let told = transport.when_writable().add_both(move |_| {
                if let Some(session) = session.upgrade() {
                    session.waiting.set(false);
                    session.upstream.writable();
                }
                Ok(())
            });
            told.detach();
        }
        true
    }
}
