//! A message to all members of a room with compressed connections: compressed by each connection, or once for all.

use std::cell::RefCell;
use std::io::Read;
use std::os::unix::net::UnixStream;
use std::rc::Rc;
use std::time::Duration;

use torsade::Dictionary;
use torsade::prelude::*;
use torsade_bench::{events, time};

const MEMBERS: usize = 1000;
/// Messages; the shortest time counts.
const ROUNDS: usize = 20;
/// Sent to each member first, so that its history is full.
const BEFORE: usize = 64 << 10;

struct Member(Rc<RefCell<Vec<Transport>>>, Compression);

impl Protocol for Member {
    fn connection_made(&mut self, transport: &Transport) -> Result {
        transport.set_compression::<Compression>(self.1.clone())?;
        transport.set_write_buffer_cap(usize::MAX);
        self.0.borrow_mut().push(transport.clone());
        Ok(())
    }

    fn data_received(&mut self, _transport: &Transport, _data: &[u8]) -> Result {
        Ok(())
    }
}

struct Room {
    reactor: Reactor,
    members: Rc<RefCell<Vec<Transport>>>,
    peers: Vec<UnixStream>,
    buffer: Vec<u8>,
}

struct Cost {
    microseconds: f64,
    bytes: f64,
}

pub fn run() -> Result {
    let events = events();
    let words = Dictionary::new(&events[1 << 20..][..16 << 10]);
    println!("a message to {MEMBERS} members: B on the wire and us for each, by each connection, and compressed once");
    for size in [200, 4096] {
        for (name, options) in ways(&words) {
            let mut room = Room::new(&options)?;
            let own = room.cost(&events, size, |bytes| bytes)?;
            let once = room.cost(&events, size, SharedBytes::compressed_once)?;
            println!(
                "{size:>5} B {name:24} {:8.0} B {:8.2} us {:8.0} B {:8.2} us",
                own.bytes, own.microseconds, once.bytes, once.microseconds
            );
            // Otherwise they would stay open during the next measurement.
            room.members.borrow().iter().for_each(Transport::abort_connection);
            room.reactor.iterate(Some(Duration::ZERO))?;
        }
    }
    Ok(())
}

fn ways(words: &Dictionary) -> Vec<(&'static str, Compression)> {
    let mut ways = vec![
        ("deflate 1", Compression::deflate().level(1)),
        ("deflate 6", Compression::deflate()),
        ("deflate 6, history(0)", Compression::deflate().history(0)),
    ];
    if cfg!(feature = "zstd") {
        ways.push(("zstd 3", Compression::zstd()));
        ways.push(("zstd 3, dictionary", Compression::zstd().dictionary(words)));
    }
    if cfg!(feature = "lz4") {
        ways.push(("lz4", Compression::lz4()));
    }
    ways
}

impl Room {
    fn new(options: &Compression) -> Result<Self> {
        let reactor = Reactor::new()?;
        reactor.set_slow_callback_duration(Duration::MAX);
        reactor.start_running()?;
        let members = Rc::new(RefCell::new(Vec::new()));
        let mut peers = Vec::new();
        for _ in 0..MEMBERS {
            let (ours, theirs) = UnixStream::pair()?;
            theirs.set_nonblocking(true)?;
            reactor.adopt_stream_connection(ours, Member(Rc::clone(&members), options.clone()))?;
            peers.push(theirs);
        }
        while members.borrow().len() < MEMBERS {
            reactor.iterate(Some(Duration::ZERO))?;
        }
        Ok(Self { reactor, members, peers, buffer: vec![0; 1 << 18] })
    }

    fn cost(&mut self, events: &[u8], size: usize, make: fn(SharedBytes) -> SharedBytes) -> Result<Cost> {
        self.tell(&SharedBytes::from(events[..BEFORE].to_vec()))?;
        let before = self.wire_out();
        let mut shortest = f64::MAX;
        for round in 1..=ROUNDS {
            let text = events[BEFORE + round * size..][..size].to_vec();
            let mut told = Ok(());
            let seconds = time(|| told = self.deliver(&make(SharedBytes::from(text))));
            told?;
            self.empty()?;
            shortest = shortest.min(seconds);
        }
        let bytes = (self.wire_out() - before) as f64 / (ROUNDS * MEMBERS) as f64;
        Ok(Cost { microseconds: shortest * 1e6 / MEMBERS as f64, bytes })
    }

    fn tell(&mut self, message: &SharedBytes) -> Result {
        self.deliver(message)?;
        self.empty()
    }

    fn deliver(&self, message: &SharedBytes) -> Result {
        self.members.borrow().iter().for_each(|member| member.write_shared(message));
        self.reactor.iterate(Some(Duration::ZERO))
    }

    /// Reads what has arrived, and turns until nothing is left.
    fn empty(&mut self) -> Result {
        loop {
            for mut peer in &self.peers {
                while peer.read(&mut self.buffer).is_ok_and(|count| count > 0) {}
            }
            self.reactor.iterate(Some(Duration::ZERO))?;
            if self.members.borrow().iter().all(|member| member.unsent() == 0) {
                return Ok(());
            }
        }
    }

    fn wire_out(&self) -> u64 {
        self.members.borrow().iter().filter_map(Transport::compression_stats).map(|stats| stats.wire_out).sum()
    }
}
