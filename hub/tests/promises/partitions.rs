//! Random faults by seed in the simulated network, while everybody publishes: partitions, slow links, lost connections, kills of
//! the broker and of processes. Whatever happens, the promises hold.
//!
//! More seeds: `TORSADE_SEEDS=1000 cargo test -p torsade-hub --test promises partitions`

use std::collections::HashMap;
use std::time::Duration;

use torsade::Deferred;
use torsade::hub::{Hub, HubConfig, MessageId, Presence, Subscription, WhenDisconnected};
use torsade::simulated::{Faults, Simulation};

use crate::heard::{Heard, numbered};
use crate::world::{BROKER, Process, World, beside_scripted_brokers};

const LIVE: &str = "load.live";
const KEPT: &str = "log.load";
const ROOM: &str = "room.load";
const PERIOD: Duration = Duration::from_secs(4);

/// A process that publishes and subscribes. When it is killed, another with another name replaces it.
struct Peer {
    name: String,
    process: Process,
    hub: Hub,
    live: Heard,
    kept: Heard,
    published: u64,
    stored: Vec<Deferred<MessageId>>,
    _held: (Vec<Subscription>, Presence),
}

impl Peer {
    fn new(world: &World, config: &HubConfig, name: String) -> Self {
        let process = world.process();
        let hub = process.open(config);
        let (live, kept) = (Heard::default(), Heard::default());
        let subscriptions = vec![hub.subscribe("load.*", live.clone()).unwrap(), hub.subscribe(KEPT, kept.clone()).unwrap()];
        let presence = hub.enter(ROOM, name.as_str()).unwrap();
        Self { name, process, hub, live, kept, published: 0, stored: Vec::new(), _held: (subscriptions, presence) }
    }

    fn publish(&mut self) {
        let text = numbered(&self.name, self.published);
        if self.hub.publish(LIVE, &text).is_ok() {
            self.stored.push(self.hub.publish_stored(KEPT, &text));
            self.published += 1;
        }
    }

    /// The number of its last message.
    fn last(&self) -> String {
        numbered(&self.name, self.published - 1)
    }
}

/// The faults in the network, which are removed at the end.
#[derive(Default)]
struct Trouble {
    parted: Vec<String>,
    broker_is_down: bool,
    kills: usize,
}

/// Everything fails from time to time, and some sockets carry only 1000 bytes a second. What is drawn for a socket stays after
/// the faults are removed. So such a socket does not get a one-byte buffer as well: in one-byte segments, 1000 bytes a second
/// with their headers would carry less than the brokers' heartbeats.
fn slow() -> Faults {
    let Faults { receive_buffer, send_buffer, .. } = Faults::lossy();
    Faults { receive_buffer, send_buffer, slow: 0.1, ..Faults::hostile() }
}

fn trouble(world: &World, simulation: &Simulation, config: &HubConfig, peers: &mut Vec<Peer>, trouble: &mut Trouble) {
    let index = usize::try_from(simulation.draw(peers.len() as u64)).unwrap();
    let address = peers[index].process.address.clone();
    match simulation.draw(12) {
        0 | 1 if !trouble.parted.contains(&address) => {
            simulation.partition(&address, BROKER);
            trouble.parted.push(address);
        }
        2..=4 => {
            for address in trouble.parted.drain(..) {
                simulation.heal(address, BROKER);
            }
        }
        5 if !trouble.broker_is_down => {
            world.broker(|broker| broker.kill());
            trouble.broker_is_down = true;
        }
        5..=7 if trouble.broker_is_down => {
            world.broker(|broker| broker.start(true));
            trouble.broker_is_down = false;
        }
        8 => world.broker(|broker| broker.drop_connections()),
        9 => simulation.set_faults(Faults { bandwidth: Some(1000 + simulation.draw(20_000)), ..Faults::lossy() }),
        10 => simulation.set_faults(match simulation.draw(3) {
            0 => Faults::lossy(),
            1 => Faults { slow: 0.0, ..Faults::hostile() },
            _ => slow(),
        }),
        11 => {
            let Peer { name, process, .. } = peers.swap_remove(index);
            world.kill(process);
            trouble.kills += 1;
            peers.push(Peer::new(world, config, format!("{name}'")));
        }
        _ => {}
    }
}

beside_scripted_brokers! {
    fn whatever_happens_order_holds_gaps_are_told_and_what_is_kept_is_seen(world: &World) {
        let simulation = world.simulation().expect("a simulated network");
        simulation.set_logging(false);
        let config = world
            .config()
            .when_disconnected(WhenDisconnected::Queue)
            .queue(10_000, 10 << 20)
            .presence_period(PERIOD)
            .replay("log.>", 100_000)
            .unwrap();
        let mut peers: Vec<_> = (0..3).map(|number| Peer::new(world, &config, format!("peer{number}"))).collect();
        for peer in &peers {
            world.connect(&peer.hub);
        }
        for peer in &peers {
            world.until_heard(&peer.hub, LIVE, &peer.live);
        }
        let mut state = Trouble::default();
        for _ in 0..60 {
            trouble(world, simulation, &config, &mut peers, &mut state);
            for _ in 0..simulation.draw(10) {
                peers.iter_mut().for_each(Peer::publish);
                world.run_for(Duration::from_millis(simulation.draw(300)));
            }
        }
        simulation.set_faults(Faults::calm());
        for address in state.parted.drain(..) {
            simulation.heal(address, BROKER);
        }
        if state.broker_is_down {
            world.broker(|broker| broker.start(true));
        }
        settle(world, &mut peers);
    }
}

/// The faults are removed: waits until everything has arrived, and checks it.
fn settle(world: &World, peers: &mut [Peer]) {
    for peer in &*peers {
        world.connect(&peer.hub);
        world.run_until("what was stored", || peer.stored.iter().all(Deferred::is_called));
    }
    let names: Vec<_> = peers.iter().map(|peer| peer.name.clone()).collect();
    for peer in &*peers {
        // A last message from each publisher, so that no later ones can be missing.
        world.until_heard(&peer.hub, LIVE, &peer.live);
        world.run_for(Duration::from_secs(1));
    }
    world.repeat_until("the last live message of each", || {
        peers.iter_mut().for_each(Peer::publish);
        // A socket that gets stuck only now loses a live message, which is noticed within 20 s.
        world.run_for(Duration::from_secs(30));
        peers.iter().all(|peer| peers.iter().all(|other| peer.live.has(&other.last())))
    });
    for peer in &*peers {
        for other in &*peers {
            world.run_until("the last stored message", || peer.kept.has(&other.last()));
        }
    }
    let published: HashMap<_, _> = peers.iter().map(|peer| (peer.name.clone(), peer.published)).collect();
    for peer in &*peers {
        for other in &*peers {
            let untold = peer.live.untold(&peer.name, &other.name);
            assert!(
                untold <= other.hub.stats().unconfirmed,
                "{} missed {untold} of {} and was not told; {} knows of {:?}",
                peer.name,
                other.name,
                other.name,
                other.hub.stats()
            );
            peer.kept.check_kept(&peer.name, &other.name, published[&other.name], false);
        }
        // A broker that sends but no longer reads is noticed within four minutes.
        let end = world.simulation().unwrap().now() + Duration::from_secs(300);
        let mut present = Vec::new();
        while present != *sorted(&names) {
            assert!(world.simulation().unwrap().now() < end, "{present:?} are there in place of {names:?}");
            present = sorted(&world.wait("who is there", peer.hub.present(ROOM)).unwrap_or_default());
            world.run_for(Duration::from_millis(100));
        }
    }
}

fn sorted(names: &[String]) -> Vec<String> {
    let mut names = names.to_vec();
    names.sort();
    names
}
