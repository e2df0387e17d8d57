//! A user's own parser as a protocol: the one of the example, in memory.

#[allow(dead_code, reason = "it has a main and a server")]
#[path = "../../examples/memcached_parser.rs"]
mod memcached_parser;

use memcached_parser::{Command, Commands};
use torsade::testing::StringTransportWithDisconnection;
use torsade::{FrameDecoder, FrameError, FrameProtocol, FrameReceiver, FrameTransport, Result};

struct Mirror {
    takes_over: bool,
}

impl FrameProtocol<Commands> for Mirror {
    fn frame_received(&mut self, transport: &FrameTransport, command: Command<'_>) -> Result {
        match command {
            Command::Get("pause") => transport.pause_producing(),
            Command::Get("raw") => {
                let rest = transport.take_remaining();
                transport.write([b"rest ", &rest[..]].concat());
            }
            Command::Get(key) => transport.write(format!("get {key};")),
            Command::Set { key, value, .. } => transport.write([b"set ", key.as_bytes(), b"=", value, b";"].concat()),
            Command::Unknown => transport.write("?;"),
        }
        Ok(())
    }

    fn frame_refused(&mut self, transport: &FrameTransport, error: FrameError<std::str::Utf8Error>) -> Result {
        if self.takes_over {
            transport.write(format!("refused {} bytes;", transport.take_remaining().len()));
            return Ok(());
        }
        Err(error.into())
    }
}

fn connection(takes_over: bool) -> StringTransportWithDisconnection<FrameReceiver<Commands, Mirror>> {
    StringTransportWithDisconnection::new(FrameReceiver::new(Commands, Mirror { takes_over }).max_length(10))
}

const INPUT: &[u8] = b"set k 0 0 4\r\na\r\nb\r\nget k\r\nnonsense\r\nset e 0 0 0\r\n\r\n";

#[test]
fn any_two_cuts_give_the_same_commands() {
    for first in 0..=INPUT.len() {
        for second in first..=INPUT.len() {
            let mut connection = connection(false);
            for piece in [&INPUT[..first], &INPUT[first..second], &INPUT[second..]] {
                connection.deliver(piece);
            }
            assert_eq!(connection.value(), b"set k=a\r\nb;get k;?;set e=;", "cut at {first} and {second}");
        }
    }
}

#[test]
fn frames_wait_while_the_transport_is_paused() {
    let mut connection = connection(false);
    connection.deliver(b"get pause\r\nget a\r\n");
    assert_eq!(connection.value(), b"");
    connection.call(|transport| transport.resume_producing());
    assert_eq!(connection.value(), b"get a;");
}

#[test]
fn the_rest_can_be_taken_over_by_another_protocol() {
    let mut connection = connection(false);
    connection.deliver(b"get raw\r\n\x00\x01");
    assert_eq!(connection.value(), b"rest \x00\x01");
}

#[test]
fn a_value_above_the_limit_is_refused_before_it_comes() {
    let mut refused = connection(false);
    refused.deliver(b"set k 0 0 11\r\n");
    assert!(refused.reason().is_some_and(|reason| reason.to_string().contains("exceeds the limit of 10")));
    let mut taken_over = connection(true);
    taken_over.deliver(b"set k 0 0 11\r\n");
    taken_over.deliver(b"get k\r\n");
    assert_eq!(taken_over.value(), b"refused 14 bytes;get k;");
}

#[test]
fn an_endless_line_is_cut_off() {
    let mut decoder = FrameDecoder::new(Commands);
    let mut kept = 0;
    for _ in 0..10_000 {
        decoder.feed(b"xxxxxxxxxx");
        if let Some(Err(error)) = decoder.next_frame() {
            assert!(matches!(error, FrameError::TooLong { limit: 512, .. }));
        }
        kept = kept.max(decoder.len());
    }
    assert!(kept < 600, "{kept} bytes were kept");
}
