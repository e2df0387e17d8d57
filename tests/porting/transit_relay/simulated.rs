//! What becomes of connections.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use torsade::prelude::*;
use torsade::simulated::{Faults, Simulation};

use super::{World, sided, token, transit_relay, unsided};
use transit_relay::usage::Usage;

#[test]
fn two_without_a_side_meet_and_hear_each_other() {
    let world = World::new();
    let (a, b) = (world.guest(unsided()), world.guest(unsided()));
    assert_eq!([a.take_received(), b.take_received()], [b"ok\n", b"ok\n"]);
    world.send(&a, b"from a");
    world.send(&b, b"from b\n");
    assert_eq!([&a.take_received()[..], &b.take_received()], [&b"from b\n"[..], b"from a"]);
}

#[test]
fn one_without_a_side_meets_one_with_a_side_whoever_comes_first() {
    for lines in [[sided("a"), unsided()], [unsided(), sided("a")], [sided("a"), sided("b")]] {
        let world = World::new();
        let guests = lines.map(|line| world.guest(line));
        assert_eq!(guests.map(|guest| guest.take_received()), [b"ok\n", b"ok\n"]);
    }
}

#[test]
fn another_token_does_not_meet() {
    let world = World::new();
    let guests = [world.guest(unsided()), world.guest(format!("please relay {}\n", "_".repeat(64)))];
    assert_eq!(guests.map(|guest| guest.take_received()), [b"", b""]);
}

#[test]
fn spare_connections_of_a_side_are_closed_when_one_of_them_is_met() {
    let world = World::new();
    let [first, spare, other] = ["a", "a", "b"].map(|side| world.guest(sided(side)));
    assert!(!first.has_end() && spare.has_end() && !spare.is_reset() && !other.has_end());
    assert_eq!(first.take_received(), b"ok\n");
    assert_eq!(spare.take_received(), b"");
    assert_eq!(world.moods(), ["redundant"]);
}

#[test]
fn a_wrong_line_is_a_bad_handshake() {
    let wrong = [
        "\n".to_owned(),
        format!("please DELAY {}\n", token()),
        format!("please relay {}\r\n", token()),
        format!("please relay {}0\n", token()),
        format!(" please relay {}\n", token()),
        format!("please relay {} for side short\n", token()),
        format!("please relay {}\n", "\u{e9}".repeat(32)),
    ];
    for line in wrong {
        let world = World::new();
        let guest = world.guest(&line);
        assert_eq!(guest.take_received(), b"bad handshake\n", "{line:?}");
        assert!(guest.has_end() && !guest.is_reset());
        assert_eq!(world.moods(), ["errory"]);
    }
}

#[test]
fn a_line_of_too_many_bytes_is_answered_by_nothing() {
    let world = World::new();
    let guest = world.guest([b'x'; 1024]);
    assert!(!guest.has_end());
    world.send(&guest, b"x");
    assert!(guest.has_end() && guest.take_received().is_empty());
    guest.end();
    world.settle();
    assert_eq!(world.moods(), ["empty"]);
}

#[test]
fn whoever_sends_before_a_partner_is_there_is_impatient() {
    let world = World::new();
    let guest = world.guest([&unsided()[..], b"now"].concat());
    assert_eq!(guest.take_received(), b"impatient\n");
    assert!(guest.has_end());
    let other = world.guest(unsided());
    assert_eq!(other.take_received(), b"", "the impatient one waits no more");
    assert_eq!(world.moods(), ["impatient"]);
}

#[test]
fn what_follows_the_handshake_is_relayed_where_a_partner_waits() {
    let world = World::new();
    let waiting = world.guest(unsided());
    let _eager = world.guest([&unsided()[..], b"now"].concat());
    assert_eq!(waiting.take_received(), b"ok\nnow");
}

#[test]
fn whoever_leaves_before_is_not_met() {
    let world = World::new();
    let [ended, reset, said_nothing] = [world.guest(unsided()), world.guest(sided("a")), world.guest("")];
    assert_eq!([ended.take_received(), reset.take_received()], [b"ok\n", b"ok\n"]);
    reset.reset();
    said_nothing.end();
    world.settle();
    assert!(ended.has_end() && said_nothing.has_end());
    let alone = world.guest(unsided());
    alone.end();
    world.settle();
    assert!(alone.has_end());
    assert_eq!(world.guest(unsided()).take_received(), b"");
    assert_eq!(world.moods(), ["happy", "empty", "lonely"]);
}

#[test]
fn a_partner_is_closed_after_everything_that_was_sent_to_it() {
    let world = World::new();
    let [slow, fast] = [world.guest(sided("a")), world.guest(sided("b"))];
    assert_eq!(slow.take_received(), b"ok\n");
    slow.set_room(1000);
    world.send(&fast, vec![b'x'; 5000]);
    fast.end();
    world.settle();
    let mut received = Vec::new();
    for _ in 0..4 {
        assert!(!slow.has_end());
        received.extend(slow.take_received());
        world.settle();
    }
    received.extend(slow.take_received());
    assert_eq!(received, [b'x'; 5000]);
    assert!(slow.has_end() && fast.has_end());
}

/// It reads nothing yet, and its partner is told.
#[test]
fn one_that_has_ended_its_stream_has_left() {
    let world = World::new();
    let [ended, partner] = [world.guest(unsided()), world.guest(unsided())];
    ended.set_room(0);
    world.send(&partner, vec![b'x'; 5000]);
    ended.end();
    world.settle();
    assert!(partner.has_end());
    assert_eq!(world.moods(), ["happy"]);
    ended.set_room(1 << 20);
    world.settle();
    assert_eq!(ended.take_received().len(), b"ok\n".len() + 5000, "what was sent before still arrives");
    assert!(ended.has_end());
}

#[test]
fn whoever_sends_faster_than_the_partner_reads_is_held_back() {
    let world = World::new();
    let [slow, fast] = [world.guest(unsided()), world.guest(unsided())];
    slow.set_room(0);
    let (piece, mut sent) = (vec![b'x'; 16 << 10], 0);
    for _ in 0..100 {
        world.send(&fast, &piece);
        sent += piece.len();
    }
    fast.end();
    world.settle();
    assert!(!slow.has_end(), "the end of the stream is read after what precedes it");
    assert_eq!(world.log(), "");
    slow.set_room(4 << 20);
    world.settle();
    assert_eq!(slow.take_received().len(), b"ok\n".len() + sent);
    assert!(slow.has_end());
    assert!(world.log().contains(&format!("\"total_bytes\": {sent}, ")), "{}", world.log());
}

#[test]
fn one_that_does_not_read_is_heard() {
    let world = World::new();
    let [slow, fast] = [world.guest(unsided()), world.guest(unsided())];
    slow.set_room(0);
    for _ in 0..100 {
        world.send(&fast, vec![b'x'; 16 << 10]);
    }
    world.send(&slow, b"the other way");
    assert_eq!(fast.take_received(), b"ok\nthe other way");
}

/// Sends its handshake, and numbers when it is met; keeps what comes.
struct Client {
    handshake: Vec<u8>,
    send: Vec<u8>,
    received: Rc<RefCell<Vec<u8>>>,
}

impl Protocol for Client {
    fn connection_made(&mut self, transport: &Transport) -> Result {
        // Both send more than fits on the way: whoever reads only when it has sent everything waits for ever.
        transport.set_read_while_congested(true);
        transport.write(&self.handshake);
        Ok(())
    }

    fn data_received(&mut self, transport: &Transport, data: &[u8]) -> Result {
        if self.received.borrow().is_empty() {
            transport.write(&self.send);
        }
        self.received.borrow_mut().extend(data);
        Ok(())
    }
}

#[test]
fn two_meet_in_a_network_that_loses_and_delays() {
    let sent: Vec<u8> = (0..40_000_u32).flat_map(u32::to_be_bytes).collect();
    let wanted = [b"ok\n", &sent[..]].concat();
    for seed in 0..20 {
        let simulation = Simulation::with_faults(seed, Faults::lossy());
        let usage = Usage::new(None, 0, Duration::ZERO);
        simulation.host("10.0.0.1").listen("0.0.0.0:4001", transit_relay::factory(usage)).unwrap();
        let received = ["a", "b"].map(|side| {
            let received = Rc::<RefCell<Vec<u8>>>::default();
            let (handshake, send, kept) = (sided(side), sent.clone(), received.clone());
            let make = move |_peer: Address| Client { handshake: handshake.clone(), send: send.clone(), received: kept.clone() };
            simulation.host(if side == "a" { "10.0.0.2" } else { "10.0.0.3" }).connect("10.0.0.1:4001", make).unwrap();
            received
        });
        simulation.run_until(|| received.iter().all(|received| received.borrow().len() >= wanted.len())).unwrap();
        assert!(received.iter().all(|received| *received.borrow() == wanted), "seed {seed}");
    }
}
