//! TLS connections behave like TCP connections: every scenario over every stack of layers, on a calm network and on one that cuts
//! everything small. `lifecycle`, `closing` and `backpressure` test the same over every wire with real peers; these tests need
//! virtual time or buffers of known size, or look at both ends of one connection.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use torsade::prelude::*;
use torsade::simulated::{Faults, Simulation};
use torsade::{Deadline, DecompressErrorKind, ProducerError};

use crate::keys;
use crate::support::{Chance, Event, Events, in_callback, noise, pattern};
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
    port: Cell<u16>,
}

impl World<'_> {
    fn compresses(&self) -> bool {
        matches!(self.layers, Layers::Compression | Layers::TlsAndCompression)
    }

    /// Runs one connection until both ends are lost.
    fn converse(&self, server: Side, client: Side) -> Ends {
        let ends = Ends { server: Events::default(), client: Events::default() };
        let compressed = self.compresses();
        let first = move |transport: &Transport| {
            if compressed {
                transport.expect_compression("deflate", b"")?;
                transport.set_compression("deflate")?;
            }
            Ok(())
        };
        let mut server = Some(server.into_probe(&ends.server, first));
        let mut client = Some(client.into_probe(&ends.client, first));
        let port = self.port.replace(self.port.get() + 1);
        let (bind, address) = (format!("0.0.0.0:{port}"), format!("10.0.0.1:{port}"));
        let (here, there) = (self.simulation.host("10.0.0.2"), self.simulation.host("10.0.0.1"));
        if matches!(self.layers, Layers::Tls | Layers::TlsAndCompression) {
            there.listen_tls(&*bind, &keys::server(), move |_peer| server.take()).expect("a port");
            here.connect_tls(&*address, &keys::client(), move |_peer| client.take()).expect("an address");
        } else {
            there.listen_tcp(&*bind, move |_peer| server.take()).expect("a port");
            here.connect_tcp(&*address, move |_peer| client.take()).expect("an address");
        }
        self.simulation.run_until(|| ends.server.lost() && ends.client.lost()).expect("both ends are lost");
        ends
    }
}

/// Segments, writes and buffers down to single bytes.
fn cutting() -> Faults {
    Faults { segment: 1..=40, send_buffer: 1..=2000, receive_buffer: 1..=2000, short_write: 0.3, ..Faults::calm() }
}

/// Runs a scenario over every stack of layers, on both networks, with several seeds. Its second argument is a large number of
/// bytes.
fn everywhere(scenario: impl Fn(&World<'_>, usize)) {
    for layers in [Layers::None, Layers::Compression, Layers::Tls, Layers::TlsAndCompression] {
        for (faults, much, seeds) in [(Faults::calm(), 300_000, 0..1), (cutting(), 20_000, 0..3)] {
            for seed in seeds {
                let simulation = Simulation::with_faults(seed, faults.clone());
                println!("{layers:?}, seed {seed}, {much} bytes");
                scenario(&World { simulation: &simulation, layers, port: Cell::new(7) }, much);
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
fn a_side_with_nothing_to_say_may_end_its_half_at_once_and_gets_an_answer() {
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

/// Writes pieces until it has written all, pausing when told to.
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

/// Pauses reading for this long.
fn pause_for(transport: &Transport, time: Duration) {
    transport.pause_producing();
    let later = transport.clone();
    transport.reactor().call_later(time, move || later.resume_producing());
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
                pause_for(transport, Duration::from_secs(20));
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
        let taken = Rc::new(RefCell::new(Vec::new()));
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

#[test]
fn any_amount_given_back_comes_in_bounded_pieces_before_what_follows() {
    everywhere(|world, _| {
        for size in [1, 1000, 200_000] {
            let ask = side(|event, transport| {
                if matches!(event, Event::Made) {
                    transport.write("!");
                    let later = transport.clone();
                    transport.reactor().call_later(Duration::ZERO, move || {
                        later.write("?");
                        later.lose_connection();
                    });
                }
                Ok(())
            });
            let taken = Rc::new(RefCell::new(Vec::new()));
            let record = taken.clone();
            let give_back = side(move |event, transport| {
                if let Event::Data(data) = event {
                    assert!(data.len() <= 65_536, "{} bytes in one call", data.len());
                    let first = record.borrow().is_empty();
                    let (keep, rest) = data.split_at(if first { 1 } else { data.len() });
                    record.borrow_mut().extend_from_slice(keep);
                    transport.unread(rest);
                    if first {
                        transport.unread(&pattern(1, size));
                        transport.unread(&pattern(0, 1));
                    }
                }
                Ok(())
            });
            let ends = world.converse(give_back, ask);
            let wanted = [b"!", &pattern(0, size + 1)[..], b"?"].concat();
            assert!(*taken.borrow() == wanted, "{size}: {} bytes", taken.borrow().len());
            assert_clean(&ends);
        }
    });
}

/// Writes something, and ends its stream.
fn greet() -> Side {
    side(|event, transport| {
        if matches!(event, Event::Made) {
            transport.write("x");
            transport.lose_write_connection();
        }
        Ok(())
    })
}

impl World<'_> {
    /// The callbacks that come over these layers.
    fn callbacks(&self) -> impl Iterator<Item = &'static str> {
        let tls = matches!(self.layers, Layers::Tls | Layers::TlsAndCompression);
        let handshake = tls.then_some("handshake");
        ["made", "data", "read lost", "write lost", "resumed"].into_iter().chain(handshake)
    }
}

#[test]
fn an_error_or_a_panic_in_any_callback_sends_what_was_written() {
    everywhere(|world, much| {
        // More than the network holds, each time.
        let much = much / 3;
        for (callback, panics) in world.callbacks().flat_map(|callback| [(callback, false), (callback, true)]) {
            let fail = side(in_callback(callback, move |transport| {
                transport.write(pattern(0, much));
                if panics { panic!("deliberate, in a test") } else { Err("it went wrong".into()) }
            }))
            .half_closeable();
            let ends = world.converse(fail, greet());
            match ends.server.reason() {
                Reason::Protocol(_) => assert!(!panics, "{callback}"),
                Reason::Panicked(panic) => assert!(panics && panic.to_string().contains("deliberate"), "{callback}: {panic}"),
                other => panic!("{callback}: {other:?}"),
            }
            // After the end of our stream nothing more is written.
            let ended = callback == "write lost";
            // After an error a compressed stream is cut off, so that it does not look whole.
            let cut = world.compresses() && !ended;
            let truncated =
                matches!(ends.client.reason(), Reason::Decompress(error) if error.kind == DecompressErrorKind::Truncated);
            assert_eq!((truncated, ends.client.reason().is_clean()), (cut, !cut), "{callback}: {:?}", ends.client.reason());
            let sent = if ended { 0 } else { much };
            assert!(ends.client.data() == pattern(0, sent), "{callback}: {:?}", ends.client.names());
        }
    });
}

#[test]
fn a_close_gives_up_a_peer_that_does_not_read() {
    everywhere(|world, _| {
        let close = side(|event, transport| {
            if matches!(event, Event::Made) {
                let mut chance = Chance(7);
                transport.write((0..200_000).flat_map(|_| chance.draw().to_le_bytes()).collect::<Vec<u8>>());
                transport.set_close_timeout(Duration::from_secs(5));
                transport.lose_connection();
            }
            Ok(())
        });
        let deaf = side(|event, transport| {
            if matches!(event, Event::Made) {
                transport.pause_producing();
            }
            Ok(())
        });
        let ends = world.converse(close, deaf);
        assert!(matches!(ends.server.reason(), Reason::TimedOut(Deadline::Flush)), "{:?}", ends.server.reason());
        assert!(matches!(ends.client.reason(), Reason::ConnectionLost(_)), "{:?}", ends.client.reason());
    });
}

#[test]
fn a_slow_peer_is_not_taken_for_a_stuck_one() {
    everywhere(|world, much| {
        // More than the network holds must still be left after the last pause, so that the peer has the whole timeout to end its
        // side.
        let size = 4 * much;
        let close = side(move |event, transport| {
            if matches!(event, Event::Made) {
                transport.set_close_timeout(Duration::from_secs(30));
                transport.write(noise(size));
                transport.lose_connection();
            }
            Ok(())
        });
        // The whole transfer takes longer than the close timeout, but there is progress all the time.
        let (mut got, mut pauses) = (0, 0);
        let slow = side(move |event, transport| {
            if let Event::Data(data) = event {
                got += data.len();
                if pauses < 5 && got > pauses * much / 2 {
                    pauses += 1;
                    pause_for(transport, Duration::from_secs(20));
                }
            }
            Ok(())
        });
        let ends = world.converse(close, slow);
        assert!(ends.client.data() == noise(size), "{} of {size} bytes", ends.client.data().len());
        assert!(world.simulation.now() > Duration::from_secs(100));
        assert_clean(&ends);
    });
}

/// A push producer that writes a piece whenever it is resumed, and counts its pauses.
struct Bursts {
    left: usize,
    size: usize,
    pauses: Rc<Cell<usize>>,
}

impl Producer for Bursts {
    fn resume_producing(&mut self, consumer: &Transport) -> Result {
        self.left -= 1;
        consumer.write(noise(self.size));
        if self.left == 0 {
            consumer.unregister_producer();
        }
        Ok(())
    }

    fn pause_producing(&mut self, _consumer: &Transport) -> Result {
        self.pauses.set(self.pauses.get() + 1);
        Ok(())
    }
}

#[test]
fn a_close_waits_for_a_push_producer_that_is_paused_and_resumed() {
    everywhere(|world, much| {
        // More than the network and a compressor hold.
        let size = if much == 20_000 { 40_000 } else { 80_000 };
        let pauses = Rc::new(Cell::new(0));
        let count = pauses.clone();
        let send = side(move |event, transport| {
            if matches!(event, Event::Made) {
                transport.set_write_buffer_limits(size / 10, size / 2);
                transport.register_producer(Bursts { left: 2, size, pauses: count.clone() }, true)?;
                let second = transport.register_producer(Bursts { left: 1, size, pauses: count.clone() }, true);
                assert!(matches!(second, Err(ProducerError::AlreadyRegistered)));
                transport.write(noise(size));
                transport.lose_connection();
            }
            Ok(())
        });
        let ends = world.converse(send, silent());
        assert!(ends.client.data() == noise(size).repeat(3), "{} bytes", ends.client.data().len());
        assert_eq!(pauses.get(), 2);
        assert_clean(&ends);
    });
}
