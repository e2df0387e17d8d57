//! A real broker and real processes, each killed and restarted twenty times under load, and what they leave behind.

use std::collections::{HashMap, HashSet};
use std::process::{Child, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use torsade::hub::{Hub, HubConfig, MessageId, Presence, Start, Subscription, WhenDisconnected};
use torsade::prelude::*;
use torsade::{Deferred, LoopingCall};

use crate::broker::{Broker, Program};
use crate::child::{child, is_child, lines};
use crate::heard::{Heard, numbered, read};
use crate::world::{Engine, Process, World};

const KILLS: u64 = 20;
pub(crate) const LIVE: &str = "load.live";
pub(crate) const KEPT: &str = "log.load";
pub(crate) const ROOM: &str = "room.load";
const PERIOD: Duration = Duration::from_secs(3);

pub(crate) fn config(base: HubConfig) -> HubConfig {
    base.when_disconnected(WhenDisconnected::Queue)
        .queue(100_000, 100 << 20)
        .presence_period(PERIOD)
        .replay("log.>", 1_000_000)
        .expect("a pattern")
}

#[test]
fn twenty_kills_of_redis_under_load() {
    in_a_process_of_its_own("kills::twenty_kills_of_redis_under_load", Program::Redis, kill_the_broker);
}

#[test]
fn twenty_kills_of_nats_under_load() {
    in_a_process_of_its_own("kills::twenty_kills_of_nats_under_load", Program::Nats, kill_the_broker);
}

/// Because its descriptors and its memory are measured.
fn in_a_process_of_its_own(name: &str, program: Program, run: fn(Program)) {
    if is_child(name) {
        return run(program);
    }
    if crate::broker::is_installed(program) {
        let status = child(name).stdout(Stdio::inherit()).status().unwrap();
        assert!(status.success(), "{status}");
    }
}

/// A child process that publishes, subscribes and is present.
pub(crate) struct Peer {
    pub(crate) name: String,
    pub(crate) hub: Hub,
    process: Process,
    pub(crate) live: Heard,
    pub(crate) kept: Heard,
    pub(crate) published: u64,
    pub(crate) stored: Vec<Deferred<MessageId>>,
    _held: (Vec<Subscription>, Presence),
}

impl Peer {
    pub(crate) fn new(world: &World, config: &HubConfig, name: &str) -> Self {
        let (process, hub) = world.hub(config);
        let (live, kept) = (Heard::default(), Heard::default());
        let subscriptions = vec![hub.subscribe("load.*", live.clone()).unwrap(), hub.subscribe(KEPT, kept.clone()).unwrap()];
        let presence = hub.enter(ROOM, name).unwrap();
        let name = name.to_owned();
        Self { name, hub, process, live, kept, published: 0, stored: Vec::new(), _held: (subscriptions, presence) }
    }

    /// Ends its process, as SIGKILL does.
    pub(crate) fn kill(self, world: &World) {
        world.kill(self.process);
    }

    pub(crate) fn publish(&mut self) {
        let text = numbered(&self.name, self.published);
        self.hub.publish(LIVE, &text).expect("the queue is long");
        self.stored.push(self.hub.publish_stored(KEPT, &text));
        self.published += 1;
    }
}

fn kill_the_broker(program: Program) {
    let (engine, broker) = match program {
        Program::Redis => (Engine::Redis, Broker::redis()),
        Program::Nats => (Engine::Nats, Broker::nats()),
    };
    let Some(broker) = broker else { return };
    let world = World::on_this_machine(engine, broker);
    let config = config(world.config());
    let mut peers: Vec<_> = ["ada", "grace", "alan"].iter().map(|name| Peer::new(&world, &config, name)).collect();
    for peer in &peers {
        world.until_heard(&peer.hub, LIVE, &peer.live);
    }
    let mut held = Vec::new();
    for kill in 0..KILLS {
        for _ in 0..40 {
            peers.iter_mut().for_each(Peer::publish);
            world.run_for(Duration::from_millis(2));
        }
        world.broker(|broker| broker.kill());
        for _ in 0..10 {
            peers.iter_mut().for_each(Peer::publish);
            world.run_for(Duration::from_millis(2));
        }
        world.broker(|broker| broker.start(true));
        // Kills only while somebody is connected.
        for peer in &mut peers {
            world.connect(&peer.hub);
            let confirmed = std::mem::take(&mut peer.stored);
            for stored in confirmed {
                world.wait("a confirmation", stored).expect("it is stored");
            }
        }
        let period = world.deadline(PERIOD);
        crate::presence::until_present_before(period, &world, &peers[0].hub, ROOM, &["ada", "alan", "grace"]);
        if kill == 4 || kill == KILLS - 1 {
            held.push((descriptors(), memory()));
        }
    }
    settle(&world, &mut peers);
    let told: Vec<_> = peers.iter().map(|peer| peer.live.gaps().len()).collect();
    println!(
        "{program:?}: {} messages each, gaps told {told:?}; descriptors and KiB after 5 and {KILLS} kills: {held:?}",
        peers[0].published
    );
    assert!(held[1].0 <= held[0].0, "descriptors: {held:?}");
    assert!(held[1].1 < held[0].1 + 16 * 1024, "memory in KiB: {held:?}");
    for peer in &peers {
        drop(world.wait("the end", peer.hub.close()));
    }
}

/// Waits until everything has arrived, and checks it.
fn settle(world: &World, peers: &mut [Peer]) {
    for peer in &*peers {
        for other in &*peers {
            world.until_heard(&peer.hub, LIVE, &other.live);
        }
    }
    peers.iter_mut().for_each(Peer::publish);
    for peer in &*peers {
        for other in &*peers {
            let last = numbered(&other.name, other.published - 1);
            world.run_until("the last messages", || peer.live.has(&last) && peer.kept.has(&last));
        }
    }
    let published: HashMap<_, _> = peers.iter().map(|peer| (peer.name.clone(), peer.published)).collect();
    for peer in &*peers {
        peer.live.check(&peer.name, &published);
        assert!(peer.live.gaps().len() as u64 >= 1 && peer.live.gaps().len() as u64 <= KILLS, "{:?}", peer.live.gaps());
        for (name, count) in &published {
            peer.kept.check_kept(&peer.name, name, *count, *name == peer.name);
        }
    }
    crate::presence::until_present(world, &peers[0].hub, ROOM, &["ada", "alan", "grace"]);
}

#[test]
fn twenty_kills_of_a_process_under_load_beside_redis() {
    kill_processes("kills::twenty_kills_of_a_process_under_load_beside_redis", Engine::Redis, Broker::redis);
}

#[test]
fn twenty_kills_of_a_process_under_load_beside_nats() {
    kill_processes("kills::twenty_kills_of_a_process_under_load_beside_nats", Engine::Nats, Broker::nats);
}

fn kill_processes(test: &str, engine: Engine, broker: fn() -> Option<Broker>) {
    if is_child(test) {
        return publish_until_killed();
    }
    let Some(broker) = broker() else { return };
    let url = broker.url();
    let world = World::on_this_machine(engine, broker);
    let config = config(world.config());
    let (_process, hub) = world.hub(&config);
    let (live, kept) = (Heard::default(), Heard::default());
    let subscriptions = [hub.subscribe(LIVE, live.clone()), hub.subscribe(KEPT, kept.clone())];
    world.until_heard(&hub, LIVE, &live);
    world.until_heard(&hub, KEPT, &kept);
    let mut confirmed = HashSet::new();
    for kill in 0..KILLS {
        let mut publisher = Publisher::start(test, &url, &format!("child{kill}"));
        let wanted = 100 + 10 * usize::try_from(kill).unwrap();
        world.run_until("confirmations", || publisher.confirmed.lock().unwrap().len() >= wanted);
        crate::presence::until_present(&world, &hub, ROOM, &[&publisher.name]);
        publisher.child.kill().unwrap();
        publisher.child.wait().unwrap();
        crate::presence::until_present_before(world.deadline(PERIOD), &world, &hub, ROOM, &[]);
        publisher.reader.take().unwrap().join().unwrap();
        confirmed.extend(publisher.confirmed.lock().unwrap().drain(..));
    }
    let all = confirmed.len();
    let (mut missing, mut looked_at) = (confirmed, 0);
    world.run_until("each message that was confirmed", || {
        for text in kept.payloads_from(looked_at) {
            missing.remove(&text);
            looked_at += 1;
        }
        missing.is_empty()
    });
    for kill in 0..KILLS {
        let name = format!("child{kill}");
        assert_eq!(live.untold("the one that stays", &name), 0);
        let count = kept.messages().iter().filter(|message| read(message).0 == name).count() as u64;
        kept.check_kept("the one that stays", &name, count, true);
    }
    assert!(live.gaps().is_empty());
    // A later subscriber gets all of it, too.
    let (_late, other) = world.hub(&config);
    let replayed = Heard::default();
    let _replay = other.subscribe_from(KEPT, Start::Oldest, replayed.clone()).unwrap();
    world.run_until("the replay", || replayed.count() >= kept.count());
    assert_eq!(replayed.payloads(), kept.payloads());
    println!("{engine:?}: {} live and {} kept messages, {} of them confirmed", live.count(), kept.count(), all);
    drop(subscriptions);
}

/// A child that publishes until it is killed.
struct Publisher {
    name: String,
    child: Child,
    confirmed: Arc<Mutex<Vec<String>>>,
    reader: Option<std::thread::JoinHandle<()>>,
}

impl Publisher {
    fn start(test: &str, url: &str, name: &str) -> Self {
        let mut child = child(test).env("HUB", url).env("NAME", name).spawn().unwrap();
        let confirmed = Arc::<Mutex<Vec<String>>>::default();
        let (said, list) = (lines(&mut child), Arc::clone(&confirmed));
        let reader = std::thread::spawn(move || {
            for line in said {
                // The last line may be cut: a complete one ends in a full stop.
                if let Some(text) = line.strip_prefix("stored ").and_then(|text| text.strip_suffix('.')) {
                    list.lock().unwrap().push(text.to_owned());
                }
            }
        });
        Self { name: name.to_owned(), child, confirmed, reader: Some(reader) }
    }
}

impl Drop for Publisher {
    fn drop(&mut self) {
        drop(self.child.kill().and_then(|()| self.child.wait()));
    }
}

/// The program of a child.
fn publish_until_killed() {
    let (url, name) = (std::env::var("HUB").unwrap(), std::env::var("NAME").unwrap());
    let reactor = Reactor::new().unwrap();
    let hub = config(HubConfig::new(&url).unwrap()).open(&reactor).unwrap();
    let _presence = hub.enter(ROOM, name.as_str()).unwrap();
    let mut number = 0;
    let timer = LoopingCall::new(&reactor, move || {
        let text = numbered(&name, number);
        hub.publish(LIVE, &text)?;
        let said = format!("stored {text}.");
        let stored = hub.publish_stored(KEPT, &text).add_callback(move |_id| {
            println!("{said}");
            Ok(())
        });
        stored.detach();
        number += 1;
        Ok(())
    });
    timer.start(Duration::from_millis(2), true).unwrap().detach();
    reactor.run().unwrap();
}

/// Returns the number of open descriptors of this process; 0 if the system does not tell.
fn descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").map_or(0, Iterator::count)
}

/// Returns the memory that this process uses, in KiB; 0 if the system does not tell.
fn memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.trim().strip_suffix(" kB")?.parse().ok()).unwrap_or_default()
}
