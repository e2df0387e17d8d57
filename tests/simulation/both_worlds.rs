//! The verified fake: the same programs on the real and on the simulated Backend give the same event logs.
//!
//! Client and server are on one reactor, over the loopback or a UNIX socket; or a program is alone with its standard input and
//! output. Whatever may differ between any two runs is removed before the comparison: times, turns, port numbers, how bytes are
//! cut, and how the two ends of a connection interleave.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use crate::support;
use torsade::event_log::{Event, Subject};
use torsade::prelude::*;
use torsade::simulated::Simulation;

/// What one end does: when connected, for each line, and at the peer's end of stream.
#[derive(Clone, Copy)]
pub(crate) struct Part {
    pub(crate) made: fn(&LineTransport) -> Result,
    pub(crate) line: fn(&LineTransport, &[u8]) -> Result,
    pub(crate) end: fn(&LineTransport) -> Result,
}

/// Counts the ends that are lost; a scenario is over when both are.
pub(crate) struct Role {
    pub(crate) part: Part,
    pub(crate) gone: Rc<Cell<u32>>,
}

impl LineProtocol for Role {
    fn connection_made(&mut self, transport: &LineTransport) -> Result {
        (self.part.made)(transport)
    }

    fn line_received(&mut self, transport: &LineTransport, line: &[u8]) -> Result {
        (self.part.line)(transport, line)
    }

    fn read_connection_lost(&mut self, transport: &LineTransport) -> Result {
        (self.part.end)(transport)
    }

    fn connection_lost(&mut self, transport: &LineTransport, _reason: &Reason) -> Result {
        self.gone.set(self.gone.get() + 1);
        if self.gone.get() == 2 {
            let reactor = transport.reactor().clone();
            // The scenario may have stopped it.
            transport.reactor().call_later(Duration::ZERO, move || reactor.stop().unwrap_or_default());
        }
        Ok(())
    }
}

const NOTHING: fn(&LineTransport) -> Result = |_| Ok(());
pub(crate) const LOSE: fn(&LineTransport) -> Result = |transport| {
    transport.lose_connection();
    Ok(())
};
const ECHO: fn(&LineTransport, &[u8]) -> Result = |transport, line| {
    transport.send_line(line);
    Ok(())
};
pub(crate) const ECHOING: Part = Part { made: NOTHING, line: ECHO, end: LOSE };
pub(crate) const LOSING: Part = Part {
    made: |transport| {
        transport.send_line("hello");
        Ok(())
    },
    line: |transport, _| LOSE(transport),
    end: LOSE,
};

pub(crate) const HALF_CLOSING: Part = Part {
    made: |transport| {
        transport.send_line("last words");
        transport.lose_write_connection();
        Ok(())
    },
    line: |_, _| Ok(()),
    end: LOSE,
};

/// The scenarios: a name, what the server does and what the client does.
const SCENARIOS: [(&str, Part, Part); 12] = [
    ("an echo", ECHOING, LOSING),
    ("a half-close", ECHOING, HALF_CLOSING),
    ("an end at once", ECHOING, Part { made: LOSE, line: ECHO, end: LOSE }),
    (
        "an abort",
        Part {
            line: |transport, _| {
                transport.abort_connection();
                Ok(())
            },
            ..ECHOING
        },
        LOSING,
    ),
    ("an error", Part { line: |_, _| Err("deliberate".into()), ..ECHOING }, LOSING),
    ("an error at the beginning", Part { made: |_| Err("deliberate".into()), ..ECHOING }, Part { made: NOTHING, ..LOSING }),
    ("a panic", Part { line: |_, _| panic!("deliberate, in a test"), ..ECHOING }, LOSING),
    (
        "a mebibyte",
        Part {
            line: |transport, _| {
                transport.write([b"x".repeat(1022), b"\r\n".to_vec()].concat().repeat(1024));
                LOSE(transport)
            },
            ..ECHOING
        },
        Part { line: |_, _| Ok(()), ..LOSING },
    ),
    (
        "too long a line",
        Part {
            line: |transport, _| {
                // Its last byte is the one that makes it too long.
                transport.write(vec![b'x'; 16_386]);
                Ok(())
            },
            ..ECHOING
        },
        LOSING,
    ),
    (
        "compression",
        Part {
            made: |transport| {
                transport.set_compression("deflate")?;
                transport.send_line("welcome");
                Ok(())
            },
            line: ECHO,
            end: LOSE,
        },
        Part {
            made: NOTHING,
            line: |transport, line| {
                if line == b"welcome" {
                    transport.send_line("and you?")
                } else {
                    transport.lose_connection()
                }
                Ok(())
            },
            end: LOSE,
        },
    ),
    (
        "a pause",
        Part {
            line: |transport, line| {
                transport.pause_producing();
                let later = transport.clone();
                transport.reactor().call_later(Duration::from_millis(1), move || later.resume_producing());
                ECHO(transport, line)
            },
            ..ECHOING
        },
        Part {
            made: |transport| {
                transport.write("one\r\ntwo\r\nthree\r\n");
                Ok(())
            },
            line: |transport, line| if line == b"three" { LOSE(transport) } else { Ok(()) },
            end: LOSE,
        },
    ),
    (
        "a peer that ends late",
        Part { made: LOSE, ..ECHOING },
        Part {
            made: NOTHING,
            line: ECHO,
            end: |transport| {
                let late = transport.clone();
                transport.reactor().call_later(Duration::from_millis(200), move || late.lose_connection());
                Ok(())
            },
        },
    ),
];

/// The callbacks of each connection, in order, with adjacent data in one piece.
type Normal = Vec<Vec<String>>;

fn normalise(events: &[Event]) -> Normal {
    let mut normal: Normal = of_each(events).into_iter().map(|(_, callbacks)| callbacks).collect();
    // Which of the two ends is connected first is not defined.
    normal.sort();
    normal
}

/// The callbacks of each connection, with its id.
pub(crate) fn of_each(events: &[Event]) -> Vec<(u64, Vec<String>)> {
    let mut connections: Vec<(u64, Vec<String>, u64)> = Vec::new();
    for event in events {
        let Subject::Connection { id, .. } = &event.subject else { continue };
        let at = connections.iter().position(|known| known.0 == *id).unwrap_or_else(|| {
            connections.push((*id, Vec::new(), 0));
            connections.len() - 1
        });
        let (_, callbacks, bytes) = &mut connections[at];
        match event.callback.as_ref() {
            "data_received" => *bytes += event.bytes.unwrap_or_default(),
            // Whether a connection becomes congested depends on how the bytes were cut.
            "reading_resumed" => {}
            callback => {
                if *bytes > 0 {
                    callbacks.push(format!("data_received {}", std::mem::take(bytes)));
                }
                callbacks.push(format!("{callback} {}", event.reason.as_deref().unwrap_or_default()));
            }
        }
    }
    connections.into_iter().map(|(id, callbacks, _)| (id, callbacks)).collect()
}

/// What the client's and the server's ends are.
#[derive(Clone, Copy, Debug)]
enum Kind {
    Tcp,
    #[cfg(unix)]
    Unix,
}

const KINDS: &[Kind] = &[
    Kind::Tcp,
    #[cfg(unix)]
    Kind::Unix,
];

/// Starts a scenario, and returns its events.
fn start(reactor: &Reactor, kind: Kind, server: Part, client: Part) -> Result<Rc<RefCell<Vec<Event>>>> {
    let (events, gone) = (Rc::<RefCell<Vec<Event>>>::default(), Rc::new(Cell::new(0)));
    let noted = Rc::clone(&events);
    reactor.set_observer(move |event| noted.borrow_mut().push(event.clone()));
    let counted = Rc::clone(&gone);
    let server = move |_peer: Address| LineReceiver::new(Role { part: server, gone: counted.clone() });
    let client = move |_peer: Address| LineReceiver::new(Role { part: client, gone: gone.clone() });
    match kind {
        Kind::Tcp => {
            let port = reactor.listen_tcp("127.0.0.1:0", server)?;
            reactor.connect_tcp(port.address(), client)?;
        }
        #[cfg(unix)]
        Kind::Unix => {
            let path = support::socket_path();
            reactor.listen_unix(&path, server)?;
            reactor.connect_unix(path, client)?;
        }
    }
    Ok(events)
}

fn really(kind: Kind, server: Part, client: Part) -> Result<Normal> {
    let reactor = Reactor::new()?;
    let events = start(&reactor, kind, server, client)?;
    support::run(&reactor);
    let normal = normalise(&events.borrow());
    Ok(normal)
}

fn simulated(seed: u64, kind: Kind, server: Part, client: Part) -> Result<Normal> {
    let simulation = Simulation::new(seed);
    let host = simulation.host("10.0.0.1");
    let events = start(host.reactor(), kind, server, client)?;
    simulation.run_for(Duration::from_secs(60))?;
    let normal = normalise(&events.borrow());
    Ok(normal)
}

#[test]
fn every_scenario_gives_the_same_log_in_both_worlds() {
    for (kind, (name, server, client)) in KINDS.iter().flat_map(|kind| SCENARIOS.map(|scenario| (*kind, scenario))) {
        let name = format!("{name} over {kind:?}");
        let real = really(kind, server, client).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(real.len(), 2, "{name}: {real:#?}");
        assert!(real.iter().all(|callbacks| callbacks.last().is_some_and(|last| last.starts_with("connection_lost"))), "{name}");
        for seed in 0..20 {
            let fake = simulated(seed, kind, server, client).unwrap_or_else(|error| panic!("{name}, seed {seed}: {error}"));
            assert_eq!(fake, real, "{name}, seed {seed}");
        }
    }
}

/// What a program does with its standard input and output.
#[cfg(unix)]
type Program = fn(&support::Event, &Transport) -> Result;

#[cfg(unix)]
const PROGRAMS: [(&str, Program); 7] = {
    use support::Event;
    [
        ("an echo", |event, transport| {
            match event {
                Event::Data(data) => transport.write(data),
                Event::ReadLost => transport.lose_connection(),
                _ => {}
            }
            Ok(())
        }),
        ("a close at once", |event, transport| {
            if matches!(event, Event::Made) {
                transport.write("bye");
                transport.lose_connection();
            }
            Ok(())
        }),
        ("half a close", |event, transport| {
            if matches!(event, Event::Made) {
                transport.write("all there is");
                transport.lose_write_connection();
            }
            Ok(())
        }),
        ("words after the end", |event, transport| {
            if matches!(event, Event::ReadLost) {
                let late = transport.clone();
                transport.reactor().call_later(Duration::from_millis(1), move || {
                    late.write("late");
                    late.lose_write_connection();
                });
            }
            Ok(())
        }),
        ("an error", |event, transport| {
            transport.write("?");
            if matches!(event, Event::Data(_)) { Err("deliberate".into()) } else { Ok(()) }
        }),
        ("an abort", |event, transport| {
            if matches!(event, Event::Data(_)) {
                transport.write("dropped");
                transport.abort_connection();
            }
            Ok(())
        }),
        ("more than a pipe holds", |event, transport| {
            if matches!(event, Event::Data(_)) {
                transport.write(support::pattern(0, 1 << 20));
                transport.lose_connection();
            }
            Ok(())
        }),
    ]
};

/// What is typed before the input ends.
#[cfg(unix)]
const TYPED: &[u8] = b"hello\n";

/// Standard input and output; only the program has callbacks, since its peer is a shell or a simulated console.
#[cfg(unix)]
#[test]
fn a_program_sees_the_same_of_its_standard_input_and_output_in_both_worlds() {
    support::on_every_kind(&[], |wire| {
        if wire.kind != support::Kind::StdioPipes {
            return;
        }
        for (name, program) in PROGRAMS {
            let told = |events: &support::Events| (events.course(), events.data(), events.reason().kind());
            let (events, shown) = wire.converse_half_closeable(program, |mut shell| {
                // The program may already have closed.
                std::io::Write::write_all(&mut shell, TYPED).ok();
                shell.shutdown(std::net::Shutdown::Write).ok();
                support::drain(&mut shell).0
            });
            let real = (told(&events), shown);
            for seed in 0..20 {
                let simulation = Simulation::new(seed);
                let host = simulation.host("10.0.0.1");
                let (console, events) = (host.console(), support::Events::default());
                host.standard_io(support::Probe::new(&events, program).half_closeable()).expect("a console");
                console.write(TYPED);
                console.end();
                let mut shown = Vec::new();
                let mut reading = || {
                    shown.extend(console.take_shown());
                    events.lost() && console.has_end()
                };
                simulation.run_until(&mut reading).expect("it ends");
                assert_eq!(told(&events), real.0, "{name}, seed {seed}");
                assert!(shown == real.1, "{name}, seed {seed}: {} bytes were shown, and really {}", shown.len(), real.1.len());
            }
        }
    });
}
