//! The memory of idle connections, by what they have switched on: `memory [COUNT]`.
//!
//! Prints the growth of the server process's resident memory (VmRSS), divided by COUNT, from a reactor that only listens to one
//! whose connections have all been silent for two seconds. The peers are in another process. The kernel's own memory for the
//! sockets is not included.

#[path = "memory/keys.rs"]
mod keys;
#[path = "memory/peers.rs"]
mod peers;

use std::cell::Cell;
use std::process::{Command, Stdio};
use std::rc::Rc;
use std::time::Duration;

use torsade::prelude::*;
use torsade_bench::events;

/// Bytes that a compressed connection has sent before it falls silent: more than any history.
const SENT: usize = 40_000;

/// Makes glibc return freed encoders to the system. Otherwise the process keeps up to 24 MB for the at most 64 encoders, however
/// many connections there are.
const LARGE_BLOCKS: (&str, &str) = ("MALLOC_MMAP_THRESHOLD_", "65536");

/// A measurement, in its own process, since memory freed by one would hide what the next one takes.
struct Case {
    what: &'static str,
    tls: bool,
    /// Detects announcements, as an outgoing connection does.
    looks: bool,
    /// Compresses what it sends, and keeps this much history.
    history: Option<usize>,
    /// The peer has sent a message, which was sent back.
    spoken: bool,
}

const PLAIN: Case = Case { what: "", tls: false, looks: false, history: None, spoken: false };

const CASES: [Case; 12] = [
    Case { what: "accepted", ..PLAIN },
    Case { what: "after an echo", spoken: true, ..PLAIN },
    Case { what: "looking for an announcement", looks: true, ..PLAIN },
    Case { what: "looked for one, after an echo", looks: true, spoken: true, ..PLAIN },
    Case { what: "compressed, history 0", history: Some(0), ..PLAIN },
    Case { what: "compressed, history 4 KiB", history: Some(4 << 10), ..PLAIN },
    Case { what: "compressed, history 32 KiB", history: Some(32 << 10), ..PLAIN },
    Case { what: "TLS, after the handshake", tls: true, ..PLAIN },
    Case { what: "TLS, after an echo", tls: true, spoken: true, ..PLAIN },
    Case { what: "TLS, compressed, history 0", tls: true, history: Some(0), ..PLAIN },
    Case { what: "TLS, compressed, history 4 KiB", tls: true, history: Some(4 << 10), ..PLAIN },
    Case { what: "TLS, compressed, history 32 KiB", tls: true, history: Some(32 << 10), ..PLAIN },
];

struct Echo {
    case: &'static Case,
    sends: Rc<[u8]>,
    /// How many connections have done what they do before they fall silent.
    settled: Rc<Cell<usize>>,
}

impl Echo {
    fn settle(&self) -> Result {
        self.settled.set(self.settled.get() + 1);
        Ok(())
    }
}

impl Protocol for Echo {
    fn connection_made(&mut self, transport: &Transport) -> Result {
        if self.case.looks {
            transport.set_detection(Detect::AtStart);
        }
        if let Some(history) = self.case.history {
            transport.set_compression(Compression::deflate().level(1).history(history))?;
            self.sends.chunks(10_000).for_each(|piece| transport.write(piece));
        }
        if self.case.tls || self.case.spoken { Ok(()) } else { self.settle() }
    }

    fn handshake_completed(&mut self, _transport: &Transport) -> Result {
        if self.case.spoken { Ok(()) } else { self.settle() }
    }

    fn data_received(&mut self, transport: &Transport, data: &[u8]) -> Result {
        transport.write(data);
        self.settle()
    }
}

/// The resident memory of this process, in bytes.
fn resident() -> Result<usize> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let kilobytes = status.lines().find_map(|line| line.strip_prefix("VmRSS:")?.strip_suffix("kB"));
    Ok(kilobytes.ok_or("the system does not say how much memory a process has")?.trim().parse::<usize>()? * 1024)
}

fn measure(case: &'static Case, count: usize) -> Result {
    let reactor = Reactor::new()?;
    reactor.start_running()?;
    let settled = Rc::new(Cell::new(0));
    let (counted, sends) = (Rc::clone(&settled), Rc::from(&events()[..SENT]));
    let factory = move |_peer| Echo { case, sends: Rc::clone(&sends), settled: Rc::clone(&counted) };
    let address = "127.0.0.1:0";
    let port =
        if case.tls { reactor.listen_tls(address, &keys::server()?, factory)? } else { reactor.listen_tcp(address, factory)? };
    let before = resident()?;
    let mut peers = Command::new(std::env::current_exe()?)
        .args(["peers", &port.address().to_string(), &count.to_string()])
        .args([if case.spoken { "hello" } else { "" }, if case.tls { "tls" } else { "tcp" }])
        .stdin(Stdio::piped())
        .spawn()?;
    while settled.get() < count && peers.try_wait()?.is_none() {
        reactor.iterate(Some(Duration::from_millis(100)))?;
    }
    if settled.get() < count {
        return Err(format!("only {} connections: raise the limit of open files (ulimit -n)", settled.get()).into());
    }
    // Two seconds of silence: encoders are given back after one.
    let until = reactor.now() + Duration::from_secs(2);
    while reactor.now() < until {
        reactor.iterate(Some(Duration::from_millis(100)))?;
    }
    println!("{:34} {:8}", case.what, (resident()? - before) / count);
    drop(peers.stdin.take());
    peers.wait()?;
    Ok(())
}

fn all(count: usize) -> Result {
    println!("{:34} bytes each of {count} idle connections", "");
    for (number, case) in CASES.iter().enumerate() {
        let mut child = Command::new(std::env::current_exe()?);
        child.args(["case", &number.to_string(), &count.to_string()]).env(LARGE_BLOCKS.0, LARGE_BLOCKS.1);
        let status = child.status()?;
        if !status.success() {
            return Err(format!("{}: {status}", case.what).into());
        }
    }
    Ok(())
}

fn main() -> Result {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    match args[..] {
        [] => all(10_000),
        [count] => all(count.parse()?),
        ["case", number, count] => measure(CASES.get(number.parse::<usize>()?).ok_or("no such case")?, count.parse()?),
        ["peers", address, count, says, over] => peers::run(address, count.parse()?, says, over == "tls"),
        _ => Err("usage: memory [COUNT]".into()),
    }
}
