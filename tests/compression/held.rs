//! What is held back as the possible beginning of an announcement, what a compressor emits late, and how these affect limits and
//! ends.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use torsade::prelude::*;
use torsade::simulated::{Faults, Simulation};

const SERVER: &str = "10.0.0.1";
const CLIENT: &str = "10.0.0.2";

/// A protocol whose callbacks do what the test says, and which goes on after the peer's end of stream.
struct Script<F>(F);

impl<F: FnMut(&Transport, &[u8])> Protocol for Script<F> {
    fn connection_made(&mut self, transport: &Transport) -> Result {
        (self.0)(transport, b"");
        Ok(())
    }

    fn data_received(&mut self, transport: &Transport, data: &[u8]) -> Result {
        (self.0)(transport, data);
        Ok(())
    }

    fn read_connection_lost(&mut self, _transport: &Transport) -> Result {
        Ok(())
    }
}

/// A server and a client; each script is called with no bytes when the connection is made, then with what arrives.
fn converse(
    simulation: &Simulation,
    server: impl FnMut(&Transport, &[u8]) + Clone + 'static,
    client: impl FnMut(&Transport, &[u8]) + Clone + 'static,
) {
    simulation.host(SERVER).listen_tcp("0.0.0.0:7", move |_peer| Script(server.clone())).unwrap();
    simulation.host(CLIENT).connect_tcp("10.0.0.1:7", move |_peer| Script(client.clone())).unwrap();
}

/// Found on random networks by seed 143, and on a hostile one by seed 3: the connection kept taking turns until the peer ended
/// its stream. To cause this, a peer only had to send `x`.
#[test]
fn half_an_announcement_does_not_make_a_closing_connection_spin() {
    let simulation = Simulation::new(1);
    let server = |transport: &Transport, _data: &[u8]| transport.write("x");
    converse(&simulation, server, |transport, data| {
        if data.is_empty() {
            let closing = transport.clone();
            transport.reactor().call_later(Duration::from_millis(10), move || closing.lose_connection());
        }
    });
    simulation.run_for(Duration::from_secs(20)).unwrap();
    assert!(simulation.host(CLIENT).turn_number() < 100, "{:?}", simulation.host(CLIENT));
}

/// The same cause: half an announcement that was held back was never delivered once our own stream had ended.
#[test]
fn half_an_announcement_is_delivered_after_our_own_stream_has_ended() {
    let simulation = Simulation::new(1);
    let received = Rc::new(RefCell::new(Vec::new()));
    let taken = Rc::clone(&received);
    let server = |transport: &Transport, _data: &[u8]| transport.write("x");
    converse(&simulation, server, move |transport, data| {
        taken.borrow_mut().extend_from_slice(data);
        transport.lose_write_connection();
    });
    simulation.run_for(Duration::from_secs(1)).unwrap();
    assert_eq!(*received.borrow(), b"x");
}

/// A call from outside the connection's callbacks did not make the reader look again, and half an announcement stayed held back.
#[test]
fn what_is_held_comes_at_once_when_detection_is_switched_off() {
    let simulation = Simulation::new(1);
    let received = Rc::new(RefCell::new(Vec::new()));
    let (taken, handle) = (Rc::clone(&received), Rc::new(RefCell::new(None)));
    let kept = Rc::clone(&handle);
    let server = |transport: &Transport, _data: &[u8]| transport.write("x");
    converse(&simulation, server, move |transport, data| {
        kept.replace(Some(transport.clone()));
        taken.borrow_mut().extend_from_slice(data);
    });
    simulation.run_for(Duration::from_millis(100)).unwrap();
    assert_eq!(*received.borrow(), b"", "it may be the beginning of an announcement");
    handle.take().unwrap().set_detection(Detect::Off);
    simulation.run_for(Duration::from_millis(1)).unwrap();
    assert_eq!(*received.borrow(), b"x");
}

/// Found on a lossy network by seed 487, and on a hostile one by seed 939.
#[test]
fn what_a_compressor_lets_go_counts_for_the_watermark_at_once() {
    let simulation = Simulation::new(1);
    let reading = Rc::new(Cell::new(true));
    let seen = Rc::clone(&reading);
    converse(
        &simulation,
        |_, _| {},
        move |transport, data| {
            if data.is_empty() {
                transport.set_write_buffer_limits(10, 20);
                transport.set_compression(Compression::deflate().flush(Flush::Manual)).unwrap();
                transport.write("a line that is longer than what is allowed to be unsent");
                transport.flush_compression();
                seen.set(transport.is_reading());
            }
        },
    );
    simulation.run_for(Duration::from_secs(1)).unwrap();
    assert!(!reading.get());
}

/// Found on a hostile network by seed 1386.
#[test]
fn what_a_flush_adds_counts_for_the_cap() {
    let simulation = Simulation::with_faults(1, Faults { send_buffer: 1..=1, ..Faults::calm() });
    converse(
        &simulation,
        |_, _| {},
        |transport, data| {
            if data.is_empty() {
                transport.set_compression("deflate").unwrap();
                transport.set_write_buffer_cap(20);
                // The announcement is sent at once, and what follows it at the end of the turn.
                transport.write("0123456789abcdefghijklmnopqrstuvwxyz");
            }
        },
    );
    simulation.run_for(Duration::from_secs(1)).unwrap();
    assert_eq!(simulation.log().on(CLIENT).with_reason("LimitExceeded").callbacks(), ["connection_lost"]);
}

/// Found on a hostile network by seed 5447, and on random ones by seed 8814: it was reported as a truncated stream.
#[test]
fn a_reset_that_a_write_has_found_is_the_reason_of_the_loss() {
    let simulation = Simulation::new(1);
    let server = |transport: &Transport, _data: &[u8]| {
        transport.pause_producing();
        transport.set_compression("deflate").unwrap();
        transport.write("what the client does not read");
        let reset = transport.clone();
        transport.reactor().call_later(Duration::from_millis(10), move || reset.abort_connection());
    };
    converse(&simulation, server, |transport, data| {
        if data.is_empty() {
            // Congested, so it does not read.
            transport.write(vec![0; 1 << 20]);
        }
    });
    simulation.run_for(Duration::from_secs(1)).unwrap();
    let log = simulation.log().on(CLIENT);
    assert_eq!(log.with_reason("ConnectionLost").callbacks(), ["connection_lost"], "{log}");
}
