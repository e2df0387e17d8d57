//! A real NATS cluster of three nodes, which are killed and started again under load.

use std::time::{Duration, Instant};

use torsade::hub::{HubConfig, MessageId};

use crate::heard::{Heard, numbered};
use crate::kills::{KEPT, LIVE, Peer, ROOM, config};
use crate::nats_cluster::{Cluster, NODES};
use crate::presence::{until_present, until_present_before};
use crate::world::{Engine, World};

const PEERS: [&str; NODES] = ["ada", "alan", "grace"];
const STREAM: &str = "log_-load";

/// Peers that begin on a node each, and what was confirmed to each.
struct Load {
    world: World,
    cluster: Cluster,
    peers: Vec<Peer>,
    confirmed: Vec<Vec<MessageId>>,
    kills: usize,
}

impl Load {
    fn begin(options: &str) -> Option<Self> {
        let cluster = Cluster::start()?;
        let world = World::beside(Engine::Nats, &cluster.url(0, options), cluster.port(0));
        let peer = |(node, name): (usize, &&str)| {
            let url = cluster.url(node, options);
            Peer::new(&world, &config(HubConfig::new(&url).expect("a URL")), name)
        };
        let peers: Vec<_> = PEERS.iter().enumerate().map(peer).collect();
        let confirmed = vec![Vec::new(); peers.len()];
        let mut load = Self { world, cluster, peers, confirmed, kills: 0 };
        for peer in &load.peers {
            load.world.until_heard(&peer.hub, KEPT, &peer.kept);
        }
        load.settle();
        Some(load)
    }

    fn publish(&mut self, count: u64) {
        for _ in 0..count {
            self.peers.iter_mut().for_each(Peer::publish);
            self.world.run_for(Duration::from_millis(2));
        }
    }

    /// Waits until everything that was published is confirmed.
    fn confirm(&mut self) {
        for (peer, ids) in self.peers.iter_mut().zip(&mut self.confirmed) {
            for stored in std::mem::take(&mut peer.stored) {
                ids.push(self.world.wait("a confirmation", stored).expect("it is stored"));
            }
        }
    }

    /// Waits until everybody hears everybody, has all that is stored, and is present.
    fn settle(&mut self) {
        for peer in &self.peers {
            for other in &self.peers {
                self.world.until_heard(&peer.hub, LIVE, &other.live);
            }
        }
        self.publish(1);
        self.confirm();
        self.until_all_is_heard(|peer| &peer.live);
        self.until_all_is_heard(|peer| &peer.kept);
        for peer in &self.peers {
            until_present(&self.world, &peer.hub, ROOM, &PEERS);
        }
    }

    fn until_all_is_heard(&self, ears: fn(&Peer) -> &Heard) {
        for peer in &self.peers {
            for other in &self.peers {
                let last = numbered(&other.name, other.published - 1);
                self.world.run_until("the last messages", || ears(peer).has(&last));
            }
        }
    }

    /// Waits until the nodes that run agree about everything.
    fn until_in_step(&self, streams: &[&str]) {
        self.world.repeat_until("agreement of the nodes", || self.cluster.is_in_step(streams));
    }

    fn connections_lost(&self) -> Vec<u64> {
        self.peers.iter().map(|peer| peer.hub.stats().connections_lost).collect()
    }

    /// How many live messages each has missed of each other without being told.
    fn untold(&self) -> Vec<Vec<u64>> {
        let of = |peer: &Peer| self.peers.iter().map(|other| peer.live.untold(&peer.name, &other.name)).collect();
        self.peers.iter().map(of).collect()
    }

    /// Kills a node while all of them publish, and checks what that costs.
    fn lose(&mut self, node: usize) {
        let (lost, untold) = (self.connections_lost(), self.untold());
        self.publish(40);
        self.cluster.kill(node);
        self.kills += 1;
        let killed = Instant::now();
        self.publish(40);
        self.confirm();
        let confirmed = killed.elapsed();
        self.until_all_is_heard(|peer| &peer.kept);
        let heard = killed.elapsed();
        self.settle();
        let present = killed.elapsed();
        println!("node {node}: all confirmed {confirmed:.1?} after its end, heard {heard:.1?}, and present {present:.1?}");
        let now = self.connections_lost();
        for (publisher, (before, after)) in lost.iter().zip(&now).enumerate() {
            // Nobody can know what a publisher's own node had taken and not passed on.
            let may_miss = before < after;
            for (row, before) in self.untold().iter().zip(&untold) {
                assert!(may_miss || row[publisher] == before[publisher], "missed without being told: {before:?}, then {row:?}");
            }
        }
    }

    /// What was confirmed was heard by all, at its place, and nobody was told of a gap in it. Who lost a connection was told of
    /// it.
    fn check(&self) {
        for peer in &self.peers {
            let messages = peer.kept.messages();
            assert!(messages.windows(2).all(|pair| pair[0].id() < pair[1].id()), "{}: ids out of order", peer.name);
            assert!(peer.kept.gaps().is_empty(), "{}: {:?}", peer.name, peer.kept.gaps());
            for (other, ids) in self.peers.iter().zip(&self.confirmed) {
                for (number, id) in (0..).zip(ids) {
                    let at = messages.binary_search_by_key(&Some(*id), torsade::hub::Message::id);
                    let text = at.ok().map(|at| String::from_utf8_lossy(messages[at].payload()).into_owned());
                    assert_eq!(text, Some(numbered(&other.name, number)), "{} at {id}", peer.name);
                }
                // Those that the cluster could not store while it stored later ones come behind them, once each time.
                let behind = ids.windows(2).filter(|pair| pair[0] > pair[1]).count();
                assert!(behind <= self.kills, "{}'s were stored out of order", other.name);
            }
            assert_eq!(peer.live.gaps().len() as u64, peer.hub.stats().connections_lost, "{}", peer.name);
        }
    }
}

#[test]
fn a_cluster_that_loses_one_node_after_the_other_keeps_every_promise() {
    let Some(mut load) = Load::begin("?replicas=3") else { return };
    let streams = [STREAM, "KV_torsade-presence-2000"];
    for round in 0..3 {
        load.until_in_step(&streams);
        let node = match round {
            // That of the first peer.
            0 => 0,
            1 => load.cluster.stream_leader(STREAM),
            _ => load.cluster.meta_leader(),
        };
        load.lose(node);
        load.cluster.start_again(node);
    }
    load.until_in_step(&streams);
    // A crashed process leaves within the period, whichever node it was connected to.
    let gone = load.peers.pop().expect("there are three");
    load.confirmed.pop();
    let deadline = load.world.deadline(Duration::from_secs(3));
    gone.kill(&load.world);
    until_present_before(deadline, &load.world, &load.peers[0].hub, ROOM, &PEERS[..2]);
    load.check();
}

#[test]
fn without_a_majority_everything_waits_and_nothing_is_lost() {
    let Some(mut load) = Load::begin("?replicas=3") else { return };
    load.until_in_step(&[STREAM]);
    let leader = load.cluster.stream_leader(STREAM);
    let (one, two) = ((leader + 1) % NODES, (leader + 2) % NODES);
    load.lose(one);
    load.cluster.kill(two);
    load.publish(40);
    load.world.run_until("a connection", || load.peers.iter().all(|peer| peer.hub.is_connected()));
    load.publish(40);
    load.cluster.start_again(one);
    load.confirm();
    load.cluster.start_again(two);
    load.settle();
    load.until_in_step(&[STREAM]);
    load.check();
}

#[test]
fn what_needs_a_node_that_is_away_waits_for_it_and_is_refused_to_nobody() {
    let Some(mut load) = Load::begin("") else { return };
    let wants_three = HubConfig::new(&load.cluster.url(0, "?replicas=3")).expect("a URL");
    let (_process, hub) = load.world.hub(&config(wants_three));
    let node = load.cluster.stream_leader(STREAM);
    load.cluster.stop(node);
    load.publish(10);
    let new = hub.publish_stored("log.new", "three nodes are needed for this");
    // Time for the others to say that the stream's node is away, and that there are too few for the new one.
    load.world.run_for(Duration::from_secs(5));
    assert!(!new.is_called() && load.peers.iter().all(|peer| peer.stored.iter().any(|stored| !stored.is_called())));
    load.cluster.start_again(node);
    load.settle();
    load.world.wait("a confirmation", new).expect("it is stored");
    for peer in &load.peers {
        assert_eq!((peer.kept.gaps(), peer.hub.stats().refused), (Vec::new(), 0), "{}", peer.name);
    }
    // A stream is enlarged by who wants more of it.
    load.world.wait("a confirmation", hub.publish_stored(KEPT, numbered("joan", 0))).expect("it is stored");
    load.until_in_step(&[STREAM, "log_-new"]);
}
