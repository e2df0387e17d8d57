//! Simulated sockets behave like the operating system's.
//!
//! Each test is a script for both ends of a connection. It runs in the simulation and, on Linux, over loopback, and both must
//! give the results written here: what each call returned, and which readiness was reported to each end after it.

use std::cell::RefCell;
use std::io;
use std::rc::Rc;
use std::time::Duration;

use torsade_reactor::simulated::{Faults, Simulation};
use torsade_reactor::spi::{Listener, Ready, Source, Stream, Token};
use torsade_reactor::{Address, ListenOptions, Reactor, SocketOptions};

use End::{Client, Server};
use Step::{Close, Drain, Empty, Fill, IsConnected, Read, ResetOnClose, Shutdown, TakeError, Write};

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum End {
    Client,
    Server,
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Close(End),
    /// Reads until nothing is left.
    Drain(End),
    /// Reads all that the peer has written, including what it sends once there is room; readiness reported meanwhile is left out.
    Empty(End),
    /// Writes until the peer's buffer and our own are full; readiness reported meanwhile is left out.
    Fill(End),
    IsConnected(End),
    /// Reads into a buffer of this size.
    Read(End, usize),
    ResetOnClose(End),
    Shutdown(End),
    TakeError(End),
    Write(End, usize),
}

type Told = Rc<RefCell<Vec<(End, Ready)>>>;

/// A source that records the readiness reported to it.
struct Recorder {
    end: End,
    told: Told,
}

impl Source for Recorder {
    fn ready(self: Rc<Self>, ready: Ready) {
        self.told.borrow_mut().push((self.end, ready));
    }
    fn end_of_turn(self: Rc<Self>) {}
    fn shut_down(self: Rc<Self>) {}
    fn abort(self: Rc<Self>) {}
}

/// Both ends of one or more connections, in one of the worlds.
struct Pair {
    told: Told,
    reactors: [Reactor; 2],
    streams: [Option<Box<dyn Stream>>; 2],
    settle: Box<dyn Fn()>,
    /// Where the server can listen.
    address: Address,
    _simulation: Option<Simulation>,
}

impl Pair {
    fn simulated() -> Self {
        Self::with_faults(Faults::calm())
    }

    fn with_faults(faults: Faults) -> Self {
        let simulation = Simulation::with_faults(1, faults);
        let reactors = ["10.0.0.2", "10.0.0.1"].map(|ip| simulation.host(ip).reactor().clone());
        let handle = simulation.clone();
        let settle = Box::new(move || handle.run_for(Duration::from_secs(5)).unwrap());
        settle();
        let address = Address::Tcp("10.0.0.1:0".parse().unwrap());
        Self { told: Rc::default(), reactors, streams: [None, None], settle, address, _simulation: Some(simulation) }
    }

    fn real() -> Self {
        let reactor = Reactor::new().unwrap();
        reactor.start_running().unwrap();
        let told: Told = Rc::default();
        let (turning, seen) = (reactor.clone(), Rc::clone(&told));
        let settle = Box::new(move || {
            // Loopback delivers within the system call, but an acknowledgement may take 40 ms.
            let mut before = usize::MAX;
            while before != seen.borrow().len() {
                before = seen.borrow().len();
                turning.iterate(Some(Duration::from_millis(60))).unwrap();
            }
        });
        let reactors = [reactor.clone(), reactor];
        let address = Address::Tcp("127.0.0.1:0".parse().unwrap());
        Self { told, reactors, streams: [None, None], settle, address, _simulation: None }
    }

    /// A listening socket of the server, whose readiness is reported as the server's.
    fn listen(&self) -> (Box<dyn Listener>, Token) {
        let mut listener =
            self.reactors[1].backend().listen(&self.address, ListenOptions { backlog: 5, ..ListenOptions::default() }).unwrap();
        let port = self.reactors[1].add_source(self.recorder(Server));
        listener.register(port).unwrap();
        (listener, port)
    }

    fn connect(&mut self, address: &Address) {
        let client = self.reactors[0].backend().connect(address, None, SocketOptions::default()).unwrap();
        self.register(Client, client);
        (self.settle)();
    }

    fn connected(mut self) -> Self {
        let (listener, port) = self.listen();
        self.connect(&listener.local_address().unwrap());
        assert!(self.told.borrow().contains(&(Server, Ready::READABLE)), "the port is notified");
        let (server, _) = listener.accept().unwrap();
        self.reactors[1].remove_source(port);
        self.register(Server, server);
        (self.settle)();
        assert_eq!(self.take_told(Client), Ready::WRITABLE, "connected");
        self.told.borrow_mut().clear();
        self
    }

    fn recorder(&self, end: End) -> Rc<Recorder> {
        Rc::new(Recorder { end, told: Rc::clone(&self.told) })
    }

    fn register(&mut self, end: End, mut stream: Box<dyn Stream>) {
        let token = self.reactors[end as usize].add_source(self.recorder(end));
        stream.register(token).unwrap();
        self.streams[end as usize] = Some(stream);
    }

    /// The readiness reported to an end since the last call.
    fn take_told(&self, end: End) -> Ready {
        self.told.borrow().iter().filter(|(who, _)| *who == end).fold(Ready::NONE, |all, (_, ready)| all | *ready)
    }

    fn run(mut self, script: &[Step]) -> Vec<String> {
        let mut transcript = Vec::new();
        for step in script {
            let result = self.step(*step);
            (self.settle)();
            let told = [Client, Server].map(|end| (end, self.take_told(end)));
            let told: String =
                told.iter().filter(|(_, ready)| *ready != Ready::NONE).map(|(end, ready)| format!(" {end:?}{ready:?}")).collect();
            self.told.borrow_mut().clear();
            transcript.push(format!("{step:?} {result}{told}").replace('"', ""));
        }
        transcript
    }

    fn step(&mut self, step: Step) -> String {
        let stream = |end: End| self.streams[end as usize].as_deref().unwrap();
        match step {
            Close(end) => {
                self.streams[end as usize] = None;
                "done".to_owned()
            }
            Drain(end) => {
                let mut buffer = [0; 4096];
                let mut total = 0;
                let last = loop {
                    match stream(end).read(&mut buffer) {
                        Ok(size) if size > 0 => total += size,
                        last => break said(last),
                    }
                };
                format!("{} {last}", if total > 10_000 { "much".to_owned() } else { total.to_string() })
            }
            Empty(end) => {
                let mut buffer = [0; 4096];
                while stream(end).read(&mut buffer).is_ok() {
                    while stream(end).read(&mut buffer).is_ok() {}
                    (self.settle)();
                }
                self.told.borrow_mut().retain(|(who, _)| *who != end);
                "done".to_owned()
            }
            Fill(end) => {
                let data = vec![7; 1 << 20];
                while stream(end).write(&data).is_ok() {
                    while stream(end).write(&data).is_ok() {}
                    (self.settle)();
                }
                let last = said(stream(end).write(&data));
                (self.settle)();
                self.told.borrow_mut().clear();
                last
            }
            IsConnected(end) => said(stream(end).is_connected()),
            Read(end, size) => said(stream(end).read(&mut vec![0; size])),
            ResetOnClose(end) => said(stream(end).reset_on_close().map(|()| "done")),
            Shutdown(end) => said(stream(end).shutdown_write().map(|()| "done")),
            TakeError(end) => said(stream(end).take_error().map(|error| error.map(|error| error.kind()))),
            Write(end, size) => said(stream(end).write(&vec![7; size])),
        }
    }
}

fn said<T: std::fmt::Debug>(result: io::Result<T>) -> String {
    match result {
        Ok(value) => format!("{value:?}"),
        Err(error) => format!("{:?}", error.kind()),
    }
}

#[track_caller]
fn both_say(script: &[Step], expected: &[&str]) {
    assert_eq!(Pair::simulated().connected().run(script), expected, "the simulation");
    if cfg!(target_os = "linux") {
        assert_eq!(Pair::real().connected().run(script), expected, "the operating system");
    }
}

fn in_both(check: impl Fn(Pair)) {
    check(Pair::simulated());
    if cfg!(target_os = "linux") {
        check(Pair::real());
    }
}

#[test]
fn a_socket_without_edges_is_reported_again_only_after_a_call_that_found_nothing() {
    let pair = Pair::with_faults(Faults { without_edges: 1.0, ..Faults::calm() }).connected();
    let script = [Write(Client, 10), Read(Server, 4), Write(Client, 5), Read(Server, 99), Read(Server, 99), Write(Client, 1)];
    let expected = [
        "Write(Client, 10) 10 Server{READABLE}",
        "Read(Server, 4) 4",
        "Write(Client, 5) 5",
        "Read(Server, 99) 11",
        "Read(Server, 99) WouldBlock Server{WRITABLE}",
        "Write(Client, 1) 1 Server{READABLE}",
    ];
    assert_eq!(pair.run(&script), expected);
}

#[test]
fn a_slow_readers_peer_gets_room_once_half_the_buffer_is_free() {
    let mut pair = Pair::simulated().connected();
    pair.step(Fill(Client));
    let left = |pair: &Pair| pair.streams[0].as_ref().unwrap().unacknowledged().unwrap();
    let full = left(&pair);
    pair.step(Read(Server, 60_000));
    (pair.settle)();
    assert_eq!(left(&pair), full);
    pair.step(Read(Server, 6_000));
    (pair.settle)();
    assert_eq!(left(&pair), full - 66_000);
}

#[test]
fn a_connect_to_nobody_is_refused() {
    in_both(|mut pair| {
        let (listener, port) = pair.listen();
        let address = listener.local_address().unwrap();
        pair.reactors[1].remove_source(port);
        drop(listener);
        pair.connect(&address);
        let all = Ready::READABLE | Ready::WRITABLE | Ready::READ_CLOSED | Ready::ERROR;
        assert_eq!(pair.take_told(Client), all);
        let client = pair.streams[0].take().unwrap();
        assert_eq!(client.is_connected().unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
        assert!(!client.is_connected().unwrap());
        assert_eq!(said(client.write(b"x")), "BrokenPipe");
        assert_eq!(said(client.read(&mut [0])), "0");
    });
}

#[test]
fn a_port_is_notified_of_each_arrival_and_of_those_that_wait_when_it_is_registered() {
    in_both(|mut pair| {
        let mut listener =
            pair.reactors[1].backend().listen(&pair.address, ListenOptions { backlog: 5, ..ListenOptions::default() }).unwrap();
        let address = listener.local_address().unwrap();
        assert_eq!(said(listener.accept().map(drop)), "WouldBlock");
        pair.connect(&address);
        listener.register(pair.reactors[1].add_source(pair.recorder(Server))).unwrap();
        (pair.settle)();
        assert_eq!(pair.told.borrow().iter().filter(|told| **told == (Server, Ready::READABLE)).count(), 1);
        pair.connect(&address);
        assert_eq!(pair.told.borrow().iter().filter(|told| **told == (Server, Ready::READABLE)).count(), 2);
        let second = pair.streams[0].take().unwrap();
        // Its client has already closed the first one, which is accepted nevertheless.
        let (first, peer) = listener.accept().unwrap();
        assert_ne!(peer, second.local_address().unwrap());
        assert_eq!(said(first.read(&mut [0])), "0");
        assert_eq!(listener.accept().unwrap().1, second.local_address().unwrap());
        assert_eq!(said(listener.accept().map(drop)), "WouldBlock");
        assert_eq!(said(listener.refuse()), "WouldBlock");
    });
}

#[test]
fn whoever_waits_is_reset_when_the_port_closes_and_gets_the_end_when_it_is_refused() {
    in_both(|mut pair| {
        let (listener, port) = pair.listen();
        let address = listener.local_address().unwrap();
        pair.connect(&address);
        listener.refuse().unwrap();
        (pair.settle)();
        assert_eq!(said(pair.streams[0].take().unwrap().read(&mut [0])), "0");
        pair.connect(&address);
        pair.reactors[1].remove_source(port);
        drop(listener);
        (pair.settle)();
        assert_eq!(said(pair.streams[0].take().unwrap().read(&mut [0])), "ConnectionReset");
    });
}

#[test]
fn data_is_reported_once_and_read_in_parts() {
    both_say(
        &[Write(Client, 5), Read(Server, 3), Read(Server, 9), Read(Server, 9), Write(Server, 0), Read(Server, 0)],
        &[
            "Write(Client, 5) 5 Server{READABLE, WRITABLE}",
            "Read(Server, 3) 3",
            "Read(Server, 9) 2",
            "Read(Server, 9) WouldBlock",
            "Write(Server, 0) 0",
            "Read(Server, 0) WouldBlock",
        ],
    );
}

#[test]
fn each_arrival_is_an_edge_even_if_the_one_before_was_not_used() {
    both_say(
        &[Write(Client, 5), Write(Client, 5), Drain(Server)],
        &[
            "Write(Client, 5) 5 Server{READABLE, WRITABLE}",
            "Write(Client, 5) 5 Server{READABLE, WRITABLE}",
            "Drain(Server) 10 WouldBlock",
        ],
    );
}

#[test]
fn room_is_reported_only_after_a_write_that_found_none() {
    both_say(
        &[Fill(Client), Empty(Server), Write(Client, 1)],
        &["Fill(Client) WouldBlock", "Empty(Server) done Client{WRITABLE}", "Write(Client, 1) 1 Server{READABLE, WRITABLE}"],
    );
}

#[test]
fn a_half_close_ends_one_stream_and_the_other_goes_on() {
    both_say(
        &[Write(Client, 5), Shutdown(Client), Drain(Server), Write(Server, 4), Read(Client, 9), Write(Client, 1)],
        &[
            "Write(Client, 5) 5 Server{READABLE, WRITABLE}",
            "Shutdown(Client) done Client{WRITABLE} Server{READABLE, WRITABLE, READ_CLOSED}",
            "Drain(Server) 5 0",
            "Write(Server, 4) 4 Client{READABLE, WRITABLE}",
            "Read(Client, 9) 4",
            "Write(Client, 1) BrokenPipe",
        ],
    );
}

#[test]
fn after_both_streams_have_ended_neither_end_is_connected() {
    both_say(
        &[Shutdown(Client), Shutdown(Server), Read(Client, 9), Read(Server, 9), Close(Client), Read(Server, 9)],
        &[
            "Shutdown(Client) done Client{WRITABLE} Server{READABLE, WRITABLE, READ_CLOSED}",
            "Shutdown(Server) done Client{READABLE, WRITABLE, READ_CLOSED} Server{READABLE, WRITABLE, READ_CLOSED}",
            "Read(Client, 9) 0",
            "Read(Server, 9) 0",
            "Close(Client) done",
            "Read(Server, 9) 0",
        ],
    );
}

#[test]
fn closing_sends_what_was_written_and_then_the_end() {
    both_say(
        &[Write(Client, 5), Close(Client), Drain(Server), IsConnected(Server)],
        &[
            "Write(Client, 5) 5 Server{READABLE, WRITABLE}",
            "Close(Client) done Server{READABLE, WRITABLE, READ_CLOSED}",
            "Drain(Server) 5 0",
            "IsConnected(Server) true",
        ],
    );
}

#[test]
fn data_for_a_closed_socket_is_answered_with_a_reset() {
    both_say(
        &[Close(Client), Write(Server, 5), TakeError(Server), TakeError(Server), Write(Server, 5), Read(Server, 9)],
        &[
            "Close(Client) done Server{READABLE, WRITABLE, READ_CLOSED}",
            "Write(Server, 5) 5 Server{READABLE, WRITABLE, READ_CLOSED, ERROR}",
            "TakeError(Server) Some(BrokenPipe)",
            "TakeError(Server) None",
            "Write(Server, 5) BrokenPipe",
            "Read(Server, 9) 0",
        ],
    );
}

#[test]
fn closing_with_unread_data_resets_the_peer() {
    both_say(
        &[Write(Client, 5), Close(Server), Read(Client, 9), Read(Client, 9), Write(Client, 1)],
        &[
            "Write(Client, 5) 5 Server{READABLE, WRITABLE}",
            "Close(Server) done Client{READABLE, WRITABLE, READ_CLOSED, ERROR}",
            "Read(Client, 9) ConnectionReset",
            "Read(Client, 9) 0",
            "Write(Client, 1) BrokenPipe",
        ],
    );
}

#[test]
fn what_came_in_order_before_a_reset_is_read_first() {
    both_say(
        &[Write(Client, 5), ResetOnClose(Client), Close(Client), Read(Server, 3), Drain(Server), Drain(Server)],
        &[
            "Write(Client, 5) 5 Server{READABLE, WRITABLE}",
            "ResetOnClose(Client) done",
            "Close(Client) done Server{READABLE, WRITABLE, READ_CLOSED, ERROR}",
            "Read(Server, 3) 3",
            "Drain(Server) 2 ConnectionReset",
            "Drain(Server) 0 0",
        ],
    );
}

#[test]
fn a_write_after_a_reset_gets_the_error_once_and_then_a_broken_pipe() {
    both_say(
        &[ResetOnClose(Client), Close(Client), Write(Server, 5), Write(Server, 5), IsConnected(Server), Shutdown(Server)],
        &[
            "ResetOnClose(Client) done",
            "Close(Client) done Server{READABLE, WRITABLE, READ_CLOSED, ERROR}",
            "Write(Server, 5) ConnectionReset",
            "Write(Server, 5) BrokenPipe",
            "IsConnected(Server) false",
            "Shutdown(Server) NotConnected Server{READABLE, WRITABLE, READ_CLOSED}",
        ],
    );
}

#[test]
fn a_reset_while_the_peer_does_not_read_drops_what_it_had_not_sent() {
    both_say(
        &[Fill(Server), Write(Client, 1), Close(Server), Drain(Client)],
        &[
            "Fill(Server) WouldBlock",
            "Write(Client, 1) 1 Server{READABLE}",
            "Close(Server) done Client{READABLE, WRITABLE, READ_CLOSED, ERROR}",
            "Drain(Client) much ConnectionReset",
        ],
    );
}

#[test]
fn random_scripts_say_the_same_in_both_worlds() {
    if !cfg!(target_os = "linux") {
        return;
    }
    // Each script waits for the real kernel many times, so they run in parallel.
    let scripts = std::env::var("TORSADE_SEEDS").map_or(50, |count| count.parse().unwrap());
    assert!(scripts > 0, "there is no script to run");
    std::thread::scope(|scope| {
        for seed in 0..scripts {
            scope.spawn(move || {
                let script = random_script(seed);
                let simulated = Pair::simulated().connected().run(&script);
                assert_eq!(simulated, Pair::real().connected().run(&script), "script {seed}");
            });
        }
    });
}

fn random_script(seed: u64) -> Vec<Step> {
    let simulation = Simulation::new(seed);
    let draw = |bound: usize| usize::try_from(simulation.draw(bound as u64)).unwrap();
    let mut open = vec![Client, Server];
    let mut script = Vec::new();
    while script.len() < 12 && !open.is_empty() {
        let place = draw(open.len());
        let end = open[place];
        script.push(match draw(12) {
            0 => {
                open.remove(place);
                Close(end)
            }
            1 => Shutdown(end),
            2 => ResetOnClose(end),
            3 => TakeError(end),
            4 => IsConnected(end),
            5..8 => Write(end, draw(100)),
            8..10 => Read(end, draw(100)),
            _ => Drain(end),
        });
    }
    script
}
