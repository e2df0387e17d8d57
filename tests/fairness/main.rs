//! Nobody starves, descriptors may run out, and idle connections are cheap.

#[path = "../support/support.rs"]
mod support;
mod work;

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::io::Write;
use std::net::{SocketAddr, TcpStream};
use std::process::{Command, Stdio};
use std::rc::Rc;
use std::sync::mpsc::{self, Receiver};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use support::*;
use torsade::prelude::*;
use torsade::simulated::{Faults, Simulation};

/// How often each connection read in each turn, and the most bytes it read at once.
type Reads = Rc<RefCell<BTreeMap<(u64, u64), (usize, usize)>>>;

fn counting(reads: Reads) -> impl FnMut(&Event, &Transport) -> Result + 'static {
    move |event, transport| {
        if let Event::Data(data) = event {
            let mut reads = reads.borrow_mut();
            let entry = reads.entry((transport.id(), transport.reactor().turn_number())).or_default();
            *entry = (entry.0 + 1, entry.1 + data.len());
        }
        Ok(())
    }
}

/// A flood, and some peers that send one byte each, from a thread. Reports when all of it waits in the receiver's sockets, then
/// goes on with the flood.
fn send_what_waits(wire: Wire, address: SocketAddr, flood: usize, small: usize) -> (Receiver<()>, JoinHandle<()>) {
    let (tell, told) = mpsc::channel();
    let thread = thread::spawn(move || {
        let reactor = wire.reactor();
        let (lost, transports) = (Rc::new(Cell::new(0)), Rc::<RefCell<Vec<Transport>>>::default());
        for number in 0..=small {
            let (lost, transports) = (lost.clone(), transports.clone());
            wire.connect(&reactor, address, move |_peer| {
                let (lost, transports) = (lost.clone(), transports.clone());
                Probe::new(&Events::default(), move |event, transport| {
                    match event {
                        Event::Made if number == 0 => transport.write(noise(flood)),
                        Event::Made => {
                            transport.write("!");
                            transports.borrow_mut().push(transport.clone());
                        }
                        Event::Lost(_) => {
                            lost.set(lost.get() + 1);
                            if lost.get() == small + 1 {
                                stop(transport.reactor());
                            }
                        }
                        _ => {}
                    }
                    Ok(())
                })
            });
        }
        // On the loopback, what has left one socket has arrived in the other.
        fn look(reactor: &Reactor, transports: &Rc<RefCell<Vec<Transport>>>, small: usize, tell: mpsc::Sender<()>) {
            let sent = transports.borrow().iter().filter(|transport| transport.unsent() == 0).count();
            if sent == small {
                return tell.send(()).unwrap();
            }
            let (again, transports) = (reactor.clone(), transports.clone());
            reactor.call_later(Duration::from_millis(1), move || look(&again, &transports, small, tell));
        }
        look(&reactor, &transports, small, tell);
        run(&reactor);
    });
    (told, thread)
}

#[test]
fn a_flood_that_waits_beside_ten_others_starves_none_of_them_over_any_wire() {
    const FLOOD: usize = 4 << 20;
    on_every_wire(|wire| {
        if wire.cut {
            // It reads a few bytes at a time, so there is no flood.
            return;
        }
        let reactor = wire.reactor();
        let reads = Reads::default();
        let receivers: Rc<RefCell<Vec<Transport>>> = Rc::default();
        let (seen, made) = (reads.clone(), receivers.clone());
        let port = wire.listen_directly(&reactor, move |_peer| {
            let (mut count, made) = (counting(seen.clone()), made.clone());
            Probe::new(&Events::default(), move |event, transport| {
                if matches!(event, Event::Made) {
                    // Handshakes go on while paused.
                    transport.pause_producing();
                    made.borrow_mut().push(transport.clone());
                }
                count(event, transport)
            })
        });
        let (told, senders) = send_what_waits(wire, address(&port), FLOOD, 10);
        let resumed = Rc::new(Cell::new(0));
        let (turn, seen) = (resumed.clone(), reads.clone());
        fn look(
            reactor: &Reactor,
            turn: &Rc<Cell<u64>>,
            reads: &Reads,
            receivers: &Rc<RefCell<Vec<Transport>>>,
            told: Receiver<()>,
        ) {
            if turn.get() == 0 && told.try_recv().is_ok() {
                assert!(reads.borrow().is_empty(), "they are paused");
                turn.set(reactor.turn_number());
                receivers.borrow().iter().for_each(Transport::resume_producing);
            }
            if reads.borrow().values().map(|read| read.1).sum::<usize>() >= FLOOD + 10 {
                return stop(reactor);
            }
            let (again, turn, reads, receivers) = (reactor.clone(), turn.clone(), reads.clone(), receivers.clone());
            reactor.call_later(Duration::from_millis(1), move || look(&again, &turn, &reads, &receivers, told));
        }
        look(&reactor, &turn, &seen, &receivers, told);
        run(&reactor);
        senders.join().unwrap();
        let reads = reads.borrow();
        assert!(reads.values().all(|read| read.0 == 1 && read.1 <= 65_536), "{wire:?}: {reads:?}");
        let mut first = BTreeMap::new();
        for (id, turn) in reads.keys() {
            first.entry(*id).or_insert(turn - resumed.get());
        }
        assert_eq!(first.len(), 11, "{wire:?}: {first:?}");
        assert!(first.values().all(|waited| *waited <= 2), "{wire:?}: turns until each had its first byte: {first:?}");
    });
}

#[test]
fn what_is_inflated_counts_too_one_buffer_a_turn() {
    on_every_wire(|wire| {
        if wire.compressed {
            // The test itself switches compression on.
            return;
        }
        let reactor = wire.reactor();
        let reads = Reads::default();
        let seen = reads.clone();
        let port = wire.listen(&reactor, move |_peer| {
            let mut got = 0;
            let mut count = counting(seen.clone());
            Probe::new(&Events::default(), move |event, transport| {
                match event {
                    Event::Made => transport.expect_compression("deflate", b"")?,
                    Event::Data(data) => got += data.len(),
                    Event::Lost(reason) => {
                        assert!(reason.is_clean(), "{reason}");
                        assert_eq!(got, 20 << 20);
                        stop(transport.reactor());
                    }
                    _ => {}
                }
                count(event, transport)
            })
        });
        let mut bomb = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::best());
        bomb.write_all(&vec![0; 20 << 20]).unwrap();
        let bomb = bomb.finish().unwrap();
        assert!(bomb.len() < 65_536, "one read of the socket: {}", bomb.len());
        let peer = peer(port.place.clone(), move |mut stream| stream.write_all(&bomb).unwrap());
        run(&reactor);
        peer.join().unwrap();
        let reads = reads.borrow();
        assert!(reads.len() >= 320 && reads.values().all(|read| read.0 == 1 && read.1 <= 65_536), "{} turns", reads.len());
    });
}

#[test]
fn at_most_64_connections_are_accepted_in_one_turn() {
    // No more than any system's accept queue holds.
    const MANY: usize = 100;
    let reactor = Reactor::new().unwrap();
    let turns: Rc<RefCell<BTreeMap<u64, usize>>> = Rc::default();
    let seen = turns.clone();
    let port = reactor
        .listen_tcp("127.0.0.1:0", move |_peer| {
            let seen = seen.clone();
            Probe::new(&Events::default(), move |event, transport| {
                if matches!(event, Event::Made) {
                    let mut turns = seen.borrow_mut();
                    *turns.entry(transport.reactor().turn_number()).or_default() += 1;
                    if turns.values().sum::<usize>() == MANY {
                        stop(transport.reactor());
                    }
                }
                Ok(())
            })
        })
        .unwrap();
    let waiting: Vec<TcpStream> = (0..MANY).map(|_| connect(address(&port))).collect();
    run(&reactor);
    let turns = turns.borrow();
    assert_eq!(turns.values().sum::<usize>(), waiting.len());
    assert!(turns.values().all(|count| *count <= 64), "{turns:?}");
    assert!(turns.len() <= 4, "accepting does not wait for the next event: {turns:?}");
}

/// An echo server that logs to standard error, prints where it listens, and ends with its input.
fn serve() {
    env_logger::Builder::new().filter_level(log::LevelFilter::Info).is_test(false).init();
    serve_on();
}

fn serve_on() {
    let reactor = Reactor::new().unwrap();
    let port = reactor.listen_tcp("127.0.0.1:0", |_peer| Echo).unwrap();
    println!("\nlistening on {}", port.address());
    reactor.run().unwrap();
    println!("\nturns: {}", reactor.turn_number());
}

/// User and system time of a process in clock ticks, 100 a second on every Linux.
fn cpu_ticks(id: u32) -> Option<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
    let fields: Vec<&str> = stat.rsplit_once(") ")?.1.split(' ').collect();
    Some(fields.get(11)?.parse::<u64>().ok()? + fields.get(12)?.parse::<u64>().ok()?)
}

#[test]
fn all_who_wait_are_served_after_an_accept_has_failed() {
    use std::io::{Error, ErrorKind};
    let at_once = [ErrorKind::ConnectionAborted, ErrorKind::Interrupted];
    for kind in [ErrorKind::ConnectionAborted, ErrorKind::Interrupted, ErrorKind::Other, ErrorKind::InvalidInput] {
        let reactor = torsade::MemoryReactor::new();
        let port = reactor.listen_tcp("127.0.0.1:0", |_peer| Echo).unwrap();
        reactor.advance(Duration::ZERO);
        let peers: Vec<_> = (1..=20)
            .map(|number| {
                reactor.connect_peer(std::net::SocketAddr::from(([192, 0, 2, 1], number)), support::address(&port)).unwrap()
            })
            .collect();
        peers.iter().for_each(|peer| peer.send(b"hello"));
        reactor.fail_next_accept(Error::from(kind));
        reactor.advance(Duration::ZERO);
        if !at_once.contains(&kind) {
            reactor.advance(Duration::from_millis(100));
        }
        let served = peers.iter().filter(|peer| peer.take_received() == b"hello").count();
        assert_eq!(served, 20, "{kind:?}");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn running_out_of_descriptors_neither_spins_nor_kills_and_ends_when_there_are_some_again() {
    const NAME: &str = "running_out_of_descriptors_neither_spins_nor_kills_and_ends_when_there_are_some_again";
    const LIMITED: u32 = 40;
    if is_child(NAME) {
        return serve();
    }
    let mut child = child_with_descriptors(NAME, LIMITED).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = lines(&mut child);
    let address = listening(&mut lines);
    let echo = |stream: &mut TcpStream| {
        stream.write_all(b"hello").is_ok() && {
            let mut got = [0; 5];
            std::io::Read::read_exact(stream, &mut got).is_ok()
        }
    };
    let (mut served, mut refused) = (Vec::new(), 0);
    // More at once than are refused in a turn.
    let all: Vec<TcpStream> = (0..100).map(|_| connect(address)).collect();
    for mut stream in all {
        if echo(&mut stream) { served.push(stream) } else { refused += 1 }
    }
    assert!(served.len() >= 10 && served.len() < LIMITED as usize, "{} served", served.len());
    assert_eq!(served.len() + refused, 100, "whoever finds no place is refused, not left hanging");
    // While descriptors are short it uses next to no CPU, and the connections it has are served.
    let before = cpu_ticks(child.id()).unwrap();
    let (never, wait) = std::sync::mpsc::channel::<()>();
    wait.recv_timeout(Duration::from_millis(1000)).unwrap_err();
    drop(never);
    let used = cpu_ticks(child.id()).unwrap() - before;
    assert!(used <= 10, "{used} ticks of 10 ms in one second of nothing");
    assert!(served.iter_mut().all(echo));
    served.truncate(5);
    let again = (0..200).any(|_| {
        let mut stream = connect(address);
        echo(&mut stream) || {
            std::thread::yield_now();
            false
        }
    });
    assert!(again, "it does not recover");
    assert!(signal(&mut child, "-TERM"));
    let turns: u64 = lines.find_map(|line| line.strip_prefix("turns: ")?.parse().ok()).unwrap();
    assert!(turns < 3000, "{turns} turns");
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    let log = String::from_utf8_lossy(&output.stderr).into_owned();
    let told = log.lines().filter(|line| line.contains("cannot accept")).count();
    assert!((1..=3).contains(&told), "{told} lines:\n{log}");
}

#[cfg(target_os = "linux")]
#[test]
fn at_nine_tenths_of_the_systems_limit_of_descriptors_connections_wait_for_those_of_any_reactor_to_end() {
    const NAME: &str = "at_nine_tenths_of_the_systems_limit_of_descriptors_connections_wait_for_those_of_any_reactor_to_end";
    if is_child(NAME) {
        let other = thread::spawn(serve_on);
        serve();
        return other.join().unwrap();
    }
    let mut child = child_with_descriptors(NAME, 300).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = lines(&mut child);
    let (first, second) = (listening(&mut lines), listening(&mut lines));
    let greet = |address: SocketAddr| {
        let mut stream = connect(address);
        stream.write_all(b"hello").unwrap();
        stream
    };
    let answered =
        |streams: &mut [TcpStream]| streams.iter_mut().for_each(|stream| assert_eq!(read_exactly(stream, 5), b"hello"));
    let mut served: Vec<TcpStream> = (0..270).map(|number| greet(if number < 100 { second } else { first })).collect();
    answered(&mut served);
    let mut waiting: Vec<TcpStream> = (0..10).map(|_| greet(second)).collect();
    served.truncate(260);
    answered(&mut waiting);
    if !signal(&mut child, "-TERM") {
        return;
    }
    let log = String::from_utf8_lossy(&child.wait_with_output().unwrap().stderr).into_owned();
    let told = log.lines().filter(|line| line.contains("accepts no more than 270")).count();
    assert!((1..=2).contains(&told), "once a reactor:\n{log}");
    assert!(!log.contains("cannot accept"), "{log}");
}

#[cfg(target_os = "linux")]
#[test]
fn an_idle_connection_costs_less_than_a_kibibyte() {
    const NAME: &str = "an_idle_connection_costs_less_than_a_kibibyte";
    const MANY: usize = 1500;
    // A tenth of them is reserved for the program's own use.
    const DESCRIPTORS: u32 = 2 * MANY as u32 * 10 / 9 + 100;
    if is_child(NAME) {
        return serve();
    }
    let limit = Command::new("sh").args(["-c", "ulimit -n"]).output().unwrap().stdout;
    let limit = String::from_utf8_lossy(&limit).trim().parse::<u64>().unwrap_or(u64::MAX);
    if limit < u64::from(DESCRIPTORS) {
        println!("skipped: {limit} descriptors are too few for {} connections", 2 * MANY);
        return;
    }
    let mut child = child_with_descriptors(NAME, DESCRIPTORS).spawn().unwrap();
    let mut lines = lines(&mut child);
    let address = listening(&mut lines);
    let resident = |id: u32| {
        let status = std::fs::read_to_string(format!("/proc/{id}/status")).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap().trim().trim_end_matches(" kB").to_owned();
        line.parse::<usize>().unwrap() * 1024
    };
    let open = || -> Vec<TcpStream> {
        (0..MANY)
            .map(|_| {
                let mut stream = connect(address);
                stream.write_all(&[b'x'; 500]).unwrap();
                read_exactly(&mut stream, 500);
                stream
            })
            .collect()
    };
    // The first connections allocate what all share.
    let first = open();
    let before = resident(child.id());
    let second = open();
    let each = resident(child.id()).saturating_sub(before) / MANY;
    println!("{each} bytes for each of {MANY} idle connections after {} others", first.len());
    assert!(signal(&mut child, "-TERM"));
    drop((first, second));
    child.wait().unwrap();
    assert!(each < 1024, "{each} bytes each");
}

/// It used to leave a timer for each connection whose accept failed, and each timer started the next.
#[test]
fn a_port_without_descriptors_waits_once_however_many_connections_come() {
    let simulation = Simulation::with_faults(1, Faults { accept_out_of_descriptors: 1.0, ..Faults::calm() });
    let (server, client) = (simulation.host("10.0.0.1"), simulation.host("10.0.0.2"));
    let port = server.listen_tcp("0.0.0.0:7", |_peer| Echo).unwrap();
    for _ in 0..100 {
        client.connect_tcp("10.0.0.1:7", |_peer| Echo).unwrap();
        simulation.run_for(Duration::from_millis(70)).unwrap();
        assert!(server.delayed_calls() <= 1, "{:?}", server.leftovers());
    }
    assert_eq!(server.delayed_calls(), 1, "it is still without descriptors");
    port.stop_listening();
    simulation.run_for(Duration::from_millis(1)).unwrap();
    assert_eq!(server.delayed_calls(), 0, "{:?}", server.leftovers());
}
