//! How much memory hostile streams can make a reactor's decoders hold: one test in its own process, so that nothing else is
//! measured.
#![cfg(feature = "zstd")]

#[path = "support/support.rs"]
mod support;

use std::cell::{Cell, RefCell};
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::rc::Rc;
use std::time::Duration;

use torsade::DecompressErrorKind;
use torsade::prelude::*;

const PEERS: usize = 200;
/// How much more memory the process may hold, in bytes.
const ALLOWED: usize = 64 << 20;

/// A frame with a window of 8 MiB, not ended.
const FRAME: [u8; 6] = [0x28, 0xb5, 0x2f, 0xfd, 0, 0x68];

/// Resident memory of this process, in bytes; `None` where the system does not report it.
fn resident() -> Option<usize> {
    let statm = std::fs::read_to_string("/proc/self/statm").ok()?;
    statm.split(' ').nth(1)?.parse::<usize>().ok().map(|pages| pages * 4096)
}

/// 302 bytes that fill a window of 8 MiB: blocks of 128 KiB, each of one repeated byte.
fn bomb() -> Vec<u8> {
    [&FRAME[..], &[0x02, 0x00, 0x10, b'a'].repeat(74)].concat()
}

/// A block that is not compressed.
fn raw_block(bytes: &[u8]) -> Vec<u8> {
    [&((bytes.len() as u32) << 3).to_le_bytes()[..3], bytes].concat()
}

/// Reports how many bytes of an expected stream have arrived.
struct Count {
    format: &'static str,
    counted: Rc<Cell<usize>>,
    lost: Rc<RefCell<Vec<Reason>>>,
}

impl Protocol for Count {
    fn connection_made(&mut self, transport: &Transport) -> Result {
        Ok(transport.expect_compression(self.format, b"")?)
    }

    fn data_received(&mut self, transport: &Transport, data: &[u8]) -> Result {
        self.counted.set(self.counted.get() + data.len());
        // Of what only fills windows, the rest of a read may be short too.
        if data == b"hello" {
            transport.write(data);
        }
        Ok(())
    }

    fn connection_lost(&mut self, _transport: &Transport, reason: &Reason) -> Result {
        self.lost.borrow_mut().push(reason.clone());
        Ok(())
    }
}

/// Sends something, and waits until it comes back.
fn converse(peer: &mut TcpStream, wire: &[u8], says: &[u8], turn: &impl Fn()) {
    peer.write_all(wire).unwrap();
    peer.set_nonblocking(true).unwrap();
    let mut back = Vec::new();
    while back.len() < says.len() {
        turn();
        let mut buffer = [0; 100];
        match peer.read(&mut buffer) {
            Ok(0) => panic!("closed"),
            Ok(count) => back.extend_from_slice(&buffer[..count]),
            Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock),
        }
    }
    assert_eq!(back, says);
    peer.set_nonblocking(false).unwrap();
}

#[test]
fn two_hundred_silent_bombs_take_less_than_64_mib_and_nothing_from_others() {
    let reactor = Reactor::new().unwrap();
    reactor.start_running().unwrap();
    let (counted, lost) = (Rc::new(Cell::new(0)), Rc::new(RefCell::new(Vec::new())));
    let listen = |format| {
        let (counted, lost) = (counted.clone(), lost.clone());
        let factory = move |_peer| Count { format, counted: counted.clone(), lost: lost.clone() };
        support::address(&reactor.listen_tcp("127.0.0.1:0", factory).unwrap())
    };
    let (zstd, deflate) = (listen("zstd"), listen("deflate-raw"));
    let turn = || reactor.iterate(Some(Duration::from_millis(1))).unwrap();

    // One with a large window whose bytes it has really sent, and one with deflate.
    let mut large = support::connect(zstd);
    large.write_all(&FRAME).unwrap();
    for _ in 0..64 {
        large.write_all(&raw_block(&[7; 32 << 10])).unwrap();
        turn();
    }
    while counted.get() < 2 << 20 {
        turn();
    }
    let mut small = support::connect(deflate);
    let hello = [&[0, 5, 0, 0xfa, 0xff][..], b"hello"].concat();
    converse(&mut small, &hello, b"hello", &turn);

    let before = resident();
    let (mut bombs, mut most, mut counts) = (Vec::new(), 0, 0);
    for number in 0..PEERS {
        let mut peer = support::connect(zstd);
        let from = counted.get();
        peer.write_all(&bomb()).unwrap();
        while counted.get() < from + (74 << 17) {
            turn();
        }
        bombs.push(peer);
        if number % 20 == 0 {
            converse(&mut small, &hello, b"hello", &turn);
            converse(&mut large, &raw_block(b"hello"), b"hello", &turn);
        }
        if let Some((before, now)) = before.zip(resident()) {
            most = most.max(now.saturating_sub(before));
        }
        counts = counts.max(reactor.decompression_memory());
    }
    converse(&mut small, &hello, b"hello", &turn);
    converse(&mut large, &raw_block(b"hello"), b"hello", &turn);
    eprintln!("{most} bytes of memory more, {counts} counted");
    assert!(most < ALLOWED, "{most} bytes of memory more");
    assert!(counts < ALLOWED, "{counts} bytes of memory counted");

    // Connections that were ended to make room need no callback to find out: they end by themselves.
    let ended = reactor.refused_decompressions() as usize;
    assert!(ended > PEERS / 2, "{ended}");
    while lost.borrow().len() < ended {
        turn();
    }
    let memory =
        |reason: &Reason| matches!(reason, Reason::Decompress(error) if matches!(error.kind, DecompressErrorKind::Memory { .. }));
    assert!(lost.borrow().iter().all(memory), "{:?}", lost.borrow());
}
