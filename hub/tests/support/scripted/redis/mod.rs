//! A Redis for simulated networks: as much of the real one as the hub uses, and a script for faults.
//!
//! A suite takes it by `#[path = "../support/scripted/redis/mod.rs"] mod scripted_redis;`. It is compared with `redis-server` by
//! `hub/tests/redis`, command by command.
#![allow(dead_code, reason = "each test binary uses a part of it")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::missing_panics_doc, reason = "a test")]

mod commands;
mod connection;
mod data;
pub mod wire;

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::time::Duration;

use torsade::prelude::*;

use self::connection::Client;
use self::data::Data;
pub use self::wire::Value;

/// A broker with its data; a cheap handle. It listens on any host, and on another one after the first has crashed.
#[derive(Clone, Default)]
pub struct ScriptedRedis(Rc<Broker>);

#[derive(Default)]
struct Broker {
    data: RefCell<Data>,
    clients: RefCell<BTreeMap<u64, Rc<Client>>>,
    last_client: Cell<u64>,
    script: Script,
    ports: RefCell<Vec<Port>>,
}

/// What goes wrong.
#[derive(Default)]
struct Script {
    login: RefCell<Option<(String, String)>>,
    refusal: RefCell<Option<String>>,
    delay: Cell<Duration>,
    silent: Cell<bool>,
    failures: RefCell<BTreeMap<String, String>>,
    only_channel: RefCell<Option<Vec<u8>>>,
    withheld: RefCell<BTreeSet<String>>,
    asked: RefCell<Vec<String>>,
}

impl ScriptedRedis {
    pub fn new() -> Self {
        Self::default()
    }

    /// Listens, on a simulated host such as `10.0.0.9:6379`, or on loopback. What it keeps it has from before.
    pub fn listen(&self, reactor: &Reactor, address: &str) -> Port {
        let broker = self.clone();
        let port = reactor.listen(address, move |_peer| connection::protocol(&broker)).unwrap();
        self.0.ports.borrow_mut().push(port.clone());
        port
    }

    /// Wants a login from those who connect from now on.
    pub fn require_login(&self, user: &str, password: &str) {
        self.0.script.login.replace(Some((user.to_owned(), password.to_owned())));
    }

    /// Refuses every login with this error, such as `NOPERM you may not`; lets all in again with none.
    pub fn refuse_logins(&self, error: Option<&str>) {
        self.0.script.refusal.replace(error.map(str::to_owned));
    }

    /// Answers every command of this name with this error; as usual again with none.
    pub fn fail_command(&self, name: &str, error: Option<&str>) {
        let mut failures = self.0.script.failures.borrow_mut();
        match error {
            Some(error) => drop(failures.insert(name.to_owned(), error.to_owned())),
            None => drop(failures.remove(name)),
        }
    }

    /// Lets clients publish on this channel alone.
    pub fn allow_publishing_only_on(&self, channel: &str) {
        self.0.script.only_channel.replace(Some(channel.as_bytes().to_vec()));
    }

    /// Carries out commands of this name and does not answer them, until it is told otherwise.
    pub fn withhold(&self, name: &str, withheld: bool) {
        let mut names = self.0.script.withheld.borrow_mut();
        if withheld {
            names.insert(name.to_owned())
        } else {
            names.remove(name)
        };
    }

    /// Sends everything so much later, in its order.
    pub fn delay(&self, delay: Duration) {
        self.0.script.delay.set(delay);
    }

    /// Takes connections and commands, and answers nothing, until it is told otherwise. What came meanwhile is lost.
    pub fn stop_answering(&self, stopped: bool) {
        self.0.script.silent.set(stopped);
    }

    /// Resets all connections.
    pub fn drop_all(&self) {
        let clients: Vec<_> = self.0.clients.borrow().values().cloned().collect();
        clients.iter().for_each(|client| client.transport.abort_connection());
    }

    /// Loses all that it keeps, as after a restart without its disk. Its connections stay: see [`drop_all`](Self::drop_all).
    pub fn lose_data(&self) {
        self.0.data.replace(Data::default());
        commands::all_changed(self);
    }

    /// Keeps what it has now; [`return_to`](Self::return_to) brings it back, as a restart from an old snapshot does.
    pub fn snapshot(&self) -> Snapshot {
        Snapshot(self.0.data.borrow().clone())
    }

    pub fn return_to(&self, snapshot: &Snapshot) {
        self.0.data.replace(snapshot.0.clone());
        commands::all_changed(self);
    }

    /// Carries out a command as a client would, and gives the answer: for what a test wants to see or to change.
    pub fn ask(&self, reactor: &Reactor, command: &[&str]) -> Value {
        let parts: Vec<_> = command.iter().map(|part| part.as_bytes().to_vec()).collect();
        let answer = commands::run(self, None, reactor.now(), &parts).unwrap_or(Value::Null);
        commands::track(self, None, &parts, Some(&answer));
        answer
    }

    /// How many clients are connected.
    pub fn clients(&self) -> usize {
        self.0.clients.borrow().len()
    }

    /// The names of the commands that have come since the last call.
    pub fn take_asked(&self) -> Vec<String> {
        self.0.script.asked.take()
    }
}

/// What a broker had kept.
pub struct Snapshot(Data);
