//! Latency of 1,000 busy connections, alone and with peers beside them that mean no good.
//!
//! Run: `cargo run --release -p torsade-bench --bin hostile [ROUNDS]` (5 unless given). Each round measures both, in turn.
//!
//! An echo server on one thread, its clients on another. The others are: one that sends and never reads, one that reads a byte
//! now and then, one that says nothing, and one that sends 100 MB packed into 97 KB, again and again. The server reads all that
//! this becomes, and drops it, so that the attacker is not held up by its own answers and hardly takes processor time itself.

use std::cell::RefCell;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::channel;
use std::thread;
use std::time::{Duration, Instant};

use torsade::prelude::*;

const BUSY: usize = 1000;
const MEASURED: Duration = Duration::from_secs(2);

/// What bombs have become, in bytes.
static INFLATED: AtomicU64 = AtomicU64::new(0);

/// Echoes what comes in plaintext, and counts what comes from peers that announce compression.
struct Echo;

impl Protocol for Echo {
    fn connection_made(&mut self, transport: &Transport) -> Result {
        transport.set_detection(Detect::AtStart);
        Ok(())
    }

    fn data_received(&mut self, transport: &Transport, data: &[u8]) -> Result {
        if transport.compression_stats().is_some() {
            INFLATED.fetch_add(data.len() as u64, Ordering::Relaxed);
        } else {
            transport.write(data);
        }
        Ok(())
    }
}

/// Sends a message, waits for the answer, notes how long that took, and so on.
struct Busy {
    sent: Instant,
    missing: usize,
    latencies: Rc<RefCell<Vec<Duration>>>,
}

impl Busy {
    fn ask(&mut self, transport: &Transport) {
        self.sent = Instant::now();
        self.missing = 64;
        transport.write([b'.'; 64]);
    }
}

impl Protocol for Busy {
    fn connection_made(&mut self, transport: &Transport) -> Result {
        self.ask(transport);
        Ok(())
    }

    fn data_received(&mut self, transport: &Transport, data: &[u8]) -> Result {
        self.missing = self.missing.saturating_sub(data.len());
        if self.missing == 0 {
            self.latencies.borrow_mut().push(self.sent.elapsed());
            self.ask(transport);
        }
        Ok(())
    }
}

/// The latencies of one stretch of time, in order.
fn measure(address: SocketAddr) -> Result<Vec<Duration>> {
    let reactor = Reactor::new()?;
    let latencies = Rc::new(RefCell::new(Vec::new()));
    for _ in 0..BUSY {
        let latencies = Rc::clone(&latencies);
        reactor.connect_tcp(address, move |_peer| Busy { sent: Instant::now(), missing: 0, latencies: Rc::clone(&latencies) })?;
    }
    let (begun, stopper) = (Rc::clone(&latencies), reactor.clone());
    reactor.call_later(MEASURED / 4, move || begun.borrow_mut().clear());
    reactor.call_later(MEASURED, move || stopper.crash().unwrap_or(()));
    reactor.run()?;
    reactor.disconnect_all()?;
    let mut latencies = latencies.take();
    latencies.sort();
    Ok(latencies)
}

/// 100 MB of zeros as an announced stream, made by ourselves; the head of it is what the sender of a bomb would copy.
fn bomb() -> Result<Vec<u8>> {
    struct Sender;
    impl Protocol for Sender {
        fn connection_made(&mut self, transport: &Transport) -> Result {
            transport.set_compression("deflate")?;
            transport.set_write_buffer_cap(usize::MAX);
            (0..1600).for_each(|_| transport.write(vec![0; 64 << 10]));
            transport.lose_connection();
            Ok(())
        }

        fn data_received(&mut self, _transport: &Transport, _data: &[u8]) -> Result {
            Ok(())
        }
    }
    let reactor = Reactor::new()?;
    let port = reactor.listen_tcp("127.0.0.1:0", |_peer| Sender)?;
    reactor.start_running()?;
    let mut peer = TcpStream::connect(("127.0.0.1", port.address().port().unwrap_or(0)))?;
    peer.set_nonblocking(true)?;
    let mut stream = Vec::new();
    loop {
        reactor.iterate(Some(Duration::from_millis(1)))?;
        match peer.read_to_end(&mut stream) {
            Ok(_) => return Ok(stream),
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// Does one thing to the server again and again until told to stop; a peer that is cut off connects anew.
fn plague(address: SocketAddr, stop: &AtomicBool, mut act: impl FnMut(&mut TcpStream) -> std::io::Result<()>) {
    while !stop.load(Ordering::Relaxed) {
        let Ok(mut peer) = TcpStream::connect(address) else { continue };
        // So that a thread notices the stop whatever the server does.
        peer.set_read_timeout(Some(Duration::from_millis(50))).unwrap_or(());
        peer.set_write_timeout(Some(Duration::from_millis(50))).unwrap_or(());
        while !stop.load(Ordering::Relaxed) && act(&mut peer).is_ok() {}
    }
}

/// A time-out is what some of them are for.
fn unless_late<T>(result: std::io::Result<T>) -> std::io::Result<()> {
    match result {
        Err(error) if matches!(error.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut) => Ok(()),
        result => result.map(drop),
    }
}

fn with_hostile_peers<T>(address: SocketAddr, bomb: &[u8], act: impl FnOnce() -> T) -> T {
    let stop = AtomicBool::new(false);
    let stop = &stop;
    thread::scope(|scope| {
        scope.spawn(|| plague(address, stop, |peer| unless_late(peer.write(&[b'x'; 64 << 10]))));
        scope.spawn(|| {
            plague(address, stop, |peer| {
                unless_late(peer.write(&[b'x'; 64 << 10]))?;
                thread::sleep(Duration::from_millis(5));
                unless_late(peer.read(&mut [0]))
            });
        });
        scope.spawn(|| plague(address, stop, |peer| unless_late(peer.read(&mut [0]))));
        scope.spawn(|| {
            plague(address, stop, |peer| {
                peer.write_all(bomb)?;
                peer.shutdown(Shutdown::Write)?;
                // The server ends the connection once it has read all of it.
                while !stop.load(Ordering::Relaxed) && peer.read(&mut [0]).is_err() {}
                Err(std::io::ErrorKind::ConnectionAborted.into())
            });
        });
        let result = act();
        stop.store(true, Ordering::Relaxed);
        result
    })
}

fn percentile(latencies: &[Duration], percent: usize) -> Duration {
    latencies.get(latencies.len() * percent / 100).copied().unwrap_or_default()
}

fn main() -> Result {
    let rounds = std::env::args().nth(1).map_or(Ok(5), |rounds| rounds.parse())?;
    let bomb = bomb()?;
    let (told, ready) = channel();
    thread::spawn(move || {
        let reactor = Reactor::new().expect("a reactor");
        let port = reactor.listen_tcp("127.0.0.1:0", |_peer| Echo).expect("a port");
        let Address::Tcp(address) = port.address() else { unreachable!("it is a TCP port") };
        told.send(address).expect("the main thread waits");
        reactor.run().expect("it runs");
    });
    let address = ready.recv()?;
    println!("{:>6} {:>12} {:>22} {:>22} {:>12}", "round", "requests", "p50 alone, beside", "p99 alone, beside", "bombs, MB");
    for round in 1..=rounds {
        let alone = measure(address)?;
        let beside = with_hostile_peers(address, &bomb, || measure(address))?;
        let pair = |percent| format!("{:?} {:?}", percentile(&alone, percent), percentile(&beside, percent));
        println!(
            "{round:>6} {:>12} {:>22} {:>22} {:>12}",
            format!("{} {}", alone.len(), beside.len()),
            pair(50),
            pair(99),
            INFLATED.swap(0, Ordering::Relaxed) / 1_000_000
        );
    }
    Ok(())
}
