//! Three nodes of nats-server, and what they say about themselves.

use std::io::{Read, Write};
use std::net::TcpStream;

use serde_json::Value;

use crate::broker::{Broker, Program, free_port};

pub const NODES: usize = 3;

/// The nodes, and the ports at which they say how they are.
pub struct Cluster {
    nodes: Vec<Broker>,
    monitors: Vec<u16>,
}

impl Cluster {
    /// Starts the nodes; none where there is no `nats-server`.
    pub fn start() -> Option<Self> {
        let routes: Vec<_> = (0..NODES).map(|_| free_port()).collect();
        let all: Vec<_> = routes.iter().map(|port| format!("\"nats://127.0.0.1:{port}\"")).collect();
        let (mut nodes, mut monitors) = (Vec::new(), Vec::new());
        for (number, route) in routes.iter().enumerate() {
            let (monitor, name, all) = (free_port(), name(number), all.join(", "));
            let cluster = format!("cluster {{ name: hub, listen: \"127.0.0.1:{route}\", routes: [{all}] }}");
            let settings = format!("server_name: {name}\nhttp: \"127.0.0.1:{monitor}\"\n{cluster}");
            nodes.push(Broker::with_settings(Program::Nats, &settings)?);
            monitors.push(monitor);
        }
        Some(Self { nodes, monitors })
    }

    pub fn port(&self, node: usize) -> u16 {
        self.nodes[node].port()
    }

    /// The address of the cluster, with this node first.
    pub fn url(&self, first: usize, options: &str) -> String {
        let hosts = (0..NODES).map(|number| format!("127.0.0.1:{}", self.port((first + number) % NODES)));
        format!("nats://{}{options}", hosts.collect::<Vec<_>>().join(","))
    }

    pub fn kill(&mut self, node: usize) {
        self.nodes[node].kill();
    }

    /// Ends a node such that the others know of it at once.
    pub fn stop(&mut self, node: usize) {
        assert!(self.nodes[node].stop(), "there is a kill command");
    }

    pub fn start_again(&mut self, node: usize) {
        self.nodes[node].start();
    }

    /// The node that leads a stream; all nodes must run.
    pub fn stream_leader(&self, stream: &str) -> usize {
        let groups = (0..NODES).find_map(|node| self.groups(node).into_iter().find(|group| group.name == stream));
        groups.and_then(|group| group.leader()).expect("a stream with a leader")
    }

    /// The node that leads the cluster.
    pub fn meta_leader(&self) -> usize {
        self.stream_leader("")
    }

    /// Whether every node has all of these streams and of the cluster's own records, and agrees who leads.
    pub fn is_in_step(&self, streams: &[&str]) -> bool {
        let nodes: Vec<_> = (0..NODES).map(|node| self.groups(node)).collect();
        streams.iter().chain([&""]).all(|name| {
            let views: Vec<_> = nodes.iter().filter_map(|groups| groups.iter().find(|group| group.name == *name)).collect();
            let Some(leader) = views.first().and_then(|view| view.leader()) else { return false };
            views.len() == NODES
                && views.iter().all(|view| view.leader() == Some(leader) && view.last == views[0].last)
                && views[leader].has_all()
        })
    }

    /// The groups of nodes that a node belongs to: one for each stream, and that of the cluster, which has no name.
    fn groups(&self, node: usize) -> Vec<Group> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.monitors[node])).expect("it runs");
        stream.write_all(b"GET /jsz?accounts=1&streams=1 HTTP/1.0\r\n\r\n").expect("it reads");
        let mut said = String::new();
        stream.read_to_string(&mut said).expect("it answers");
        let (_, body) = said.split_once("\r\n\r\n").expect("a head and a body");
        let said: Value = serde_json::from_str(body).expect("JSON");
        let list = |value: &Value, name: &str| value[name].as_array().cloned().unwrap_or_default();
        let streams = list(&said, "account_details").into_iter().flat_map(|account| list(&account, "stream_detail"));
        let streams = streams.map(|stream| Group {
            name: stream["name"].as_str().unwrap_or_default().to_owned(),
            cluster: stream["cluster"].clone(),
            last: stream["state"]["last_seq"].as_u64(),
        });
        let meta = Group { name: String::new(), cluster: said["meta_cluster"].clone(), last: None };
        streams.chain([meta]).collect()
    }
}

/// A group as one of its nodes sees it.
struct Group {
    name: String,
    cluster: Value,
    last: Option<u64>,
}

impl Group {
    fn leader(&self) -> Option<usize> {
        (0..NODES).find(|node| self.cluster["leader"] == name(*node))
    }

    /// Whether the others have everything, in the eyes of the leader.
    fn has_all(&self) -> bool {
        let others = self.cluster["replicas"].as_array().map(Vec::as_slice).unwrap_or_default();
        others.len() == NODES - 1 && others.iter().all(|other| other["current"] == true && other["offline"] != true)
    }
}

fn name(node: usize) -> String {
    format!("node{node}")
}
