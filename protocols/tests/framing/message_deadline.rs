//! A message that has begun must be complete in time: a line, frame, string or the bytes of a state.

use std::time::Duration;

use torsade_protocols::testing::StringTransportWithDisconnection;
use torsade_protocols::{
    Deadline, FrameTransport, Int32StringReceiver, LineProtocol, LineReceiver, LineTransport, NetstringReceiver, Protocol,
    ProtocolState, Reason, Result, StatefulProtocol, StatefulReceiver, StringFrameTransport, StringProtocol,
};

const SECOND: Duration = Duration::from_secs(1);

/// Sends every message back; after "pause" it reads no more, after "raw" it wants no lines.
struct Echo;

impl LineProtocol for Echo {
    fn line_received(&mut self, transport: &LineTransport, line: &[u8]) -> Result {
        match line {
            b"pause" => transport.pause_producing(),
            b"raw" => transport.set_raw_mode(),
            b"no limit" => transport.set_message_timeout(None),
            _ => transport.send_line(line),
        }
        Ok(())
    }

    fn raw_data_received(&mut self, transport: &LineTransport, data: &[u8]) -> Result {
        transport.write(data);
        Ok(())
    }

    fn read_connection_lost(&mut self, _: &LineTransport) -> Result {
        Ok(())
    }
}

impl StringProtocol for Echo {
    fn string_received(&mut self, transport: &StringFrameTransport, string: &[u8]) -> Result {
        Ok(transport.send_string(string)?)
    }
}

impl Echo {
    fn four(&mut self, transport: &FrameTransport, data: &[u8]) -> Result<Option<ProtocolState<Self>>> {
        transport.write(data);
        Ok(None)
    }
}

impl StatefulProtocol for Echo {
    fn initial_state(&mut self) -> ProtocolState<Self> {
        ProtocolState::new(Self::four, 4)
    }
}

type Connection = StringTransportWithDisconnection<Box<dyn Protocol>>;

fn connect(protocol: impl Protocol + 'static) -> Connection {
    let mut connection = StringTransportWithDisconnection::new(Box::new(protocol) as Box<dyn Protocol>);
    connection.make_connection();
    connection
}

fn lines() -> Connection {
    connect(LineReceiver::new(Echo))
}

fn timed_out(connection: &Connection) -> bool {
    matches!(connection.reason(), Some(Reason::TimedOut(Deadline::Message)))
}

#[test]
fn a_peer_that_sends_a_byte_now_and_then_and_never_a_whole_message_is_ended_after_a_minute() {
    let receivers: [(&[u8], Connection); 4] = [
        (b"x", lines()),
        (b"1", connect(NetstringReceiver::new(Echo))),
        (b"\0", connect(Int32StringReceiver::new(Echo))),
        (b"x", connect(StatefulReceiver::new(Echo))),
    ];
    for (byte, mut connection) in receivers {
        // An idle timeout of half a minute never fires for this peer.
        connection.deliver(byte);
        connection.advance(29 * SECOND);
        connection.deliver(byte);
        connection.advance(29 * SECOND);
        connection.deliver(byte);
        connection.advance(SECOND);
        assert!(connection.reason().is_none(), "59 s after the first byte");
        connection.advance(SECOND);
        assert!(timed_out(&connection), "{:?}", connection.reason());
        assert_eq!(connection.clock().delayed_calls(), 0);
    }
}

#[test]
fn messages_that_come_whole_set_no_timer_and_idle_peers_are_not_concerned() {
    let mut connection = lines();
    connection.deliver(b"one\r\ntwo\r\n");
    assert_eq!(connection.clock().delayed_calls(), 0);
    connection.advance(3600 * SECOND);
    assert_eq!((connection.value(), connection.reason().is_none()), (b"one\r\ntwo\r\n".to_vec(), true));
}

#[test]
fn every_message_has_all_its_time() {
    let mut connection = lines();
    for _ in 0..10 {
        // The rest of a line arrives with the beginning of the next one.
        connection.deliver(b"\r\nhalf a line");
        connection.advance(59 * SECOND);
    }
    assert!(connection.reason().is_none());
    connection.deliver(b"\r\n");
    connection.advance(3600 * SECOND);
    assert!(connection.reason().is_none(), "nothing is waited for");
    assert_eq!(connection.clock().delayed_calls(), 0);
}

#[test]
fn a_long_message_that_comes_steadily_is_not_cut_off() {
    let mut connection = connect(LineReceiver::new(Echo).max_length(1 << 20));
    for _ in 0..500 {
        connection.deliver(&[b'x'; 1100]);
        connection.advance(SECOND);
    }
    connection.deliver(b"\r\n");
    assert_eq!((connection.value().len(), connection.reason().is_none()), (550_002, true));
}

#[test]
fn a_long_message_that_stops_coming_is_ended() {
    let mut connection = lines();
    connection.deliver(&[b'x'; 5000]);
    connection.advance(64 * SECOND);
    assert!(connection.reason().is_none(), "5,000 bytes have come, for a second each thousand");
    connection.advance(SECOND);
    assert!(timed_out(&connection));
}

#[test]
fn the_time_does_not_run_while_we_do_not_read() {
    let mut connection = lines();
    connection.deliver(b"pause\r\nhalf");
    connection.advance(3600 * SECOND);
    assert!(connection.reason().is_none());
    connection.call(|transport| transport.resume_producing());
    connection.advance(50 * SECOND);
    connection.call(|transport| transport.pause_producing());
    connection.advance(3600 * SECOND);
    connection.call(|transport| transport.resume_producing());
    connection.advance(59 * SECOND);
    assert!(connection.reason().is_none());
    connection.advance(SECOND);
    assert!(timed_out(&connection));
}

#[test]
fn nothing_is_waited_for_in_raw_mode_or_after_the_peers_end() {
    let (mut raw, mut ended) = (lines(), lines());
    raw.deliver(b"raw\r\nhalf");
    ended.deliver(b"half");
    ended.end();
    for mut connection in [raw, ended] {
        connection.advance(3600 * SECOND);
        assert!(connection.reason().is_none());
        assert_eq!(connection.clock().delayed_calls(), 0);
    }
}

#[test]
fn the_time_can_be_set_or_taken_away() {
    let mut connection = connect(LineReceiver::new(Echo).message_timeout(Some(SECOND)));
    connection.deliver(b"half");
    connection.advance(SECOND);
    assert!(timed_out(&connection));
    let unlimited: [Connection; 2] = [connect(StatefulReceiver::new(Echo).message_timeout(None)), {
        let mut connection = lines();
        connection.deliver(b"no limit\r\n");
        connection
    }];
    for mut connection in unlimited {
        connection.deliver(b"x");
        connection.advance(3600 * SECOND);
        assert!(connection.reason().is_none());
    }
}
