//! Dictionaries: the memory of a thousand connections that share one.

use std::cell::RefCell;
use std::net::SocketAddr;
use std::rc::Rc;

use allocation_counter::measure;
use torsade::{Dictionary, MemoryReactor};

use super::*;

const CONNECTIONS: usize = 1000;

/// Compresses what it sends, and decompresses what it receives.
struct Talker {
    dictionary: Dictionary,
    format: Format,
    heard: Rc<RefCell<usize>>,
}

impl Protocol for Talker {
    fn connection_made(&mut self, transport: &Transport) -> Result {
        transport.set_compression::<Compression>(Compression::from(self.format).dictionary(&self.dictionary))?;
        transport.expect_compression::<Decompression>(Decompression::from(self.format).dictionary(&self.dictionary), b"")?;
        transport.write("hello, and not much more than that");
        Ok(())
    }

    fn data_received(&mut self, _transport: &Transport, data: &[u8]) -> Result {
        *self.heard.borrow_mut() += data.len();
        Ok(())
    }
}

/// What each open, silent connection takes, in bytes from Rust's allocator, which zstd does not use.
fn bytes_each(format: Format, dictionary: &Dictionary, hello: &[u8]) -> usize {
    let reactor = MemoryReactor::new();
    let heard = Rc::default();
    let (shared, counted) = (dictionary.clone(), Rc::clone(&heard));
    let talker = move |_peer| Talker { dictionary: shared.clone(), format, heard: Rc::clone(&counted) };
    let _port = reactor.listen_tcp("10.0.0.1:7", talker).unwrap();
    let mut peers = Vec::with_capacity(CONNECTIONS);
    let taken = measure(|| {
        for number in 0..CONNECTIONS {
            let address = SocketAddr::from(([10, 0, 1 + (number / 250) as u8, (number % 250) as u8], 7));
            let peer = reactor.connect_peer(address, SocketAddr::from(([10, 0, 0, 1], 7))).unwrap();
            peer.send(hello);
            peers.push(peer);
            reactor.advance(Duration::ZERO);
        }
        // Long enough for each connection to give its encoder back.
        reactor.advance(Duration::from_secs(2));
    });
    assert_eq!(*heard.borrow(), 5 * CONNECTIONS, "{format}");
    taken.bytes_current as usize / CONNECTIONS
}

/// The bytes that a connection sends for this text.
fn said(format: Format, dictionary: &Dictionary, text: &'static str) -> Vec<u8> {
    let options = Compression::from(format).dictionary(dictionary);
    let reactor = MemoryReactor::new();
    let _port = reactor.listen_tcp("10.0.0.1:7", move |_peer| Sayer(options.clone(), text)).unwrap();
    let peer = reactor.connect_peer(SocketAddr::from(([10, 0, 0, 2], 7)), SocketAddr::from(([10, 0, 0, 1], 7))).unwrap();
    reactor.advance(Duration::ZERO);
    peer.take_received()
}

struct Sayer(Compression, &'static str);

impl Protocol for Sayer {
    fn connection_made(&mut self, transport: &Transport) -> Result {
        transport.set_compression::<Compression>(self.0.clone())?;
        transport.write(self.1);
        Ok(())
    }

    fn data_received(&mut self, _transport: &Transport, _data: &[u8]) -> Result {
        Ok(())
    }
}

#[test]
fn a_thousand_connections_do_not_copy_their_dictionary() {
    let large = Dictionary::with_id(1, (0..100u32 << 10).map(|at| (at.wrapping_mul(at) >> 7) as u8).collect::<Vec<_>>());
    let small = Dictionary::with_id(2, "hello, and not much more than that");
    for format in formats().filter(|format| *format != Format::Gzip) {
        let [with, without] =
            [&large, &small].map(|dictionary| bytes_each(format, dictionary, &said(format, dictionary, "hello")));
        eprintln!("{format}: {with} bytes with a large dictionary, {without} with a small one");
        assert!(with < without + (4 << 10), "{format}: {with} bytes with a large dictionary, {without} with a small one");
    }
}
