//! What TCP connections do, TLS connections do as well: every scenario over every chain of layers, on a calm network and
//! on one that cuts everything small.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use torsade::prelude::*;
use torsade::simulated::{Faults, Simulation};

use crate::keys;
use crate::support::{Chance, Event, Events, pattern};
use crate::world::{Ends, Side, echo, side, silent};

/// What stands between protocol and socket.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Layers {
    None,
    Compression,
    Tls,
    TlsAndCompression,
}

/// One scenario's world.
struct World<'a> {
    simulation: &'a Simulation,
    layers: Layers,
}

impl World<'_> {
    /// Runs one connection until both ends are lost.
    fn converse(&self, server: Side, client: Side) -> Ends {
        let ends = Ends { server: Events::default(), client: Events::default() };
        let compressed = matches!(self.layers, Layers::Compression | Layers::TlsAndCompression);
        let first = move |transport: &Transport| {
            if compressed {
                transport.expect_compression("deflate", b"")?;
                transport.set_compression("deflate")?;
            }
            Ok(())
        };
        let mut server = Some(server.into_probe(&ends.server, first));
        let mut client = Some(client.into_probe(&ends.client, first));
        let (here, there) = (self.simulation.host("10.0.0.2"), self.simulation.host("10.0.0.1"));
        if matches!(self.layers, Layers::Tls | Layers::TlsAndCompression) {
            there.listen_tls("0.0.0.0:7", &keys::server(), move |_peer| server.take()).expect("a port");
            here.connect_tls("10.0.0.1:7", &keys::client(), move |_peer| client.take()).expect("an address");
        } else {
            there.listen_tcp("0.0.0.0:7", move |_peer| server.take()).expect("a port");
            here.connect_tcp("10.0.0.1:7", move |_peer| client.take()).expect("an address");
        }
        self.simulation.run_until(|| ends.server.lost() && ends.client.lost()).expect("both ends are lost");
        ends
    }
}

/// Segments, writes and buffers down to single bytes.
fn cutting() -> Faults {
    Faults { segment: 1..=40, send_buffer: 1..=2000, receive_buffer: 1..=2000, short_write: 0.3, ..Faults::calm() }
}

/// Runs a scenario over every chain of layers, on both networks, with several seeds. It is told how many bytes are much.
fn everywhere(scenario: impl Fn(&World<'_>, usize)) {
    for layers in [Layers::None, Layers::Compression, Layers::Tls, Layers::TlsAndCompression] {
        for (faults, much, seeds) in [(Faults::calm(), 300_000, 0..1), (cutting(), 20_000, 0..3)] {
            for seed in seeds {
                let simulation = Simulation::with_faults(seed, faults.clone());
                println!("{layers:?}, seed {seed}, {much} bytes");
                scenario(&World { simulation: &simulation, layers }, much);
            }
        }
    }
}

fn assert_clean(ends: &Ends) {
    assert!(ends.server.reason().is_clean(), "server: {:?}", ends.server.reason());
    assert!(ends.client.reason().is_clean(), "client: {:?}", ends.client.reason());
}

#[test]
fn an_echo_of_many_pieces_comes_back_whole() {
    everywhere(|world, much| {
        let mut chance = Chance(world.simulation.seed() + 1);
        let mut received = 0;
        let client = side(move |event, transport| {
            match event {
                Event::Made => {
                    transport.set_read_while_congested(true);
                    let mut at = 0;
                    while at < much {
                        let length = (1 + chance.below(5000)).min(much - at);
                        transport.write(pattern(at, length));
                        at += length;
                    }
                }
                Event::Data(data) => {
                    received += data.len();
                    if received == much {
                        transport.lose_connection();
                    }
                }
                _ => {}
            }
            Ok(())
        });
        let ends = world.converse(echo(), client);
        assert!(ends.client.data() == pattern(0, much));
        assert_clean(&ends);
    });
}

#[test]
fn whoever_closes_loses_nothing() {
    everywhere(|world, much| {
        let send = side(move |event, transport| {
            if matches!(event, Event::Made) {
                transport.write(pattern(0, much));
                transport.lose_connection();
            }
            Ok(())
        });
        let ends = world.converse(send, silent());
        assert!(ends.client.data() == pattern(0, much));
        assert_clean(&ends);
    });
}

#[test]
fn an_answer_follows_the_end_of_the_question() {
    everywhere(|world, much| {
        let ask = side(move |event, transport| {
            if matches!(event, Event::Made) {
                transport.write(pattern(0, much));
                transport.lose_write_connection();
            }
            Ok(())
        });
        let answer = side(move |event, transport| {
            if matches!(event, Event::ReadLost) {
                transport.write(pattern(much, much));
                transport.lose_connection();
            }
            Ok(())
        })
        .half_closeable();
        let ends = world.converse(answer, ask);
        assert!(ends.server.data() == pattern(0, much));
        assert!(ends.client.data() == pattern(much, much));
        assert_eq!(ends.client.count("write lost"), 1);
        assert_clean(&ends);
    });
}

#[test]
fn who_has_nothing_to_say_may_end_its_half_at_once_and_gets_an_answer() {
    everywhere(|world, much| {
        let ask = side(|event, transport| {
            if matches!(event, Event::Made) {
                transport.lose_write_connection();
            }
            Ok(())
        });
        let answer = side(move |event, transport| {
            if matches!(event, Event::ReadLost) {
                transport.write(pattern(0, much));
                transport.lose_connection();
            }
            Ok(())
        })
        .half_closeable();
        let ends = world.converse(answer, ask);
        assert!(ends.client.data() == pattern(0, much), "{:?}", ends.client.names());
        assert_eq!(ends.client.count("write lost"), 1);
        assert_clean(&ends);
    });
}

/// Writes pieces until it has written all, unless it is paused.
struct Pieces {
    at: Rc<Cell<usize>>,
    all: usize,
}

impl Producer for Pieces {
    fn resume_producing(&mut self, consumer: &Transport) -> Result {
        let at = self.at.get();
        if at < self.all {
            let length = 1000.min(self.all - at);
            consumer.write(pattern(at, length));
            self.at.set(at + length);
        } else {
            consumer.unregister_producer();
            consumer.lose_connection();
        }
        Ok(())
    }
}

#[test]
fn a_reader_that_stops_holds_up_a_producer_and_bounds_the_output() {
    everywhere(|world, much| {
        let produced = Rc::new(Cell::new(0));
        let at = produced.clone();
        let send = side(move |event, transport| {
            if matches!(event, Event::Made) {
                transport.register_producer(Pieces { at: at.clone(), all: much }, false)?;
            }
            Ok(())
        });
        let mut stopped = false;
        let read = side(move |event, transport| {
            if matches!(event, Event::Data(_)) && !std::mem::replace(&mut stopped, true) {
                transport.pause_producing();
                let transport = transport.clone();
                let reactor = transport.reactor().clone();
                reactor.call_later(Duration::from_secs(20), move || transport.resume_producing());
            }
            Ok(())
        });
        let ends = world.converse(send, read);
        assert!(ends.client.data() == pattern(0, much));
        assert_eq!(produced.get(), much);
        assert!(world.simulation.now() > Duration::from_secs(20));
        assert_clean(&ends);
    });
}

#[test]
fn an_echo_server_does_not_read_from_a_peer_that_does_not() {
    everywhere(|world, _| {
        // What both sockets hold, and what two watermarks leave on their way, is much less than this.
        let much = 1_500_000;
        let largest = Rc::new(Cell::new(0));
        let record = largest.clone();
        let server = side(move |event, transport| {
            if let Event::Data(data) = event {
                transport.write(data);
                record.set(record.get().max(transport.unsent()));
            }
            Ok(())
        });
        let client = side(move |event, transport| {
            if matches!(event, Event::Made) {
                // Random bytes: compression shall not help.
                let mut chance = Chance(42);
                let bytes: Vec<u8> = (0..much / 8).flat_map(|_| chance.draw().to_le_bytes()).collect();
                transport.write(bytes);
                transport.pause_producing();
                let transport = transport.clone();
                let reactor = transport.reactor().clone();
                reactor.call_later(Duration::from_secs(5), move || transport.abort_connection());
            }
            Ok(())
        });
        world.converse(server, client);
        assert!(largest.get() <= 64 * 1024 + 2 * 65_536, "{} bytes were unsent", largest.get());
    });
}

#[test]
fn an_error_sends_what_was_written_and_keeps_its_reason() {
    everywhere(|world, much| {
        let fail = side(move |event, transport| match event {
            Event::Data(_) => {
                transport.write(pattern(0, much));
                Err("no".into())
            }
            _ => Ok(()),
        });
        let provoke = side(|event, transport| {
            if matches!(event, Event::Made) {
                transport.write("hello");
            }
            Ok(())
        });
        let ends = world.converse(fail, provoke);
        assert!(matches!(ends.server.reason(), Reason::Protocol(_)), "{:?}", ends.server.reason());
        assert!(ends.client.data() == pattern(0, much));
        assert!(ends.client.reason().is_clean(), "{:?}", ends.client.reason());
    });
}

#[test]
fn pauses_at_random_change_nothing() {
    everywhere(|world, much| {
        let mut chance = Chance(world.simulation.seed() + 99);
        let send = side(move |event, transport| {
            if matches!(event, Event::Made) {
                transport.write(pattern(0, much));
                transport.lose_connection();
            }
            Ok(())
        });
        let paused = Rc::new(Cell::new(false));
        let read = side(move |event, transport| {
            match event {
                Event::Data(_) => assert!(!paused.get(), "data while paused"),
                Event::Lost(_) => return Ok(()),
                _ => {}
            }
            if chance.below(3) == 0 && !paused.replace(true) {
                transport.pause_producing();
                let (paused, transport) = (paused.clone(), transport.clone());
                let reactor = transport.reactor().clone();
                reactor.call_later(Duration::from_micros(1 + chance.draw() % 5000), move || {
                    paused.set(false);
                    transport.resume_producing();
                });
            }
            Ok(())
        });
        let ends = world.converse(send, read);
        assert!(ends.client.data() == pattern(0, much));
        assert_clean(&ends);
    });
}

#[test]
fn bytes_given_back_come_again_before_all_others() {
    everywhere(|world, much| {
        let send = side(move |event, transport| {
            if matches!(event, Event::Made) {
                transport.write(pattern(0, much));
                transport.lose_connection();
            }
            Ok(())
        });
        let taken = Rc::new(std::cell::RefCell::new(Vec::new()));
        let record = taken.clone();
        let mut given_back = false;
        let read = side(move |event, transport| {
            if let Event::Data(data) = event {
                // Every other time all but the first byte.
                given_back = !given_back && data.len() > 1;
                let keep = if given_back { 1 } else { data.len() };
                record.borrow_mut().extend_from_slice(&data[..keep]);
                transport.unread(&data[keep..]);
            }
            Ok(())
        });
        let ends = world.converse(send, read);
        assert!(*taken.borrow() == pattern(0, much), "{} bytes", taken.borrow().len());
        assert_clean(&ends);
    });
}
