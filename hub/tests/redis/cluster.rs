//! A real cluster of three nodes: sharded pub/sub, streams and presence use the nodes that have their slots, and follow the
//! slots.

use std::time::Duration;

use redis_protocol::redis_keyslot;
use torsade::hub::{Gap, Hub, HubConfig, Start};
use torsade::prelude::*;

use crate::broker::{Broker, Program, free_port};
use crate::client::Client;
use crate::heard;
use crate::notes::{Seen, notes};
use crate::real::run_until;
use crate::scripted_redis::Value;

const SLOTS: [(u16, u16); 3] = [(0, 5460), (5461, 10922), (10923, 16383)];

struct Cluster {
    nodes: Vec<Broker>,
    ids: Vec<String>,
}

impl Cluster {
    /// Starts three nodes and has them meet; none where there is no `redis-server`.
    fn start() -> Option<Self> {
        Self::with(3, "cluster-node-timeout 5000")
    }

    /// Starts so many nodes with further settings, of which those behind the third have no slots.
    fn with(count: usize, settings: &str) -> Option<Self> {
        let (mut nodes, mut buses) = (Vec::new(), Vec::new());
        for _ in 0..count {
            let bus = free_port();
            let settings = format!("cluster-enabled yes\ncluster-config-file nodes.conf\ncluster-port {bus}\n{settings}");
            nodes.push(Broker::with_settings(Program::Redis, &settings)?);
            buses.push(bus);
        }
        let mut ids = Vec::new();
        for (number, node) in nodes.iter().enumerate() {
            let mut client = Client::connect(node.port());
            assert_eq!(client.ask(&["CLUSTER", "SET-CONFIG-EPOCH", &(number + 1).to_string()]), Value::Ok);
            if let Some((first, last)) = SLOTS.get(number) {
                assert_eq!(client.ask(&["CLUSTER", "ADDSLOTSRANGE", &first.to_string(), &last.to_string()]), Value::Ok);
            }
            let met = client.ask(&["CLUSTER", "MEET", "127.0.0.1", &nodes[0].port().to_string(), &buses[0].to_string()]);
            assert_eq!(met, Value::Ok);
            let Value::Text(id) = client.ask(&["CLUSTER", "MYID"]) else { panic!("a node has an id") };
            ids.push(String::from_utf8(id).unwrap());
        }
        let cluster = Self { nodes, ids };
        (0..count).for_each(|node| cluster.wait_for(node, "cluster_state:ok"));
        (0..count).for_each(|node| cluster.wait_for(node, &format!("cluster_known_nodes:{count}")));
        Some(cluster)
    }

    /// Asks a node until its `CLUSTER INFO` says this.
    fn wait_for(&self, node: usize, what: &str) {
        let mut client = Client::connect(self.nodes[node].port());
        let says = |client: &mut Client| {
            let Value::Text(info) = client.ask(&["CLUSTER", "INFO"]) else { panic!("it is text") };
            String::from_utf8(info).unwrap().contains(what)
        };
        while !says(&mut client) {
            std::thread::yield_now();
        }
    }

    fn node_of(&self, key: &str) -> usize {
        let slot = redis_keyslot(key.as_bytes());
        SLOTS.iter().position(|(first, last)| (*first..=*last).contains(&slot)).unwrap()
    }

    fn hub(&self, reactor: &Reactor, options: &str) -> Hub {
        self.hub_at(reactor, 0, options)
    }

    /// A hub whose main connection is to this node, while it runs.
    fn hub_at(&self, reactor: &Reactor, first: usize, options: &str) -> Hub {
        let hosts = (0..3).map(|node| format!("127.0.0.1:{}", self.nodes[(first + node) % 3].port()));
        let url = format!("redis://{}{options}", hosts.collect::<Vec<_>>().join(","));
        let config = HubConfig::new(&url).unwrap().replay("log.>", 1000).unwrap();
        config.queue(100_000, 64 << 20).open(reactor).unwrap()
    }

    fn ask(&self, node: usize, command: &str) -> Value {
        Client::connect(self.nodes[node].port()).ask(&command.split(' ').collect::<Vec<_>>())
    }
}

fn running() -> Reactor {
    let reactor = Reactor::new().unwrap();
    reactor.start_running().unwrap();
    reactor
}

/// Until as many channels are subscribed to as there should be, on all nodes together.
fn run_until_subscribed(reactor: &Reactor, cluster: &Cluster, count: usize) {
    let mut clients: Vec<_> = cluster.nodes.iter().map(|node| Client::connect(node.port())).collect();
    run_until(reactor, "subscribed", || {
        let channels = clients.iter_mut().map(|client| match client.ask(&["PUBSUB", "SHARDCHANNELS"]) {
            Value::List(channels) => channels.len(),
            other => panic!("{other:?}"),
        });
        channels.sum::<usize>() == count
    });
}

fn live_and_stored(options: &str) {
    let Some(cluster) = Cluster::start() else { return };
    let reactor = running();
    let (one, two) = (cluster.hub(&reactor, options), cluster.hub(&reactor, options));
    let topics: Vec<_> = (0..12).map(|number| format!("room.{number}")).collect();
    let logs: Vec<_> = (0..6).map(|number| format!("log.{number}")).collect();
    assert!((0..3).all(|node| topics.iter().any(|topic| cluster.node_of(topic) == node)), "no topic for some node");
    let live = topics.iter().map(|topic| {
        let (seen, subscriber) = notes();
        two.subscribe(topic, subscriber).unwrap();
        seen
    });
    let live: Vec<_> = live.collect();
    let stored = logs.iter().map(|topic| {
        let (seen, subscriber) = notes();
        two.subscribe_from(topic, Start::Oldest, subscriber).unwrap();
        seen
    });
    let stored: Vec<_> = stored.collect();
    run_until(&reactor, "connected", || one.is_connected() && two.is_connected());
    if options.is_empty() {
        let mut client = Client::connect(cluster.nodes[0].port());
        let mut ask: Vec<_> = vec!["PUBSUB", "NUMSUB"];
        ask.extend(topics.iter().map(String::as_str));
        run_until(&reactor, "subscribed", || match client.ask(&ask) {
            Value::Map(pairs) => pairs.iter().all(|(_, count)| *count == Value::Number(1)),
            Value::List(items) => items.iter().filter(|item| **item == Value::Number(1)).count() == topics.len(),
            other => panic!("{other:?}"),
        });
    } else {
        run_until_subscribed(&reactor, &cluster, topics.len());
    }
    for number in 0..100 {
        topics.iter().chain(&logs).for_each(|topic| one.publish(topic, number.to_string()).unwrap());
        reactor.iterate(Some(Duration::ZERO)).unwrap();
    }
    run_until(&reactor, "all of them", || {
        live.iter().chain(&stored).all(|seen| seen.borrow().last().is_some_and(|last| last == "99"))
    });
    let expected: Vec<_> = (0..100).map(|number| number.to_string()).collect();
    for seen in live.iter().chain(&stored) {
        assert_eq!(*seen.borrow(), expected);
    }
    let _ada = one.enter("room.1", "ada").unwrap();
    let _ben = two.enter("room.1", "ben").unwrap();
    run_until(&reactor, "both present", || {
        let present = two.present("room.1");
        run_until(&reactor, "an answer", || present.is_called());
        present.into_result().unwrap().unwrap() == ["ada", "ben"]
    });
    let closed = (one.close(), two.close());
    run_until(&reactor, "closed", || closed.0.is_called() && closed.1.is_called());
}

#[test]
fn everything_goes_to_the_node_that_has_it() {
    live_and_stored("?sharded");
}

#[test]
fn without_shards_live_messages_go_by_all_nodes_and_the_rest_by_one() {
    live_and_stored("");
}

#[test]
fn a_slot_that_moves_is_followed_and_the_gap_is_told() {
    let Some(cluster) = Cluster::start() else { return };
    let reactor = running();
    let (one, two) = (cluster.hub(&reactor, "?sharded"), cluster.hub(&reactor, "?sharded"));
    let seen = heard(&two, "room.moving");
    let (stored, subscriber) = notes();
    two.subscribe_from("log.moving", Start::Oldest, subscriber).unwrap();
    run_until_subscribed(&reactor, &cluster, 1);
    one.publish("room.moving", "before").unwrap();
    one.publish("log.moving", "before").unwrap();
    run_until(&reactor, "before", || seen.borrow().len() == 1 && stored.borrow().len() == 1);
    for (key, is_stream) in [("room.moving", false), ("log.moving", true)] {
        let (from, slot) = (cluster.node_of(key), redis_keyslot(key.as_bytes()));
        let to = (from + 1) % 3;
        let (from_id, to_id) = (&cluster.ids[from], &cluster.ids[to]);
        assert_eq!(cluster.ask(to, &format!("CLUSTER SETSLOT {slot} IMPORTING {from_id}")), Value::Ok);
        assert_eq!(cluster.ask(from, &format!("CLUSTER SETSLOT {slot} MIGRATING {to_id}")), Value::Ok);
        if is_stream {
            let port = cluster.nodes[to].port();
            assert_eq!(cluster.ask(from, &format!("MIGRATE 127.0.0.1 {port} {key} 0 60000")), Value::Ok);
            // It is on its way: the node says ASK.
            let asked = one.publish_stored(key, "asked");
            run_until(&reactor, "stored while it moves", || asked.is_called());
            assert!(asked.into_result().unwrap().is_ok());
        }
        for node in [to, from, 3 - from - to] {
            assert_eq!(cluster.ask(node, &format!("CLUSTER SETSLOT {slot} NODE {to_id}")), Value::Ok);
        }
    }
    run_until(&reactor, "the gap", || seen.borrow().contains(&format!("({})", Gap::Disconnected)));
    // Whoever waits for the stream learns of it later, and begins anew.
    one.publish("log.moving", "settled").unwrap();
    run_until(&reactor, "settled", || stored.borrow().last().is_some_and(|last| last == "settled"));
    run_until_subscribed(&reactor, &cluster, 1);
    run_until(&reactor, "connected", || one.is_connected() && two.is_connected());
    for number in 0..20 {
        one.publish("room.moving", number.to_string()).unwrap();
        one.publish("log.moving", number.to_string()).unwrap();
    }
    run_until(&reactor, "after", || [&seen, &stored].iter().all(|seen| seen.borrow().last().is_some_and(|last| last == "19")));
    let numbers = |seen: &Seen| seen.borrow().iter().filter_map(|text| text.parse::<u32>().ok()).collect::<Vec<_>>();
    assert_eq!(numbers(&seen), (0..20).collect::<Vec<_>>());
    assert_eq!(numbers(&stored), (0..20).collect::<Vec<_>>());
    assert_eq!(stored.borrow()[..3], ["before", "asked", "settled"]);
}

/// Two hubs, of which the second is subscribed to live and stored topics of all nodes.
struct Hubs {
    reactor: Reactor,
    one: Hub,
    two: Hub,
    live: Vec<(String, Seen)>,
    stored: Vec<(String, Seen)>,
    published: u32,
    main: usize,
}

impl Hubs {
    /// With main connections to this node.
    fn open(cluster: &Cluster, main: usize) -> Self {
        let reactor = running();
        let (one, two) = (cluster.hub_at(&reactor, main, "?sharded"), cluster.hub_at(&reactor, main, "?sharded"));
        let subscribed = |word: &str, start: Option<Start>| {
            let topics = (0..12).map(|number| format!("{word}.{number}"));
            let all = topics.map(|topic| {
                let (seen, subscriber) = notes();
                match start {
                    Some(start) => two.subscribe_from(&topic, start, subscriber).unwrap(),
                    None => two.subscribe(&topic, subscriber).unwrap(),
                };
                (topic, seen)
            });
            all.collect::<Vec<_>>()
        };
        let (live, stored) = (subscribed("room", None), subscribed("log", Some(Start::Oldest)));
        for topics in [&live, &stored] {
            assert!((0..3).all(|node| topics.iter().any(|(topic, _)| cluster.node_of(topic) == node)), "no topic for some node");
        }
        run_until(&reactor, "connected", || one.is_connected() && two.is_connected());
        run_until_subscribed(&reactor, cluster, live.len());
        Self { reactor, one, two, live, stored, published: 0, main }
    }

    /// Publishes the next number on every topic.
    fn publish(&mut self) {
        for (topic, _) in self.live.iter().chain(&self.stored) {
            self.one.publish(topic, self.published.to_string()).unwrap();
        }
        self.published += 1;
        self.reactor.iterate(Some(Duration::ZERO)).unwrap();
    }

    /// Publishes until the last number has come on all topics; the live ones lose what is said while their node is away.
    fn publish_until_all_is_heard(&mut self) {
        let has = |seen: &Seen, number: u32| seen.borrow().iter().any(|text| *text == number.to_string());
        let begun = self.reactor.now();
        loop {
            let number = self.published;
            self.publish();
            let next = self.reactor.now() + Duration::from_millis(200);
            while self.reactor.now() < next {
                self.reactor.iterate(Some(Duration::from_millis(20))).unwrap();
            }
            if self.live.iter().chain(&self.stored).all(|(_, seen)| has(seen, number)) {
                return;
            }
            assert!(self.reactor.now() < begun + Duration::from_secs(120), "{:?} {:?}", self.live, self.stored);
        }
    }

    /// What lives on `lost` has had gaps, and everything else has had all, without one.
    fn check(&self, cluster: &Cluster, lost: usize) {
        let expected: Vec<_> = (0..self.published).map(|number| number.to_string()).collect();
        for (topic, seen) in &self.stored {
            assert_eq!(*seen.borrow(), expected, "{topic} on {}", cluster.node_of(topic));
        }
        for (topic, seen) in &self.live {
            if cluster.node_of(topic) == lost {
                assert!(seen.borrow().contains(&format!("({})", Gap::Disconnected)), "{topic}: {seen:?}");
            } else {
                assert_eq!(*seen.borrow(), expected, "{topic} on {}", cluster.node_of(topic));
            }
        }
        assert_eq!((self.one.stats().connections_lost, self.two.stats().connections_lost), (0, 0));
        for node in (0..3).filter(|node| *node != lost) {
            let Value::Text(clients) = cluster.ask(node, "CLIENT LIST") else { panic!("it is text") };
            let clients = String::from_utf8(clients).unwrap();
            // The main connection may go to a node that has one already.
            let most = if lost == self.main { 4 } else { 2 };
            assert!((2..=most).contains(&clients.matches("name=torsade").count()), "one connection of each hub: {clients}");
        }
    }
}

#[test]
fn a_node_that_is_killed_and_begun_again_costs_its_own_live_messages_and_nothing_else() {
    kill_and_begin_again(2, 0);
}

#[test]
fn the_node_of_the_main_connections_costs_no_more_than_another() {
    kill_and_begin_again(0, 0);
}

fn kill_and_begin_again(lost: usize, main: usize) {
    let settings = "cluster-node-timeout 5000\ncluster-require-full-coverage no";
    let Some(mut cluster) = Cluster::with(3, settings) else { return };
    let mut hubs = Hubs::open(&cluster, main);
    // The publisher is connected to each node by then, so what it says next to the lost one is lost with that connection.
    hubs.publish_until_all_is_heard();
    cluster.nodes[lost].kill();
    (0..50).for_each(|_| hubs.publish());
    let gap = format!("({})", Gap::Disconnected);
    let is_told = |(topic, seen): &(String, Seen)| cluster.node_of(topic) != lost || seen.borrow().contains(&gap);
    run_until(&hubs.reactor, "the loss", || hubs.live.iter().all(is_told));
    (0..50).for_each(|_| hubs.publish());
    cluster.nodes[lost].start();
    hubs.publish_until_all_is_heard();
    hubs.check(&cluster, lost);
    assert!(hubs.one.stats().unconfirmed > 0);
}

#[test]
fn one_node_after_the_other_is_lost_and_the_hubs_stay_connected() {
    let settings = "cluster-node-timeout 5000\ncluster-require-full-coverage no";
    let Some(mut cluster) = Cluster::with(3, settings) else { return };
    let mut hubs = Hubs::open(&cluster, 0);
    for lost in [0, 1, 2, 0, 2] {
        hubs.publish_until_all_is_heard();
        cluster.nodes[lost].kill();
        (0..20).for_each(|_| hubs.publish());
        cluster.nodes[lost].start();
    }
    hubs.publish_until_all_is_heard();
    let expected: Vec<_> = (0..hubs.published).map(|number| number.to_string()).collect();
    for (topic, seen) in &hubs.stored {
        assert_eq!(*seen.borrow(), expected, "{topic} on {}", cluster.node_of(topic));
    }
    let in_order = |seen: &Seen| {
        let numbers: Vec<u32> = seen.borrow().iter().filter_map(|text| text.parse().ok()).collect();
        numbers.windows(2).all(|pair| pair[0] < pair[1])
    };
    assert!(hubs.live.iter().all(|(_, seen)| in_order(seen)), "{:?}", hubs.live);
    assert_eq!((hubs.one.stats().connections_lost, hubs.two.stats().connections_lost), (0, 0));
}

#[test]
fn a_cluster_whose_nodes_are_all_lost_is_a_lost_connection() {
    let settings = "cluster-node-timeout 5000\ncluster-require-full-coverage no";
    let Some(mut cluster) = Cluster::with(3, settings) else { return };
    let mut hubs = Hubs::open(&cluster, 0);
    hubs.publish_until_all_is_heard();
    (0..3).for_each(|node| cluster.nodes[node].kill());
    run_until(&hubs.reactor, "the loss", || !hubs.one.is_connected() && !hubs.two.is_connected());
    (0..20).for_each(|_| hubs.publish());
    (0..3).for_each(|node| cluster.nodes[node].start());
    hubs.publish_until_all_is_heard();
    let expected: Vec<_> = (0..hubs.published).map(|number| number.to_string()).collect();
    assert!(hubs.stored.iter().all(|(_, seen)| *seen.borrow() == expected), "{:?}", hubs.stored);
}

impl Cluster {
    /// Starts a fourth node that is a replica of the third, and in step with it.
    fn with_replica() -> Option<Self> {
        // While some slots are nobody's, all nodes refuse all slots.
        let settings = "cluster-node-timeout 1000\ncluster-replica-validity-factor 0";
        let cluster = Self::with(4, settings)?;
        assert_eq!(cluster.ask(3, &format!("CLUSTER REPLICATE {}", cluster.ids[2])), Value::Ok);
        let mut replica = Client::connect(cluster.nodes[3].port());
        let is_in_step =
            |info: Value| matches!(info, Value::Text(text) if String::from_utf8_lossy(&text).contains("master_link_status:up"));
        while !is_in_step(replica.ask(&["INFO", "replication"])) {
            std::thread::yield_now();
        }
        Some(cluster)
    }
}

#[test]
fn a_replica_that_takes_over_is_followed() {
    lose_the_master_of_a_replica(0);
}

#[test]
fn a_replica_that_takes_over_from_the_node_of_the_main_connections_is_followed() {
    lose_the_master_of_a_replica(2);
}

fn lose_the_master_of_a_replica(main: usize) {
    let Some(mut cluster) = Cluster::with_replica() else { return };
    let mut hubs = Hubs::open(&cluster, main);
    (0..20).for_each(|_| hubs.publish());
    let all = |(_, seen): &(String, Seen)| seen.borrow().len() == 20;
    run_until(&hubs.reactor, "all of them", || hubs.live.iter().chain(&hubs.stored).all(all));
    // What is confirmed and not at the replica yet would be lost with the master.
    let mut client = Client::connect(cluster.nodes[2].port());
    assert_eq!(client.ask(&["WAIT", "1", "0"]), Value::Number(1));
    cluster.nodes[2].kill();
    cluster.wait_for(3, "cluster_state:ok");
    hubs.publish_until_all_is_heard();
    hubs.check(&cluster, 2);
}

#[test]
fn a_replica_that_is_made_the_master_costs_nothing_stored() {
    let Some(cluster) = Cluster::with_replica() else { return };
    let mut hubs = Hubs::open(&cluster, 0);
    (0..20).for_each(|_| hubs.publish());
    assert_eq!(cluster.ask(3, "CLUSTER FAILOVER"), Value::Ok);
    (0..20).for_each(|_| hubs.publish());
    let mut client = Client::connect(cluster.nodes[3].port());
    let reactor = hubs.reactor.clone();
    run_until(&reactor, "the change", || {
        hubs.publish();
        matches!(client.ask(&["ROLE"]), Value::List(role) if role[0] == Value::text("master"))
    });
    hubs.publish_until_all_is_heard();
    let expected: Vec<_> = (0..hubs.published).map(|number| number.to_string()).collect();
    for (topic, seen) in hubs.stored.iter().chain(hubs.live.iter().filter(|(topic, _)| cluster.node_of(topic) != 2)) {
        assert_eq!(*seen.borrow(), expected, "{topic} on {}", cluster.node_of(topic));
    }
    assert_eq!((hubs.one.stats().connections_lost, hubs.two.stats().connections_lost), (0, 0));
}
