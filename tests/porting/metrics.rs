//! The receiver of metrics: beside its original, with a fault in it, and alone in a simulated network. `TORSADE_SEEDS` says how
//! many random scripts are played with the original.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use torsade::prelude::*;
use torsade::service::{MultiService, Service};
use torsade::simulated::Simulation;
use torsade::wire::Discard;

use crate::checking::{self, find_nothing, is_the_same, of_ports, seeds};
use crate::mutants::Mutation;
use crate::planted::is_found_by;
use crate::programs::metrics::datapoint::Datapoint;
use crate::programs::metrics::make_service;
use crate::programs::metrics::options::Options;
use crate::programs::metrics::ring::Ring;
use crate::programs::metrics::rules::Rules;
use crate::programs::port_with;

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/ports/metrics");

/// The options of both programs, for the checker.
fn options(between: &str) -> String {
    let rules = format!("{FOLDER}/rules");
    let options = ["--lines", "{listen1}", "--batches", "{listen2}", "--status", "{listen3}", "--destination", "a={peer1}"];
    let further = ["--destination", "b={peer2}", "--interval", "0.01", "--rules", &rules];
    [&options[..], &further].concat().join(between)
}

const GRAMMAR: &str = include_str!("../../examples/ports/metrics/grammar");

fn port(mutation: Option<Mutation>) -> String {
    port_with("metrics", &options(";"), mutation)
}

/// The original's command, where there is a Python for it.
fn original() -> Option<String> {
    checking::original("twisted", &format!("'{FOLDER}/original.py' '{}'", options("' '")))
}

/// Over fewer scripts than other pairs: each step waits for a timer.
#[test]
fn the_metrics_are_received_as_by_their_original() {
    let Some(original) = original() else { return };
    find_nothing(&original, &port(None), GRAMMAR, seeds(20));
}

#[test]
fn all_that_the_metrics_do_is_as_in_their_original() {
    let Some(original) = original() else { return };
    is_the_same(&original, &port(None), include_str!("../../examples/ports/metrics/script"));
}

#[test]
fn a_fault_of_the_metrics_is_found() {
    is_found_by(of_ports(&port(None), &port(Some(Mutation::OneLineAChunk))), GRAMMAR, 4);
}

/// What has come to a destination.
#[derive(Clone, Default)]
struct Sink {
    text: Rc<RefCell<String>>,
    transport: Rc<RefCell<Option<Transport>>>,
}

impl Sink {
    fn take(&self) -> String {
        self.text.take()
    }
}

impl Protocol for Sink {
    fn connection_made(&mut self, transport: &Transport) -> Result {
        self.transport.replace(Some(transport.clone()));
        Ok(())
    }

    fn data_received(&mut self, _: &Transport, data: &[u8]) -> Result {
        self.text.borrow_mut().push_str(str::from_utf8(data)?);
        Ok(())
    }
}

/// The program on one host, a destination on another, and a client of it on a third.
struct World {
    simulation: Simulation,
    service: MultiService,
    sink: Sink,
    store: Port,
    client: Transport,
}

const PROGRAM: &str = "10.0.0.1";
const STORE: &str = "10.0.0.2";
const CLIENT: &str = "10.0.0.3";

impl World {
    fn new(options: Options) -> Self {
        let simulation = Simulation::new(1);
        let sink = Sink::default();
        let shared = sink.clone();
        let store = simulation.host(STORE).listen("10.0.0.2:2003", move |_peer: Address| shared.clone()).unwrap();
        let options = Options {
            lines: format!("{PROGRAM}:2003"),
            batches: format!("{PROGRAM}:2004"),
            status: format!("{PROGRAM}:2005"),
            destinations: vec![("store".into(), format!("{STORE}:2003"))],
            ..options
        };
        let service = make_service(&options, |factory| factory).unwrap();
        service.start_service(&simulation.host(PROGRAM)).unwrap();
        let client = simulation.host(CLIENT).connect_protocol(format!("{PROGRAM}:2003"), Discard);
        simulation.run_for(Duration::from_secs(1)).unwrap();
        let client = client.into_result().expect("it is connected").unwrap();
        Self { simulation, service, sink, store, client }
    }

    fn run(&self, seconds: u64) {
        self.simulation.run_for(Duration::from_secs(seconds)).unwrap();
    }

    /// What the status port answers.
    fn status(&self, command: &str) -> String {
        let answer = Sink::default();
        let transport = self.simulation.host(CLIENT).connect_protocol(format!("{PROGRAM}:2005"), answer.clone());
        self.run(1);
        transport.into_result().expect("it is connected").unwrap().write(format!("{command}\r\nquit\r\n"));
        self.run(1);
        answer.take().replace("\r\n", "\n")
    }
}

impl Drop for World {
    fn drop(&mut self) {
        // Its timer tells of a reactor that is gone.
        let stopped = self.service.stop_service();
        self.simulation.run_for(Duration::from_secs(10)).ok();
        drop(stopped);
    }
}

#[test]
fn lines_are_rewritten_aggregated_and_relayed() {
    let rules = Some(format!("{FOLDER}/rules").into());
    let world = World::new(Options { rules, ..Options::default() });
    world.client.write("servers.x.load 1.5 100\nservers.y.load 2 101\nwrong\n");
    world.run(1);
    assert_eq!(world.sink.take(), "hosts.x.load 1.5 100\nhosts.y.load 2 101\n");
    world.run(10);
    assert_eq!(world.sink.take(), "all.load 3.5 100\nmean.load 1.75 100\n");
    world.client.write("hosts.z.load 0.5 109\n");
    world.run(11);
    assert_eq!(world.sink.take(), "hosts.z.load 0.5 109\nall.load 4 100\nmean.load 1.333333 100\n");
    assert_eq!(world.status("stats"), "received 3\nrejected 1\nrewritten 2\naggregated 6\nlate 0\n.\n");
}

#[test]
fn datagrams_and_batches_are_relayed_like_lines() {
    let world = World::new(Options::default());
    let host = world.simulation.host(CLIENT);
    let datagrams = host.listen_udp("10.0.0.3:0", Silent).unwrap();
    datagrams.write_to(b"a 1 1\r\nb 2 2\rc 3 3", &Address::Udp("10.0.0.1:2003".parse().unwrap()));
    world.run(1);
    assert_eq!(world.sink.take(), "a 1 1\nb 2 2\nc 3 3\n");
    let batches = host.connect_protocol("10.0.0.1:2004", Discard);
    world.run(1);
    let batches = batches.into_result().expect("it is connected").unwrap();
    let record = [b"\x01d", &4.0_f64.to_be_bytes()[..], &5_u32.to_be_bytes()].concat();
    batches.write([&14_u32.to_be_bytes(), &record[..]].concat());
    world.run(1);
    assert_eq!(world.sink.take(), "d 4 5\n");
    assert!(batches.is_connected());
    batches.write(b"\0\0\0\x01\x05");
    world.run(1);
    assert!(!batches.is_connected());
}

struct Silent;

impl DatagramProtocol for Silent {
    fn datagram_received(&mut self, _: &DatagramTransport, _: &[u8], _: &Address) -> Result {
        Ok(())
    }
}

#[test]
fn what_is_for_a_destination_that_is_away_waits_up_to_a_limit() {
    let world = World::new(Options { queue: 3, ..Options::default() });
    world.store.stop_listening();
    world.sink.transport.take().unwrap().abort_connection();
    world.run(1);
    world.client.write("a 1 1\nb 1 1\nc 1 1\nd 1 1\ne 1 1\n");
    world.run(1);
    assert_eq!(world.status("destinations"), "store away, queued 3, sent 0, dropped 2\n.\n");
    let shared = world.sink.clone();
    world.simulation.host(STORE).listen("10.0.0.2:2003", move |_peer: Address| shared.clone()).unwrap();
    world.run(5);
    assert_eq!(world.sink.take(), "a 1 1\nb 1 1\nc 1 1\n");
    assert_eq!(world.status("destinations"), "store connected, queued 0, sent 3, dropped 2\n.\n");
}

/// Its stream ends in order, and the queue is a producer that never ends.
#[test]
fn a_destination_that_has_closed_is_connected_to_again() {
    let world = World::new(Options::default());
    let first = world.sink.transport.take().unwrap();
    first.lose_connection();
    world.run(2);
    let second = world.sink.transport.borrow().clone().expect("it arrived again");
    assert!(!first.is_connected() && second.is_connected());
    world.client.write("a 1 1\n");
    world.run(1);
    assert_eq!(world.sink.take(), "a 1 1\n");
}

/// So many datapoints for a destination that reads none of them. Their names have 200 bytes, and each value so many digits.
fn stuffed(queue: usize, datapoints: usize, digits: usize) -> (World, Transport) {
    let world = World::new(Options { queue, ..Options::default() });
    let store = world.sink.transport.borrow().clone().unwrap();
    store.pause_producing();
    for _ in 0..datapoints / 100 {
        world.client.write(format!("{} 1e{} 1\n", "x".repeat(200), digits - 1).repeat(100));
        world.run(1);
    }
    (world, store)
}

/// How many of them are queued, sent, dropped.
fn counts(status: &str) -> [usize; 3] {
    ["queued ", "sent ", "dropped "]
        .map(|name| status.split_once(name).unwrap().1.split([',', '\n']).next().unwrap().parse().unwrap())
}

#[test]
fn a_destination_that_does_not_read_fills_its_queue_and_no_more() {
    let (world, store) = stuffed(1_000, 20_000, 1);
    let [queued, sent, dropped] = counts(&world.status("destinations"));
    assert!(queued == 1_000 && dropped > 0, "{queued}, {sent}, {dropped}");
    store.resume_producing();
    world.run(60);
    assert_eq!(counts(&world.status("destinations")), [0, sent + queued, dropped]);
    assert_eq!((world.sink.take().lines().count(), sent + queued + dropped), (sent + queued, 20_000));
}

fn all_that_is_queued_at_the_stop_is_sent(queue: usize, datapoints: usize, digits: usize) {
    let (world, store) = stuffed(queue, datapoints, digits);
    let [queued, sent, _] = counts(&world.status("destinations"));
    let stopped = world.service.stop_service();
    world.run(1);
    store.resume_producing();
    world.run(60);
    assert!(stopped.into_result().expect("it has stopped").is_ok());
    assert_eq!(world.sink.take().lines().count(), sent + queued);
    assert!(!store.is_connected());
}

#[test]
fn what_is_queued_at_the_stop_is_sent() {
    all_that_is_queued_at_the_stop_is_sent(1_000, 20_000, 1);
}

/// 20 MB, where a transport takes 16 MiB unless told otherwise.
#[test]
fn what_is_queued_at_the_stop_is_sent_though_it_is_more_than_a_transport_takes() {
    all_that_is_queued_at_the_stop_is_sent(40_000, 40_000, 300);
}

#[test]
fn a_silent_connection_is_closed_when_that_is_wanted() {
    let world = World::new(Options { idle: Some(Duration::from_secs(10)), ..Options::default() });
    world.run(7);
    world.client.write("a 1 1\n");
    world.run(7);
    assert!(world.client.is_connected());
    world.run(5);
    assert!(!world.client.is_connected());
}

#[test]
fn numbers_are_read_as_python_reads_them() {
    for (line, value) in [("a 1_0.5 1", 10.5), ("a\x0b+.5e1\t1.9", 5.0), ("a 1. 1\r", 1.0), ("a -0 4294967295.5", -0.0)] {
        assert_eq!(Datapoint::parse(line.as_bytes()).map(|datapoint| datapoint.value), Some(value), "{line:?}");
    }
    for wrong in [
        "",
        "a",
        "a 1",
        "a 1 1 1",
        "a _1 1",
        "a 1__0 1",
        "a inf 1",
        "a nan 1",
        "a 1e400 1",
        "a 1 -1",
        "a 1 4294967296",
        "a 0x1 1",
    ] {
        assert_eq!(Datapoint::parse(wrong.as_bytes()), None, "{wrong:?}");
    }
}

#[test]
fn rules_that_cannot_be_are_refused() {
    for wrong in ["rewrite a b", "rise a = b", "rewrite <a>.<a> = b", "rewrite a = <b>", "rewrite <A> = b", "sum <> = b"] {
        assert!(Rules::parse(wrong.as_bytes()).is_err(), "{wrong}");
    }
}

#[test]
fn a_destination_that_is_added_takes_names_and_moves_no_others() {
    let (two, three) = (Ring::new(&[b"a", b"b"]), Ring::new(&[b"a", b"b", b"c"]));
    let names: Vec<_> = (0..1_000).map(|number| format!("host{number}.load")).collect();
    let (mut moved, mut stay) = (0, 0);
    for name in &names {
        match (two.get(name.as_bytes()), three.get(name.as_bytes())) {
            (_, Some(2)) => moved += 1,
            (before, after) if before == after => stay += 1,
            (before, after) => panic!("{name} went from {before:?} to {after:?}"),
        }
    }
    assert!(moved > 200 && stay > 500, "{moved} {stay}");
    assert_eq!(Ring::new(&[]).get(b"a"), None);
}
