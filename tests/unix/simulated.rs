//! The same programs over the system's UNIX sockets and over simulated ones, and the life of simulated names.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use super::place::{Attempts, Folder};
use super::support::*;
use torsade::prelude::*;
use torsade::simulated::{Faults, Host, Simulation};

/// What a program over a UNIX socket saw at each end, in order.
#[derive(Clone, Default)]
struct Seen {
    server: Events,
    client: Events,
}

impl Seen {
    fn course(&self) -> Vec<String> {
        let end = |name: &str, events: &Events| {
            let reason = events.reason();
            let data = String::from_utf8_lossy(&events.data()).into_owned();
            format!("{name}: {:?}, {data:?}, {}", events.course(), reason.kind())
        };
        vec![end("server", &self.server), end("client", &self.client)]
    }
}

type Part = fn(&Event, &Transport) -> Result;

/// Runs one connection between the two on one reactor, which stops when both ends are lost.
fn run_program(reactor: &Reactor, name: &UnixName, server: Part, client: Part) -> Vec<String> {
    let seen = Seen::default();
    let probe = |events: &Events, part: Part| {
        let events = events.clone();
        move |_peer: Address| Probe::new(&events, part)
    };
    reactor.listen_unix(name.clone(), probe(&seen.server, server)).unwrap();
    reactor.connect_unix(name.clone(), probe(&seen.client, client)).unwrap();
    let (both, stopper) = (seen.clone(), reactor.clone());
    once(reactor, move || both.server.lost() && both.client.lost(), move || stop(&stopper));
    run(reactor);
    seen.course()
}

fn echo(event: &Event, transport: &Transport) -> Result {
    if let Event::Data(data) = event {
        transport.write(data);
    }
    Ok(())
}

/// The programs: a name, what the server does and what the client does.
const PROGRAMS: [(&str, Part, Part); 5] = [
    ("an echo", echo, |event, transport| {
        match event {
            Event::Made => transport.write(b"hello"),
            Event::Data(_) => transport.lose_connection(),
            _ => {}
        }
        Ok(())
    }),
    ("half a close", echo, |event, transport| {
        if let Event::Made = event {
            transport.write(b"last words");
            transport.lose_write_connection();
        }
        Ok(())
    }),
    (
        "an abort with unread input",
        |event, transport| {
            if let Event::Made = event {
                transport.write(b"never read");
            }
            Ok(())
        },
        |event, transport| {
            if let Event::Made = event {
                transport.pause_producing();
                let aborted = transport.clone();
                transport.reactor().call_later(Duration::from_millis(20), move || aborted.abort_connection());
            }
            Ok(())
        },
    ),
    (
        "an error",
        |event, _| if let Event::Data(_) = event { Err("deliberate".into()) } else { Ok(()) },
        |event, transport| {
            if let Event::Made = event {
                transport.write(b"wrong");
            }
            Ok(())
        },
    ),
    (
        "compression",
        |event, transport| {
            match event {
                Event::Made => transport.set_compression("deflate")?,
                Event::Data(data) => {
                    transport.write(data);
                    transport.lose_connection();
                }
                _ => {}
            }
            Ok(())
        },
        |event, transport| {
            if let Event::Made = event {
                transport.write(b"compressed on its way back");
            }
            Ok(())
        },
    ),
];

#[test]
fn the_same_program_sees_the_same_in_both_worlds() {
    for (name, server, client) in PROGRAMS {
        let folder = Folder::new();
        let real = run_program(&Reactor::new().unwrap(), &folder.path("s").into(), server, client);
        for (seed, faults) in [(1, Faults::calm()), (2, Faults { without_edges: 1.0, ..Faults::calm() })] {
            let simulation = Simulation::with_faults(seed, faults);
            let simulated = run_program(&simulation.host("10.0.0.1"), &"/run/s".into(), server, client);
            assert_eq!(simulated, real, "{name}");
        }
    }
}

const PATH: &str = "/run/echo.sock";
const SECOND: Duration = Duration::from_secs(1);

fn server(simulation: &Simulation) -> Host {
    let host = simulation.host("10.0.0.1");
    host.listen_unix(PATH, |_peer| Echo).unwrap();
    simulation.run_for(SECOND).unwrap();
    host
}

/// The error of an attempt on this host, if any.
fn attempt(simulation: &Simulation, host: &Host) -> Option<String> {
    let attempts = Attempts::default();
    attempts.connect(host, PATH);
    simulation.run_until(|| attempts.ended() == 1).unwrap();
    attempts.errors.take().pop()
}

#[test]
fn a_name_belongs_to_one_host_only() {
    let simulation = Simulation::new(1);
    let host = server(&simulation);
    assert_eq!(attempt(&simulation, &host), None);
    let other = simulation.host("10.0.0.2");
    assert!(attempt(&simulation, &other).is_some_and(|error| error.contains("not found")));
    other.listen_unix(PATH, |_peer| Echo).expect("it is free there");
    assert!(host.listen_unix(PATH, |_peer| Echo).is_err());
}

#[test]
fn a_file_ends_with_its_port_and_stays_behind_a_program_that_was_killed() {
    let simulation = Simulation::new(1);
    for crashed in [false, true] {
        let host = server(&simulation);
        if crashed {
            host.crash()
        } else {
            host.kill()
        }
        let host = host.restart();
        simulation.run_for(SECOND).unwrap();
        assert_eq!(attempt(&simulation, &host).as_deref(), Some("connection refused: nothing listens there"));
        let without_lock = ListenOptions { lock: false, ..ListenOptions::default() };
        let error = host.listen_unix_with(PATH, without_lock, |_peer| Echo).expect_err("the file is in the way").to_string();
        assert!(error.contains("listen with a lock"), "{error}");
        let port = host.listen_unix(PATH, |_peer| Echo).expect("the lock shows that nothing holds it");
        assert_eq!(attempt(&simulation, &host), None);
        port.stop_listening();
        simulation.run_for(SECOND).unwrap();
        assert!(attempt(&simulation, &host).is_some_and(|error| error.contains("not found")));
        host.stop().unwrap();
        simulation.run_for(10 * SECOND).unwrap();
        let _ = host.restart();
    }
}

#[test]
fn an_abstract_name_ends_with_its_program() {
    let simulation = Simulation::new(1);
    let host = simulation.host("10.0.0.1");
    host.listen_unix("\0echo", |_peer| Echo).unwrap();
    simulation.run_for(SECOND).unwrap();
    host.kill();
    let host = host.restart();
    host.listen_unix("\0echo", |_peer| Echo).expect("nothing is left of it");
}

#[test]
fn those_who_talk_to_a_killed_program_see_the_end_behind_what_it_has_written() {
    let simulation = Simulation::new(1);
    let seen = Rc::new(RefCell::new(Vec::new()));
    let (host, notes) = (simulation.host("10.0.0.1"), seen.clone());
    let greeting = |_peer: Address| {
        Probe::new(&Events::default(), |event, transport| {
            if let Event::Made = event {
                transport.write(b"hello");
            }
            Ok(())
        })
    };
    host.listen_unix(PATH, greeting).unwrap();
    // A host cannot have two programs yet, so it talks to itself, and the test checks from outside what is left of it.
    let client = move |_peer: Address| {
        let notes = notes.clone();
        Probe::new(&Events::default(), move |event, _| {
            notes.borrow_mut().push(event.name());
            Ok(())
        })
    };
    host.connect_unix(PATH, client).unwrap();
    simulation.run_for(SECOND).unwrap();
    assert_eq!(*seen.borrow(), ["made", "data"]);
    host.kill();
    simulation.run_for(SECOND).unwrap();
    assert_eq!(simulation.connections(), 0, "{}", simulation.report());
}

#[test]
fn nothing_is_lost_between_two_ends_however_bad_the_network_is() {
    for seed in 0..20 {
        let simulation = Simulation::with_faults(seed, Faults { connect_refused: 0.0, reset: 0.5, ..Faults::hostile() });
        let host = simulation.host("10.0.0.1");
        host.listen_unix(PATH, |_peer| Echo).unwrap();
        let events = Events::default();
        let (seen, mut left) = (events.clone(), 20_000);
        let client = move |_peer: Address| {
            Probe::new(&seen, move |event, transport| {
                match event {
                    Event::Made => transport.write(pattern(0, left)),
                    Event::Data(data) => {
                        left -= data.len();
                        if left == 0 {
                            transport.lose_connection();
                        }
                    }
                    _ => {}
                }
                Ok(())
            })
        };
        host.connect_unix(PATH, client).unwrap();
        simulation.run_until(|| events.lost()).unwrap();
        assert!(events.data() == pattern(0, 20_000), "seed {seed}");
        assert!(events.reason().is_clean(), "seed {seed}: {}", events.reason());
    }
}
