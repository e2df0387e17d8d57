//! What a callback asks for takes effect before the next message, even if one read brought both.

use std::cell::RefCell;
use std::net::SocketAddr;
use std::rc::Rc;

use torsade::prelude::*;
use torsade::testing::StringTransport;
use torsade::{LineTooLong, MemoryReactor, StringFrameTransport};

use crate::support;

type Notes = Rc<RefCell<Vec<String>>>;
type Ask = fn(&LineTransport);

/// Records lines and all other callbacks; line `0` calls `ask`, and line `!` fails.
struct Noting {
    notes: Notes,
    ask: Ask,
}

impl Noting {
    fn note(&self, kind: &str, data: &[u8]) -> Result {
        self.notes.borrow_mut().push(format!("{kind}{}", data.escape_ascii()));
        Ok(())
    }
}

impl LineProtocol for Noting {
    fn line_received(&mut self, transport: &LineTransport, line: &[u8]) -> Result {
        self.note("", line)?;
        match line {
            b"0" => (self.ask)(transport),
            b"!" => return Err("deliberate, in a test".into()),
            _ => {}
        }
        Ok(())
    }

    fn raw_data_received(&mut self, _: &LineTransport, data: &[u8]) -> Result {
        self.note("raw ", data)
    }

    fn line_length_exceeded(&mut self, _: &LineTransport, line: LineTooLong<'_>) -> Result {
        self.note("too long ", line.data)
    }
}

/// The events of the turn in which `wire` is read at once and line `0` calls `ask`.
fn in_one_read(wire: &str, ask: Ask) -> Vec<String> {
    let reactor = MemoryReactor::new();
    let notes = Notes::default();
    let kept = Rc::clone(&notes);
    let port =
        reactor.listen_tcp("127.0.0.1:0", move |_peer| LineReceiver::new(Noting { notes: Rc::clone(&kept), ask })).unwrap();
    reactor.advance(std::time::Duration::ZERO);
    let peer = reactor.connect_peer(SocketAddr::from(([192, 0, 2, 1], 1)), support::address(&port)).unwrap();
    reactor.advance(std::time::Duration::ZERO);
    peer.send(wire.as_bytes());
    while notes.borrow().is_empty() {
        reactor.turn();
    }
    notes.take()
}

#[test]
fn no_line_follows_one_that_pauses_closes_or_fills_the_output() {
    let stopping: [(&str, Ask); 9] = [
        ("pause_producing", |transport| transport.pause_producing()),
        ("lose_connection", |transport| transport.lose_connection()),
        ("abort_connection", |transport| transport.abort_connection()),
        ("write, to the high watermark", |transport| transport.write(support::pattern(0, 65_536))),
        ("write_shared, to the high watermark", |transport| {
            transport.write_shared(&SharedBytes::from(support::pattern(0, 65_536)));
        }),
        ("write while congested, and no reading then", |transport| {
            transport.set_read_while_congested(true);
            transport.write(support::pattern(0, 65_536));
            transport.set_read_while_congested(false);
        }),
        ("write, to a mark set since", |transport| {
            transport.write("some");
            transport.set_write_buffer_limits(1, 4);
        }),
        ("write, above the cap", |transport| {
            transport.set_write_buffer_cap(10);
            transport.write("more than ten");
        }),
        ("expect_compression", |transport| transport.expect_compression("deflate").unwrap()),
    ];
    for (name, ask) in stopping {
        assert_eq!(in_one_read("0\r\n1\r\n2\r\n", ask), ["0"], "{name}");
    }
    assert_eq!(in_one_read("!\r\n1\r\n2\r\n", |_| ()), ["!"], "an error");
}

/// Notes strings, and closes at the first.
struct ClosesAtTheFirst(Notes);

impl StringProtocol for ClosesAtTheFirst {
    fn string_received(&mut self, transport: &StringFrameTransport, string: &[u8]) -> Result {
        self.0.borrow_mut().push(string.escape_ascii().to_string());
        transport.lose_connection();
        Ok(())
    }
}

/// Twisted's go on to the end of what was read.
#[test]
fn no_string_follows_one_that_closes() {
    let strings = |mut protocol: Box<dyn Protocol>, wire: &[u8]| {
        let transport = StringTransport::new();
        protocol.data_received(&transport, wire).unwrap();
    };
    let notes = Notes::default();
    let noting = || ClosesAtTheFirst(Rc::clone(&notes));
    strings(Box::new(NetstringReceiver::new(noting())), b"1:0,1:1,");
    strings(Box::new(Int8StringReceiver::new(noting())), b"\x010\x011");
    strings(Box::new(Int32StringReceiver::new(noting())), b"\0\0\0\x010\0\0\0\x011");
    assert_eq!(notes.take(), ["0", "0", "0"]);
}

#[test]
fn lines_follow_one_that_writes_or_half_closes() {
    let going_on: [(&str, Ask); 5] = [
        ("nothing", |_| ()),
        ("write", |transport| transport.write("answer")),
        ("write_shared", |transport| transport.write_shared(&SharedBytes::new("answer"))),
        ("lose_write_connection", |transport| transport.lose_write_connection()),
        ("set_compression", |transport| transport.set_compression("deflate").unwrap()),
    ];
    for (name, ask) in going_on {
        assert_eq!(in_one_read("0\r\n1\r\n2\r\n", ask), ["0", "1", "2"], "{name}");
    }
}

#[test]
fn how_messages_are_told_apart_changes_with_the_next() {
    let wire = "0\r\n1;2\r\n3;";
    let told_apart: [(Ask, &[&str]); 5] = [
        (|transport| transport.set_raw_mode(), &["0", r"raw 1;2\r\n3;"]),
        (|transport| transport.set_delimiter(b";"), &["0", "1", r"2\r\n3"]),
        (|transport| transport.set_max_length(2), &["0", r"too long 1;2\r\n3;"]),
        (|transport| transport.unread_frames(b"again\r\n"), &["0", "again", "1;2"]),
        (|transport| drop(transport.take_remaining()), &["0"]),
    ];
    for (ask, expected) in told_apart {
        assert_eq!(in_one_read(wire, ask), expected);
    }
}
