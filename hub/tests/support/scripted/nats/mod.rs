//! A NATS server that does what the test says: on a simulated host, or on any reactor.
//!
//! It speaks as much of NATS as the hub uses, and answers as nats-server 2.9 does: the core protocol with headers and queue
//! groups, JetStream's streams and push consumers, and its buckets. A suite takes it by `#[path =
//! "../support/scripted/nats/mod.rs"] mod scripted_nats;`, and allows `dead_code` in it.

mod api;
mod client;
mod streams;

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use torsade::prelude::*;
use torsade::{LineReceiver, Port};

use client::Client;
use streams::Streams;

/// A scripted server; a cheap handle. What it stores lives as long as the handle.
#[derive(Clone)]
pub struct ScriptedNats(pub(crate) Rc<Server>);

pub(crate) struct Server {
    /// Where it listens, and on which address.
    place: RefCell<Option<(Reactor, String)>>,
    port: RefCell<Option<Port>>,
    clients: RefCell<BTreeMap<u64, Rc<Client>>>,
    streams: Streams,
    next_client: Cell<u64>,
    turns: Cell<usize>,
    is_frozen: Cell<bool>,
    /// A look at the heartbeats is scheduled.
    beating: Cell<bool>,
    refuses_logins: RefCell<Option<String>>,
    only_subject: RefCell<Option<String>>,
    /// What it does not store, once each.
    missed: RefCell<Vec<String>>,
    says_behind_demand: RefCell<Option<Vec<u8>>>,
    jetstream: Cell<bool>,
    delay: Cell<Duration>,
    max_payload: Cell<usize>,
    connections: Cell<u64>,
    /// What it was sent, a line each, payloads left out.
    heard: RefCell<Vec<String>>,
}

impl ScriptedNats {
    /// A server with JetStream that keeps nothing yet, and listens nowhere.
    pub fn new() -> Self {
        Self(Rc::new(Server {
            place: RefCell::default(),
            port: RefCell::default(),
            clients: RefCell::default(),
            streams: Streams::default(),
            next_client: Cell::new(0),
            turns: Cell::new(0),
            is_frozen: Cell::new(false),
            beating: Cell::new(false),
            refuses_logins: RefCell::default(),
            only_subject: RefCell::default(),
            missed: RefCell::default(),
            says_behind_demand: RefCell::default(),
            jetstream: Cell::new(true),
            delay: Cell::new(Duration::ZERO),
            max_payload: Cell::new(1 << 20),
            connections: Cell::new(0),
            heard: RefCell::default(),
        }))
    }

    /// Listens, on a simulated host such as `10.0.0.9:4222`, or on loopback: with what it has stored, also on another reactor
    /// after the first has crashed.
    pub fn listen(&self, reactor: &Reactor, address: &str) {
        self.0.place.replace(Some((reactor.clone(), address.to_owned())));
        self.0.clients.borrow_mut().clear();
        self.0.streams.begin_on(reactor);
        self.0.beating.set(false);
        self.start();
    }

    /// Begins again after [`kill`](Self::kill), with what it has stored: in the next turn, if the old one has its port until
    /// then.
    pub fn start(&self) {
        let server = Rc::clone(&self.0);
        let factory = move |_: Address| LineReceiver::new(client::Wire::new(&server)).message_timeout(None);
        let (reactor, address) = self.0.place.borrow().clone().expect("it was told where to listen");
        match reactor.listen(address.as_str(), factory) {
            Ok(port) => drop(self.0.port.replace(Some(port))),
            Err(_) => {
                let server = self.clone();
                reactor.call_later(Duration::from_millis(1), move || server.start());
            }
        }
    }

    /// Ends as a crash of the program does: connections are reset, nobody listens, and what is not stored is forgotten.
    pub fn kill(&self) {
        if let Some(port) = self.0.port.take() {
            port.stop_listening();
        }
        self.drop_all();
        self.0.streams.forget_consumers();
        self.0.is_frozen.set(false);
    }

    /// Kills it and begins again, with what it has stored or without.
    pub fn restart(&self, keeps_data: bool) {
        self.kill();
        if !keeps_data {
            self.lose_data();
        }
        self.start();
    }

    /// Loses all that it has stored.
    pub fn lose_data(&self) {
        self.0.streams.clear();
    }

    /// Keeps what it has now; [`return_to`](Self::return_to) brings it back, as a restart from an old snapshot does.
    pub fn snapshot(&self) -> Snapshot {
        Snapshot(self.0.streams.streams.borrow().clone())
    }

    /// Has what it had then.
    pub fn return_to(&self, snapshot: &Snapshot) {
        self.0.streams.streams.replace(snapshot.0.clone());
    }

    /// Loses the last `count` messages of each stream, as a server that was killed before it had written them.
    pub fn lose_last(&self, count: usize) {
        self.0.streams.lose_last(count);
    }

    /// Resets all connections.
    pub fn drop_all(&self) {
        let clients = std::mem::take(&mut *self.0.clients.borrow_mut());
        clients.values().for_each(|client| client.transport.abort_connection());
    }

    /// Takes connections and bytes, and does nothing with them until [`thaw`](Self::thaw).
    pub fn freeze(&self) {
        self.0.is_frozen.set(true);
        self.0.clients.borrow().values().for_each(|client| client.transport.pause_producing());
    }

    /// Goes on with what came since [`freeze`](Self::freeze).
    pub fn thaw(&self) {
        self.0.is_frozen.set(false);
        let clients: Vec<_> = self.0.clients.borrow().values().cloned().collect();
        for client in clients {
            client.transport.resume_producing();
            self.0.greet(&client);
        }
        self.0.feed_all();
    }

    /// The same as freeze and thaw.
    pub fn stop_answering(&self, stopped: bool) {
        if stopped { self.freeze() } else { self.thaw() }
    }

    /// Refuses every login with this error, such as `Authorization Violation`; lets all in again with none.
    pub fn refuse_logins(&self, error: Option<&str>) {
        self.0.refuses_logins.replace(error.map(str::to_owned));
    }

    /// Lets clients publish on this subject alone, apart from requests.
    pub fn allow_publishing_only_on(&self, subject: &str) {
        self.0.only_subject.replace(Some(subject.to_owned()));
    }

    /// Stores none of these payloads the first time that they come, as while nobody leads their stream.
    pub fn miss_once(&self, payloads: &[&str]) {
        self.0.missed.borrow_mut().extend(payloads.iter().map(|payload| (*payload).to_owned()));
    }

    /// Everything that it sends comes so much later.
    pub fn delay(&self, delay: Duration) {
        self.0.delay.set(delay);
    }

    /// Has JetStream or not.
    pub fn set_jetstream(&self, on: bool) {
        self.0.jetstream.set(on);
    }

    /// Demands TLS of the next clients, and says this at once, in plaintext; it has no TLS.
    pub fn demand_tls_and_say(&self, bytes: &[u8]) {
        self.0.says_behind_demand.replace(Some(bytes.to_vec()));
    }

    /// Tells the next clients that a message may have so many bytes.
    pub fn set_max_payload(&self, bytes: usize) {
        self.0.max_payload.set(bytes);
    }

    /// Sends all clients these bytes, whatever they mean.
    pub fn say(&self, bytes: &[u8]) {
        let clients: Vec<_> = self.0.clients.borrow().values().cloned().collect();
        clients.iter().for_each(|client| client.transport.write(bytes));
    }

    /// Publishes, as a program that is no hub does.
    pub fn publish(&self, subject: &str, payload: &[u8]) {
        self.0.publish(subject, None, b"", payload);
    }

    /// Loses one message of each consumer: it counts as sent.
    pub fn lose_next_of_consumers(&self) {
        self.0.streams.skip_one();
    }

    /// Forgets all consumers without a word, as a server of a cluster that was replaced.
    pub fn forget_consumers(&self) {
        self.0.streams.forget_consumers();
    }

    /// Deletes a stream with all its messages.
    pub fn delete_stream(&self, name: &str) {
        self.0.streams.delete(name);
    }

    /// Reads no more of what it is sent, but goes on sending.
    pub fn stop_reading(&self) {
        self.0.clients.borrow().values().for_each(|client| client.transport.pause_producing());
    }

    /// Ends [`stop_reading`](Self::stop_reading).
    pub fn read_again(&self) {
        self.0.clients.borrow().values().for_each(|client| client.transport.resume_producing());
    }

    /// How many consumers there are.
    pub fn consumers(&self) -> usize {
        self.0.streams.consumers.borrow().len()
    }

    /// Who is connected now.
    pub fn clients(&self) -> usize {
        self.0.clients.borrow().len()
    }

    /// How many connections there have been.
    pub fn connections(&self) -> u64 {
        self.0.connections.get()
    }

    /// The control lines that it was sent so far.
    pub fn heard(&self) -> Vec<String> {
        self.0.heard.borrow().clone()
    }

    /// The payloads of a stream, and how many it may keep.
    pub fn stored(&self, stream: &str) -> (Vec<String>, i64) {
        self.0.streams.stored(stream)
    }
}

impl Default for ScriptedNats {
    fn default() -> Self {
        Self::new()
    }
}

/// What a server had stored.
pub struct Snapshot(BTreeMap<String, streams::Stream>);

impl Server {
    pub(crate) fn reactor(&self) -> Reactor {
        self.place.borrow().as_ref().expect("it was told where to listen").0.clone()
    }

    /// Whether a client may publish there.
    fn allows(&self, subject: &str) -> bool {
        let is_open = |only: &String| only == subject || subject.starts_with("$JS.") || subject.starts_with("_INBOX.");
        self.only_subject.borrow().as_ref().is_none_or(is_open)
    }

    fn greet(&self, client: &Client) {
        if self.is_frozen.get() || client.is_greeted.replace(true) {
            return;
        }
        let info = serde_json::json!({
            "server_id": "SCRIPTED", "server_name": "scripted", "version": "2.9.10", "proto": 1, "headers": true,
            "max_payload": self.max_payload.get(), "jetstream": self.jetstream.get(), "client_id": client.number,
            "tls_required": self.says_behind_demand.borrow().is_some(),
        });
        let behind = self.says_behind_demand.borrow().clone().unwrap_or_default();
        self.send(client, [format!("INFO {info} \r\n").as_bytes(), &behind].concat());
    }

    /// Sends bytes to a client, late if that was asked for.
    fn send(&self, client: &Client, bytes: Vec<u8>) {
        let delay = self.delay.get();
        if delay.is_zero() && client.late.get() == 0 {
            return client.transport.write(bytes);
        }
        // What is late holds up what follows.
        client.late.set(client.late.get() + 1);
        let (transport, late) = (client.transport.clone(), Rc::clone(&client.late));
        self.reactor().call_later(delay, move || {
            late.set(late.get() - 1);
            transport.write(bytes);
        });
    }

    /// A message on its way; gives whether anybody got it.
    fn publish(self: &Rc<Self>, subject: &str, reply: Option<&str>, headers: &[u8], payload: &[u8]) -> bool {
        if subject.starts_with("$JS.API.") {
            return self.jetstream.get() && self.answer_api(subject, reply, payload);
        }
        let missed = self.missed.borrow().iter().position(|missed| missed.as_bytes() == payload);
        if let Some(missed) = missed {
            self.missed.borrow_mut().remove(missed);
            return false;
        }
        let stored = if self.jetstream.get() { self.streams.store(subject, headers, payload) } else { None };
        let is_stored = stored.is_some();
        if let (Some(answer), Some(reply)) = (stored, reply) {
            self.deliver(reply, None, b"", answer.as_bytes());
        }
        let is_heard = self.deliver(subject, reply, headers, payload);
        if is_stored {
            self.feed_all();
        }
        is_heard || is_stored
    }

    /// Sends a message to all who have subscribed to it; gives whether there was anybody.
    fn deliver(&self, subject: &str, reply: Option<&str>, headers: &[u8], payload: &[u8]) -> bool {
        let clients: Vec<_> = self.clients.borrow().values().cloned().collect();
        let mut groups: BTreeMap<String, Vec<(Rc<Client>, String)>> = BTreeMap::new();
        let mut any = false;
        for client in clients {
            for (group, sid) in client.wants(subject) {
                any = true;
                match group {
                    Some(group) => groups.entry(group).or_default().push((Rc::clone(&client), sid)),
                    None => self.send_message(&client, &sid, subject, reply, headers, payload),
                }
            }
        }
        for members in groups.into_values() {
            let turn = self.turns.replace(self.turns.get() + 1);
            let (client, sid) = &members[turn % members.len()];
            self.send_message(client, sid, subject, reply, headers, payload);
        }
        any
    }

    fn send_message(&self, client: &Client, sid: &str, subject: &str, reply: Option<&str>, headers: &[u8], payload: &[u8]) {
        let reply = reply.map_or_else(String::new, |reply| format!("{reply} "));
        let total = headers.len() + payload.len();
        let line = if headers.is_empty() {
            format!("MSG {subject} {sid} {reply}{total}\r\n")
        } else {
            format!("HMSG {subject} {sid} {reply}{} {total}\r\n", headers.len())
        };
        self.send(client, [line.as_bytes(), headers, payload, b"\r\n"].concat());
        client.count_down(sid);
    }

    /// Sends what consumers have not had yet.
    fn feed_all(self: &Rc<Self>) {
        if !self.is_frozen.get() {
            self.streams.feed(|to, subject, reply, headers, payload| self.deliver_as(to, subject, reply, headers, payload));
        }
    }

    /// Sends a message to those who have subscribed to `to`, under its own subject.
    fn deliver_as(&self, to: &str, subject: &str, reply: &str, headers: &[u8], payload: &[u8]) -> bool {
        let clients: Vec<_> = self.clients.borrow().values().cloned().collect();
        let mut any = false;
        for client in clients {
            for (_, sid) in client.wants(to) {
                any = true;
                self.send_message(&client, &sid, subject, Some(reply).filter(|reply| !reply.is_empty()), headers, payload);
            }
        }
        any
    }
}

/// Whether a pattern asks for a subject.
pub(crate) fn matches(pattern: &str, subject: &str) -> bool {
    let mut words = subject.split('.');
    for wanted in pattern.split('.') {
        match (wanted, words.next()) {
            (">", Some(_)) => return true,
            ("*", Some(_)) => {}
            (_, word) if word == Some(wanted) => {}
            _ => return false,
        }
    }
    words.next().is_none()
}
