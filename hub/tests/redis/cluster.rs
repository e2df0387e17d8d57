//! A real cluster of three nodes: sharded pub/sub, streams and presence go to the nodes that have them, and follow them.

use std::time::Duration;

use redis_protocol::redis_keyslot;
use torsade::hub::{Gap, Hub, HubConfig, Start};
use torsade::prelude::*;

use crate::broker::{Broker, Program, free_port};
use crate::client::Client;
use crate::notes::notes;
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
        let (mut nodes, mut buses) = (Vec::new(), Vec::new());
        for _ in SLOTS {
            let bus = free_port();
            let settings =
                format!("cluster-enabled yes\ncluster-config-file nodes.conf\ncluster-port {bus}\ncluster-node-timeout 5000");
            nodes.push(Broker::with_settings(Program::Redis, &settings)?);
            buses.push(bus);
        }
        let mut ids = Vec::new();
        for (number, (node, (first, last))) in nodes.iter().zip(SLOTS).enumerate() {
            let mut client = Client::connect(node.port());
            assert_eq!(client.ask(&["CLUSTER", "SET-CONFIG-EPOCH", &(number + 1).to_string()]), Value::Ok);
            assert_eq!(client.ask(&["CLUSTER", "ADDSLOTSRANGE", &first.to_string(), &last.to_string()]), Value::Ok);
            let met = client.ask(&["CLUSTER", "MEET", "127.0.0.1", &nodes[0].port().to_string(), &buses[0].to_string()]);
            assert_eq!(met, Value::Ok);
            let Value::Text(id) = client.ask(&["CLUSTER", "MYID"]) else { panic!("a node has an id") };
            ids.push(String::from_utf8(id).unwrap());
        }
        let cluster = Self { nodes, ids };
        (0..3).for_each(|node| cluster.wait_for(node, "cluster_state:ok"));
        (0..3).for_each(|node| cluster.wait_for(node, "cluster_known_nodes:3"));
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
        let url = format!("redis://127.0.0.1:{}{options}", self.nodes[0].port());
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
    let (seen, subscriber) = notes();
    two.subscribe("room.moving", subscriber).unwrap();
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
    let numbers =
        |seen: &crate::notes::Seen| seen.borrow().iter().filter_map(|text| text.parse::<u32>().ok()).collect::<Vec<_>>();
    assert_eq!(numbers(&seen), (0..20).collect::<Vec<_>>());
    assert_eq!(numbers(&stored), (0..20).collect::<Vec<_>>());
    assert_eq!(stored.borrow()[..3], ["before", "asked", "settled"]);
}

#[test]
fn a_node_that_is_killed_and_begun_again_loses_nothing_stored() {
    let Some(mut cluster) = Cluster::start() else { return };
    let reactor = running();
    let (one, two) = (cluster.hub(&reactor, "?sharded"), cluster.hub(&reactor, "?sharded"));
    let logs: Vec<_> = (0..6).map(|number| format!("log.{number}")).collect();
    let seen = logs.iter().map(|topic| {
        let (seen, subscriber) = notes();
        two.subscribe_from(topic, Start::Oldest, subscriber).unwrap();
        seen
    });
    let seen: Vec<_> = seen.collect();
    run_until(&reactor, "connected", || one.is_connected() && two.is_connected());
    for node in [2, 1] {
        let before = seen[0].borrow().len();
        for number in 0..50 {
            logs.iter().for_each(|topic| one.publish(topic, (before + number).to_string()).unwrap());
            reactor.iterate(Some(Duration::ZERO)).unwrap();
            if number == 25 {
                cluster.nodes[node].kill();
            }
        }
        run_until(&reactor, "the loss", || !one.is_connected() || !two.is_connected());
        cluster.nodes[node].start();
        let last = (before + 49).to_string();
        run_until(&reactor, "all of them", || seen.iter().all(|seen| seen.borrow().last() == Some(&last)));
        for seen in &seen {
            let expected: Vec<_> = (0..before + 50).map(|number| number.to_string()).collect();
            assert_eq!(*seen.borrow(), expected);
        }
    }
}
