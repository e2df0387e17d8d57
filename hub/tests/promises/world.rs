//! Where a case runs: the processes of a program, what is between them, and the engine's broker.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::{Duration, Instant};

use torsade::hub::{Hub, HubConfig, PublishError};
use torsade::prelude::*;
use torsade::simulated::{Host, Simulation, simulate};

use crate::broker::Broker;
use crate::deadline::Deadline;
use crate::heard::{GREETING, Heard};
use crate::scripted_nats::ScriptedNats;
use crate::scripted_redis::ScriptedRedis;

/// The time on the system's sockets after which something counts as hung; long, because the machine may be busy.
const LIMIT: Duration = Duration::from_secs(300);

/// The number of seeds for each case in the simulated network.
const SEEDS: std::ops::Range<u64> = 0..8;

/// The broker's address in the simulated network.
pub const BROKER: &str = "10.0.0.1";
const REDIS: &str = "10.0.0.1:6379";
const NATS: &str = "10.0.0.1:4222";

/// The engines that carry the messages.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Engine {
    Local,
    Redis,
    Nats,
}

/// What the test does to a broker.
pub trait Control {
    /// Ends it, as a crash of the program does; its connections are closed by its system.
    fn kill(&mut self);

    /// Restarts it at its address after [`kill`](Self::kill), with or without its data.
    fn start(&mut self, keeps_data: bool);

    /// Makes it accept connections but answer nothing, until it is thawed.
    fn freeze(&mut self);

    /// Ends [`freeze`](Self::freeze).
    fn thaw(&mut self);

    /// Ends all connections.
    fn drop_connections(&mut self);

    /// Allows clients to publish on this topic only; may restart the broker for that.
    fn allow_publishing_only_on(&mut self, topic: &str);
}

pub struct World {
    pub engine: Engine,
    config: HubConfig,
    broker: RefCell<Option<Box<dyn Control>>>,
    net: Net,
}

enum Net {
    /// Each process is a simulated host; this is their number.
    Simulated(Simulation, Cell<u8>),
    /// Each process is a reactor on this machine's sockets, turned here; and the port of the real broker.
    System(RefCell<BTreeMap<usize, Reactor>>, u16),
}

/// A process: its reactor and the address of its machine.
pub struct Process {
    pub reactor: Reactor,
    pub address: String,
    kind: Kind,
}

enum Kind {
    Host(Host),
    /// By its number.
    Reactor(usize),
}

impl World {
    fn new(engine: Engine, url: &str, broker: Option<Box<dyn Control>>, net: Net) -> Self {
        let config = HubConfig::new(url).expect("a URL");
        Self { engine, config, broker: RefCell::new(broker), net }
    }

    /// This machine's sockets, and a real broker.
    pub fn on_this_machine(engine: Engine, broker: Broker) -> Self {
        let (url, net) = (broker.url(), Net::System(RefCell::default(), broker.port()));
        Self::new(engine, &url, Some(Box::new(broker)), net)
    }

    /// This machine's sockets, and brokers that the test keeps to itself; one of them has this port.
    pub fn beside(engine: Engine, url: &str, port: u16) -> Self {
        Self::new(engine, url, None, Net::System(RefCell::default(), port))
    }

    /// The configuration for hubs of this world. Clones belong to one program.
    pub fn config(&self) -> HubConfig {
        self.config.clone()
    }

    /// Adds a process.
    pub fn process(&self) -> Process {
        match &self.net {
            Net::Simulated(simulation, made) => {
                made.set(made.get() + 1);
                let host = simulation.host(&format!("10.0.1.{}", made.get()));
                Process { reactor: host.reactor().clone(), address: host.ip().to_string(), kind: Kind::Host(host) }
            }
            Net::System(reactors, _) => {
                let reactor = Reactor::new().expect("a reactor");
                reactor.start_running().expect("it does not run yet");
                let number = reactors.borrow().last_key_value().map_or(0, |(last, _)| last + 1);
                reactors.borrow_mut().insert(number, reactor.clone());
                Process { reactor, address: "127.0.0.1".to_owned(), kind: Kind::Reactor(number) }
            }
        }
    }

    /// Adds a process with a connected hub.
    pub fn hub(&self, config: &HubConfig) -> (Process, Hub) {
        let process = self.process();
        let hub = process.open(config);
        self.connect(&hub);
        (process, hub)
    }

    /// Runs until a hub is connected.
    pub fn connect(&self, hub: &Hub) {
        let connected = hub.when_connected();
        self.run_until("a connection to the broker", || connected.is_called());
    }

    /// Ends a process, as SIGKILL does: no callback is called any more, and its sockets are closed.
    pub fn kill(&self, process: Process) {
        match (&self.net, &process.kind) {
            (_, Kind::Host(host)) => host.kill(),
            (Net::System(reactors, _), Kind::Reactor(number)) => {
                reactors.borrow_mut().remove(number);
                end(&process.reactor);
            }
            (Net::Simulated(..), Kind::Reactor(_)) => unreachable!("a process of another world"),
        }
    }

    /// Does something to the broker.
    pub fn broker(&self, act: impl FnOnce(&mut dyn Control)) {
        act(self.broker.borrow_mut().as_deref_mut().expect("this engine has a broker"));
    }

    /// Starts a deadline.
    pub fn deadline(&self, time: Duration) -> Deadline {
        match (&self.net, self.engine) {
            (Net::Simulated(simulation, _), _) => Deadline::simulated(simulation, time),
            (Net::System(_, port), Engine::Redis) => Deadline::redis(*port, time),
            (Net::System(_, port), Engine::Nats) => Deadline::nats(*port, time),
            (Net::System(..), Engine::Local) => unreachable!("it has no broker"),
        }
    }

    /// Returns the simulated network, if this world is one.
    pub const fn simulation(&self) -> Option<&Simulation> {
        match &self.net {
            Net::Simulated(simulation, _) => Some(simulation),
            Net::System(..) => None,
        }
    }

    /// Runs all processes until a condition holds; fails if it never does.
    pub fn run_until(&self, what: &str, mut condition: impl FnMut() -> bool) {
        match &self.net {
            Net::Simulated(simulation, _) => {
                if let Err(error) = simulation.run_until(condition) {
                    panic!("{what} did not come: {error}");
                }
            }
            Net::System(reactors, _) => {
                let end = Instant::now() + LIMIT;
                while !condition() {
                    assert!(Instant::now() < end, "{what} did not come");
                    turn(reactors);
                }
            }
        }
    }

    /// Runs all processes for a time; on the system's sockets, for at least this time.
    pub fn run_for(&self, time: Duration) {
        match &self.net {
            Net::Simulated(simulation, _) => simulation.run_for(time).expect("it runs"),
            Net::System(reactors, _) => {
                let end = Instant::now() + time;
                while Instant::now() < end {
                    turn(reactors);
                }
            }
        }
    }

    /// Publishes a message, waiting while the hub's queue is full.
    pub fn publish(&self, hub: &Hub, topic: &str, payload: impl AsRef<[u8]>) {
        let mut error = None;
        self.run_until("room in the queue", || match hub.publish(topic, payload.as_ref()) {
            Err(PublishError::Full) => false,
            other => {
                error = other.err();
                true
            }
        });
        assert!(error.is_none(), "{topic}: {error:?}");
    }

    /// Runs until a subscription has begun: says something that [`Heard`] does not count, until it is heard. Less and less often,
    /// since a connection that takes 1000 bytes a second has to take all of it.
    pub fn until_heard(&self, publisher: &Hub, topic: &str, ears: &Heard) {
        let (before, mut wait) = (ears.greetings(), Duration::from_millis(2));
        self.repeat_until(&format!("a greeting on {topic}"), || {
            // Refused or dropped while the broker is unreachable.
            drop(publisher.publish(topic, GREETING));
            self.run_for(wait);
            wait = (wait * 2).min(Duration::from_secs(2));
            ears.greetings() > before
        });
    }

    /// Does something again and again, with a moment between, until it says that it has been enough.
    pub fn repeat_until(&self, what: &str, mut act: impl FnMut() -> bool) {
        let end = Instant::now() + LIMIT;
        while !act() {
            assert!(Instant::now() < end, "{what} did not come: {:?}", self.simulation().map(Simulation::report));
            self.run_for(Duration::from_millis(2));
        }
    }

    /// Runs until a Deferred has fired; returns its result.
    pub fn wait<T: 'static>(&self, what: &str, deferred: Deferred<T>) -> std::result::Result<T, Failure> {
        let result = Rc::<RefCell<Option<_>>>::default();
        let slot = Rc::clone(&result);
        let told = deferred.add_both(move |result| {
            slot.replace(Some(result));
            Ok(())
        });
        told.detach();
        self.run_until(what, || result.borrow().is_some());
        result.take().expect("it has come")
    }
}

/// Runs one turn of each reactor; the last one waits a moment for input.
fn turn(reactors: &RefCell<BTreeMap<usize, Reactor>>) {
    let reactors: Vec<_> = reactors.borrow().values().cloned().collect();
    let last = reactors.len().saturating_sub(1);
    for (index, reactor) in reactors.iter().enumerate() {
        let wait = if index == last { Duration::from_millis(1) } else { Duration::ZERO };
        reactor.iterate(Some(wait)).expect("a turn");
    }
}

impl Drop for World {
    fn drop(&mut self) {
        let Net::System(reactors, _) = &self.net else { return };
        reactors.take().values().for_each(end);
    }
}

/// Ends a reactor as if its process were killed: nothing is shut down, and its connections are aborted.
fn end(reactor: &Reactor) {
    reactor.crash().unwrap_or_default();
    reactor.iterate(Some(Duration::ZERO)).unwrap_or_default();
    reactor.disconnect_all().unwrap_or_default();
}

impl Process {
    /// Opens a hub in this process.
    pub fn open(&self, config: &HubConfig) -> Hub {
        config.open(&self.reactor).expect("a hub")
    }
}

impl Control for Broker {
    fn kill(&mut self) {
        Self::kill(self);
    }

    fn start(&mut self, keeps_data: bool) {
        if !keeps_data {
            self.lose_data();
        }
        Self::start(self);
    }

    fn freeze(&mut self) {
        assert!(Self::freeze(self), "there is a kill command");
    }

    fn thaw(&mut self) {
        assert!(Self::thaw(self), "there is a kill command");
    }

    fn drop_connections(&mut self) {
        Self::kill(self);
        Self::start(self);
    }

    fn allow_publishing_only_on(&mut self, topic: &str) {
        Self::allow_publishing_only_on(self, topic);
    }
}

/// A scripted Redis on a host of its own, which is killed with it.
struct RedisHost(ScriptedRedis, Host);

impl Control for RedisHost {
    fn kill(&mut self) {
        self.1.kill();
    }

    fn start(&mut self, keeps_data: bool) {
        if !keeps_data {
            self.0.lose_data();
        }
        self.1 = self.1.restart();
        self.0.listen(&self.1, REDIS);
    }

    fn freeze(&mut self) {
        self.0.stop_answering(true);
    }

    fn thaw(&mut self) {
        self.0.stop_answering(false);
    }

    fn drop_connections(&mut self) {
        self.0.drop_all();
    }

    fn allow_publishing_only_on(&mut self, topic: &str) {
        self.0.allow_publishing_only_on(topic);
    }
}

impl Control for ScriptedNats {
    fn kill(&mut self) {
        Self::kill(self);
    }

    fn start(&mut self, keeps_data: bool) {
        if !keeps_data {
            self.lose_data();
        }
        Self::start(self);
    }

    fn freeze(&mut self) {
        Self::freeze(self);
    }

    fn thaw(&mut self) {
        Self::thaw(self);
    }

    fn drop_connections(&mut self) {
        self.drop_all();
    }

    fn allow_publishing_only_on(&mut self, topic: &str) {
        Self::allow_publishing_only_on(self, topic);
    }
}

/// Runs a case in simulated networks beside a scripted Redis.
pub fn scripted_redis(case: fn(&World)) {
    simulate(SEEDS, |simulation| {
        let (redis, host) = (ScriptedRedis::new(), simulation.host(BROKER));
        redis.listen(&host, REDIS);
        let url = format!("redis://{REDIS}");
        let net = Net::Simulated(simulation.clone(), Cell::new(0));
        case(&World::new(Engine::Redis, &url, Some(Box::new(RedisHost(redis, host))), net));
    });
}

/// Runs a case in simulated networks beside a scripted NATS server.
pub fn scripted_nats(case: fn(&World)) {
    simulate(SEEDS, |simulation| {
        let nats = ScriptedNats::new();
        nats.listen(&simulation.host(BROKER), NATS);
        let url = format!("nats://{NATS}");
        let net = Net::Simulated(simulation.clone(), Cell::new(0));
        case(&World::new(Engine::Nats, &url, Some(Box::new(nats)), net));
    });
}

/// Runs a case in one process without a broker, over several reactors.
pub fn local(case: fn(&World)) {
    simulate(SEEDS, |simulation| {
        case(&World::new(Engine::Local, "local:", None, Net::Simulated(simulation.clone(), Cell::new(0))));
    });
}

/// Runs a case beside `redis-server`, where it is installed.
pub fn redis(case: fn(&World)) {
    system(Engine::Redis, Broker::redis(), case);
}

/// Runs a case beside `nats-server`, where it is installed.
pub fn nats(case: fn(&World)) {
    system(Engine::Nats, Broker::nats(), case);
}

fn system(engine: Engine, broker: Option<Broker>, case: fn(&World)) {
    if let Some(broker) = broker {
        case(&World::on_this_machine(engine, broker));
    }
}

/// Each case as one test per world: `case_name::world`.
macro_rules! in_every_world {
    ($($(#[$doc:meta])* fn $name:ident($world:ident: &World) $body:block)*) => {$(
        $crate::world::in_worlds! { [local scripted_redis scripted_nats redis nats] $(#[$doc])* fn $name($world: &World) $body }
    )*};
}

/// The same without the engine that has no broker.
macro_rules! beside_every_broker {
    ($($(#[$doc:meta])* fn $name:ident($world:ident: &World) $body:block)*) => {$(
        $crate::world::in_worlds! { [scripted_redis scripted_nats redis nats] $(#[$doc])* fn $name($world: &World) $body }
    )*};
}

/// Only in the simulated network.
macro_rules! beside_scripted_brokers {
    ($($(#[$doc:meta])* fn $name:ident($world:ident: &World) $body:block)*) => {$(
        $crate::world::in_worlds! { [scripted_redis scripted_nats] $(#[$doc])* fn $name($world: &World) $body }
    )*};
}

macro_rules! in_worlds {
    ([$($kind:ident)*] $(#[$doc:meta])* fn $name:ident($world:ident: &World) $body:block) => {
        $(#[$doc])*
        fn $name($world: &World) $body

        mod $name {
            $(#[test]
            fn $kind() {
                $crate::world::$kind(super::$name);
            })*
        }
    };
}

pub(crate) use {beside_every_broker, beside_scripted_brokers, in_every_world, in_worlds};
