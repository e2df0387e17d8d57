//! How to test a protocol: no socket, no waiting, and a clock that the test advances.
//!
//! Run:    cargo run --example testing_a_protocol
//! Expect: "all is as it should be". In your own project, the functions below `main` would be tests.

use std::time::Duration;

use torsade::prelude::*;
use torsade::testing::StringTransportWithDisconnection;

/// The protocol under test: answers each line in capitals, and closes after a minute of silence.
#[derive(Default)]
struct Shout(TimeoutMixin);

impl LineProtocol for Shout {
    fn connection_made(&mut self, transport: &LineTransport) -> Result {
        self.0.set_timeout(transport, Some(Duration::from_secs(60)));
        Ok(())
    }

    fn line_received(&mut self, transport: &LineTransport, line: &[u8]) -> Result {
        self.0.reset_timeout();
        transport.send_line(line.to_ascii_uppercase());
        Ok(())
    }
}

fn connected() -> StringTransportWithDisconnection<LineReceiver<Shout>> {
    let mut connection = StringTransportWithDisconnection::new(LineReceiver::new(Shout::default()));
    connection.make_connection();
    connection
}

fn main() {
    a_line_is_answered_however_it_is_cut();
    a_silent_peer_is_hung_up_on_after_a_minute_and_not_before();
    println!("all is as it should be");
}

fn a_line_is_answered_however_it_is_cut() {
    let input = b"hello\r\nworld\r\n";
    for size in 1..=input.len() {
        let mut connection = connected();
        input.chunks(size).for_each(|chunk| connection.deliver(chunk));
        assert_eq!(connection.value(), b"HELLO\r\nWORLD\r\n", "in pieces of {size}");
    }
}

fn a_silent_peer_is_hung_up_on_after_a_minute_and_not_before() {
    let mut connection = connected();
    connection.advance(Duration::from_secs(59));
    connection.deliver(b"still here\r\n");
    connection.advance(Duration::from_secs(59));
    assert!(connection.is_connected());
    connection.advance(Duration::from_secs(1));
    assert!(!connection.is_connected());
}
