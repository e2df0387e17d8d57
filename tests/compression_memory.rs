//! The memory of a bomb: one test in its own process, so that nothing else is measured.

#[path = "support/support.rs"]
mod support;

use std::cell::Cell;
use std::io::Write;
use std::rc::Rc;
use std::time::Duration;

use torsade::prelude::*;

const PLAIN: usize = 100 << 20;
/// How much more memory inflating may take, in bytes.
const ALLOWED: usize = 256 << 10;

/// Resident memory of this process, in bytes; `None` where the system does not report it.
fn resident() -> Option<usize> {
    let statm = std::fs::read_to_string("/proc/self/statm").ok()?;
    statm.split(' ').nth(1)?.parse::<usize>().ok().map(|pages| pages * 4096)
}

fn stream_of_zeros(plain: usize) -> Vec<u8> {
    let mut encoder = flate2::write::ZlibEncoder::new(Vec::with_capacity(200_000), flate2::Compression::best());
    let zeros = [0; 65_536];
    (0..plain / zeros.len()).for_each(|_| encoder.write_all(&zeros).expect("memory"));
    encoder.finish().expect("memory")
}

struct Sink(Rc<Cell<usize>>);

impl Protocol for Sink {
    fn connection_made(&mut self, transport: &Transport) -> Result {
        Ok(transport.expect_compression("deflate", b"")?)
    }

    fn data_received(&mut self, _transport: &Transport, data: &[u8]) -> Result {
        self.0.set(self.0.get() + data.len());
        Ok(())
    }
}

#[test]
fn a_bomb_takes_no_more_memory_than_any_other_stream() {
    let Some(_) = resident() else {
        eprintln!("skipped: the system does not say how much memory a process has");
        return;
    };
    let bomb = stream_of_zeros(PLAIN);
    assert!(bomb.len() < 110_000, "{} bytes", bomb.len());
    let reactor = Reactor::new().unwrap();
    reactor.start_running().unwrap();
    let total = Rc::new(Cell::new(0));
    let counted = total.clone();
    let port = reactor.listen_tcp("127.0.0.1:0", move |_peer| Sink(counted.clone())).unwrap();
    let turn = || reactor.iterate(Some(Duration::from_millis(1))).unwrap();

    // What all connections share has been allocated once the first bytes have been read.
    let mut first = support::connect(support::address(&port));
    first.write_all(&stream_of_zeros(1 << 20)).unwrap();
    while total.get() < 1 << 20 {
        turn();
    }
    let before = resident().unwrap();
    let mut bomber = support::connect(support::address(&port));
    bomber.write_all(&bomb).unwrap();
    let mut most = before;
    while total.get() < (1 << 20) + PLAIN {
        turn();
        most = most.max(resident().unwrap());
    }
    let extra = most.saturating_sub(before);
    eprintln!("{} bytes became {PLAIN}: {extra} bytes of memory more", bomb.len());
    assert!(extra < ALLOWED, "{extra} bytes of memory more");
}
