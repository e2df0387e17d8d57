//! A turn is limited by work, not by bytes: input that is cheap to send and expensive to process is taken in pieces, and others
//! are served in between.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use torsade::prelude::*;
use torsade::{AfterEnd, MemoryReactor};

use crate::support::{self, formats};

/// As much as one read takes.
const READ: usize = 65_536;

/// Expects a compressed stream, whatever it contains.
struct Expecting(Decompression, Rc<RefCell<Option<Transport>>>);

impl Protocol for Expecting {
    fn connection_made(&mut self, transport: &Transport) -> Result {
        self.1.replace(Some(transport.clone()));
        transport.expect_compression::<Decompression>(self.0.clone(), b"")?;
        Ok(())
    }

    fn data_received(&mut self, _: &Transport, _: &[u8]) -> Result {
        Ok(())
    }
}

/// Sends `wire` to the protocol from `hostile`, and a byte to an echo beside it in each turn. Returns how many turns the former
/// took until it had nothing left to do; the echo has answered in each.
fn turns<P: Protocol + 'static>(mut hostile: impl FnMut() -> P + 'static, wire: &[u8]) -> u64 {
    let reactor = MemoryReactor::new();
    let port = reactor.listen_tcp("127.0.0.1:0", move |_peer| hostile()).unwrap();
    let echo = reactor.listen_tcp("127.0.0.1:0", |_peer| torsade::wire::Echo).unwrap();
    reactor.advance(std::time::Duration::ZERO);
    let peer = reactor.connect_peer(std::net::SocketAddr::from(([192, 0, 2, 1], 1)), support::address(&port)).unwrap();
    let other = reactor.connect_peer(std::net::SocketAddr::from(([192, 0, 2, 2], 2)), support::address(&echo)).unwrap();
    reactor.advance(std::time::Duration::ZERO);
    let before = reactor.turn_number();
    peer.send(wire);
    loop {
        other.send(b"?");
        reactor.turn();
        assert_eq!(other.take_received(), b"?", "in turn {}", reactor.turn_number() - before);
        if reactor.ready_count() == 1 {
            return reactor.turn_number() - before - 1; // only the echo had something to do
        }
    }
}

/// A deflate block with two full code tables and no data; eight of them end on a byte boundary.
const CODE_TABLES: &str = "04c0034018000000b06cdbb66ddbb66ddbb66ddbb66ddbb6edfaf79f0078000803000000966ddbb66ddbb66ddbb66ddbb66ddbb65dfffe\
    13000f0061000000c0b26ddbb66ddbb66ddbb66ddbb66ddbb6ebdf7f02e001200c00000058b66ddbb66ddbb66ddbb66ddbb66ddb76fdfb\
    4f003c008401000000cbb66ddbb66ddbb66ddbb66ddbb66ddbae7fff098007803000000060d9b66ddbb66ddbb66ddbb66ddbb66ddbf5ef\
    3f01f00010060000002cdbb66ddbb66ddbb66ddbb66ddbb66dbbfefd27001e00c20000008065dbb66ddbb66ddbb66ddbb66ddbb66dd7bf\
    ff";

/// The beginning of a stream, what can follow endlessly, and the least number of turns that one read of that must take.
fn dear(format: Format) -> Vec<(&'static str, Vec<u8>, Vec<u8>, u64)> {
    let tables: Vec<u8> =
        (0..CODE_TABLES.len() / 2).map(|at| u8::from_str_radix(&CODE_TABLES[2 * at..2 * at + 2], 16).unwrap()).collect();
    match format {
        Format::DeflateRaw => vec![
            ("code tables", vec![], tables, 20),
            ("fixed blocks", vec![], vec![0x02, 0x08, 0x20, 0x80, 0x00], 5),
            ("stored blocks", vec![], vec![0, 0, 0, 0xff, 0xff], 5),
        ],
        Format::Deflate => vec![("code tables", vec![0x78, 0x9c], tables, 20)],
        Format::Gzip => {
            let member = [&[0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3][..], &[3, 0], &[0; 8]].concat();
            vec![("members", vec![], member, 8)]
        }
        Format::Zstd => vec![
            ("frames", vec![], vec![0x28, 0xb5, 0x2f, 0xfd, 0x20, 0, 1, 0, 0], 20),
            ("blocks", vec![0x28, 0xb5, 0x2f, 0xfd, 0, 0x38], vec![2, 0, 0, b'a'], 5),
        ],
        Format::Lz4 => {
            let header = [4, 0x22, 0x4d, 0x18, 0x60, 0x40, 0x82];
            vec![("frames", vec![], [&header[..], &[0; 4]].concat(), 1), ("blocks", header.to_vec(), vec![1, 0, 0, 0, 0], 2)]
        }
        _ => vec![],
    }
}

#[test]
fn what_a_decoder_takes_without_giving_anything_comes_in_pieces_in_every_format() {
    for format in formats() {
        let options = Decompression::from(format).max_skipped(u64::MAX).after_end(AfterEnd::NextStream);
        for (what, begin, unit, least) in dear(format) {
            let wire = [&begin[..], &unit.repeat((READ - begin.len()) / unit.len())].concat();
            let transport = Rc::<RefCell<Option<Transport>>>::default();
            let (made, options) = (transport.clone(), options.clone());
            let turns = turns(move || Expecting(options.clone(), made.clone()), &wire);
            println!("{format}, {what}: {} bytes in {turns} turns", wire.len());
            let stats = transport.borrow().as_ref().and_then(Transport::compression_stats).unwrap();
            assert_eq!((stats.wire_in, stats.plain_in), (wire.len() as u64, 0), "{format}, {what}: all of it was taken");
            assert!((least..1000).contains(&turns), "{format}, {what}: {turns} turns");
        }
    }
}

/// Counts messages, and the most that came in one turn.
#[derive(Clone, Default)]
struct Counted {
    messages: Rc<Cell<usize>>,
    turn: Rc<Cell<(u64, usize)>>,
    most: Rc<Cell<usize>>,
}

impl Counted {
    fn count(&self, transport: &Transport) -> Result {
        let now = transport.reactor().turn_number();
        let (turn, count) = self.turn.get();
        let count = if turn == now { count + 1 } else { 1 };
        self.turn.set((now, count));
        self.most.set(self.most.get().max(count));
        self.messages.set(self.messages.get() + 1);
        Ok(())
    }
}

impl LineProtocol for Counted {
    fn line_received(&mut self, transport: &LineTransport, _: &[u8]) -> Result {
        self.count(transport)
    }
}

impl StringProtocol for Counted {
    fn string_received(&mut self, transport: &StringFrameTransport, _: &[u8]) -> Result {
        self.count(transport)
    }
}

type Make = Box<dyn FnMut() -> Box<dyn Protocol>>;

/// Messages of no bytes or one, and the protocols that receive them.
fn tiny_messages(counted: &Counted) -> Vec<(&'static str, &'static [u8], Make)> {
    fn kind<P: Protocol + 'static>(counted: &Counted, make: fn(Counted) -> P) -> Make {
        let counted = counted.clone();
        Box::new(move || Box::new(make(counted.clone())))
    }
    vec![
        ("lines", b"\r\n", kind(counted, LineReceiver::new)),
        ("lines of a byte", b"x\n", kind(counted, |counted| LineReceiver::new(counted).delimiter(b"\n"))),
        ("netstrings", b"0:,", kind(counted, NetstringReceiver::new)),
        ("strings with a length of 8 bits", b"\0", kind(counted, Int8StringReceiver::new)),
        ("strings with a length of 16 bits", b"\0\0", kind(counted, Int16StringReceiver::new)),
    ]
}

#[test]
fn tiny_messages_of_one_read_are_delivered_in_several_turns_and_all_before_the_end() {
    for index in 0..5 {
        let counted = Counted::default();
        let (what, message, make) = tiny_messages(&counted).swap_remove(index);
        let wire = message.repeat(READ / message.len());
        let turns = turns(make, &wire);
        println!("{what}: {} in {turns} turns, at most {} in one", counted.messages.get(), counted.most.get());
        assert_eq!(counted.messages.get(), READ / message.len(), "{what}");
        assert!(counted.most.get() <= 5_000 && turns >= 5, "{what}: {} in one of {turns} turns", counted.most.get());
    }
}

#[test]
fn tiny_messages_out_of_a_compressed_stream_count_beside_its_decompression() {
    struct Compressed(LineReceiver<Counted>);
    impl Protocol for Compressed {
        fn connection_made(&mut self, transport: &Transport) -> Result {
            transport.expect_compression("deflate", b"")?;
            self.0.connection_made(transport)
        }
        fn data_received(&mut self, transport: &Transport, data: &[u8]) -> Result {
            self.0.data_received(transport, data)
        }
        fn reading_resumed(&mut self, transport: &Transport) -> Result {
            self.0.reading_resumed(transport)
        }
    }
    const LINES: usize = 200_000;
    let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::best());
    std::io::Write::write_all(&mut encoder, &b"\r\n".repeat(LINES)).unwrap();
    let wire = encoder.finish().unwrap();
    let counted = Counted::default();
    let given = counted.clone();
    let turns = turns(move || Compressed(LineReceiver::new(given.clone())), &wire);
    assert_eq!(counted.messages.get(), LINES);
    assert!(counted.most.get() <= 5_000 && turns >= 40, "{} in one of {turns} turns", counted.most.get());
}

#[test]
fn ordinary_traffic_takes_one_turn_a_read() {
    let text = b"an ordinary line of 48 bytes, as people write, \r\n".repeat(READ / 49);
    let counted = Counted::default();
    let given = counted.clone();
    assert_eq!(turns(move || LineReceiver::new(given.clone()), &text), 1);
    assert_eq!(counted.messages.get(), READ / 49);
    for format in formats() {
        let plain: Vec<u8> = (0..60_000).map(|at| b"the same again, and a little else; "[(at + at / 500) % 35]).collect();
        let wire = compressed(format, &plain);
        let transport = Rc::<RefCell<Option<Transport>>>::default();
        let made = transport.clone();
        let turns = turns(move || Expecting(format.into(), made.clone()), &wire);
        let stats = transport.borrow().as_ref().and_then(Transport::compression_stats).unwrap();
        assert_eq!(stats.plain_in, plain.len() as u64, "{format}");
        assert!(turns <= 2, "{format}: {turns} turns");
    }
}

/// A stream of this format, as torsade sends it.
fn compressed(format: Format, plain: &[u8]) -> Vec<u8> {
    struct Sender(Format, Vec<u8>);
    impl Protocol for Sender {
        fn connection_made(&mut self, transport: &Transport) -> Result {
            transport.set_compression::<Compression>(Compression::from(self.0).announce(false))?;
            transport.write(&self.1);
            transport.lose_connection();
            Ok(())
        }
        fn data_received(&mut self, _: &Transport, _: &[u8]) -> Result {
            Ok(())
        }
    }
    let reactor = MemoryReactor::new();
    let plain = plain.to_vec();
    let port = reactor.listen_tcp("127.0.0.1:0", move |_peer| Sender(format, plain.clone())).unwrap();
    reactor.advance(std::time::Duration::ZERO);
    let peer = reactor.connect_peer(std::net::SocketAddr::from(([192, 0, 2, 1], 1)), support::address(&port)).unwrap();
    reactor.advance(std::time::Duration::ZERO);
    peer.take_received()
}

#[test]
fn tasks_that_wake_themselves_for_ever_and_a_connection_each_have_their_part_of_every_turn() {
    const TASKS: usize = 300;
    const TURNS: usize = 100;
    let reactor = MemoryReactor::new();
    let polls = Rc::new(RefCell::new(vec![0; TASKS]));
    for task in 0..TASKS {
        let polls = Rc::clone(&polls);
        reactor.spawn(std::future::poll_fn(move |context| {
            polls.borrow_mut()[task] += 1;
            context.waker().wake_by_ref();
            std::task::Poll::<()>::Pending
        }));
    }
    let echo = reactor.listen_tcp("127.0.0.1:0", |_peer| torsade::wire::Echo).unwrap();
    // `advance` would go on until nothing is left to do.
    let turn = || reactor.turn();
    turn();
    let peer = reactor.connect_peer(std::net::SocketAddr::from(([192, 0, 2, 1], 1)), support::address(&echo)).unwrap();
    (0..3).for_each(|_| turn());
    let before = polls.borrow().clone();
    for number in 0..TURNS {
        peer.send(b"?");
        turn();
        assert_eq!(peer.take_received(), b"?", "in turn {number}");
    }
    let polled: Vec<usize> = polls.borrow().iter().zip(before).map(|(polls, before)| polls - before).collect();
    assert_eq!(polled, [TURNS; TASKS], "polled more or less than once a turn");
}
