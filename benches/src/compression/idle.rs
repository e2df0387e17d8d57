//! The memory of idle compressed connections: what the process has, divided by their number.

use std::cell::Cell;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::rc::Rc;
use std::time::Duration;

use torsade::prelude::*;

use super::speed::events;
use torsade_bench::resident;

/// Each connection has said this much before it falls silent: more than any history.
const SAID: usize = 40_000;

struct Quiet {
    said: Rc<[u8]>,
    case: &'static Case,
    made: Rc<Cell<usize>>,
}

struct Case {
    what: &'static str,
    history: Option<usize>,
    /// Looks for an announcement, as a connection does that we make.
    looks: bool,
    /// The peer has said something, so that there is nothing to look for any more.
    told: bool,
}

impl Case {
    const fn plain(what: &'static str, looks: bool, told: bool) -> Self {
        Self { what, history: None, looks, told }
    }

    const fn compressed(what: &'static str, history: usize) -> Self {
        Self { what, history: Some(history), looks: false, told: false }
    }
}

impl Protocol for Quiet {
    fn connection_made(&mut self, transport: &Transport) -> Result {
        self.made.set(self.made.get() + 1);
        if self.case.looks {
            transport.set_detection(Detect::AtStart);
        }
        if let Some(history) = self.case.history {
            transport.set_compression(Compression::deflate().level(1).history(history))?;
        }
        self.said.chunks(10_000).for_each(|piece| transport.write(piece));
        Ok(())
    }

    fn data_received(&mut self, _transport: &Transport, _data: &[u8]) -> Result {
        Ok(())
    }
}

static CASES: [Case; 6] = [
    Case::plain("not compressed", false, true),
    Case::plain("not compressed, looking for an announcement", true, false),
    Case::plain("not compressed, and the peer's first byte was none", true, true),
    Case::compressed("compressed, history 0", 0),
    Case::compressed("compressed, history 4 KiB", 4 << 10),
    Case::compressed("compressed, history 32 KiB", 32 << 10),
];

/// Names the case that a child process measures: what one has freed would hide what the next one takes.
const CASE: &str = "TORSADE_BENCH_IDLE";

pub fn run(count: usize) -> Result {
    if let Ok(case) = std::env::var(CASE) {
        return measure(&CASES[case.parse::<usize>()?], count, &events()[..SAID].into());
    }
    println!("{count} idle connections, each of which has said {SAID} B:");
    for (number, case) in CASES.iter().enumerate() {
        let mut child = Command::new(std::env::current_exe()?);
        let status = child.args(["idle", &count.to_string()]).env(CASE, number.to_string()).status()?;
        if !status.success() {
            return Err(format!("{}: {status}", case.what).into());
        }
    }
    Ok(())
}

fn measure(case: &'static Case, count: usize, said: &Rc<[u8]>) -> Result {
    let reactor = Reactor::new()?;
    reactor.start_running()?;
    let made = Rc::new(Cell::new(0));
    let (counted, said) = (Rc::clone(&made), Rc::clone(said));
    let quiet = move |_peer| Quiet { said: Rc::clone(&said), case, made: Rc::clone(&counted) };
    let port = reactor.listen_tcp("127.0.0.1:0", quiet)?;
    let before = resident().ok_or("the system does not say how much memory a process has")?;
    let mut peers = Command::new(std::env::current_exe()?)
        .args(["idle-peers", &port.address().to_string(), &count.to_string(), if case.told { "y" } else { "" }])
        .stdin(Stdio::piped())
        .spawn()?;
    while made.get() < count && peers.try_wait()?.is_none() {
        reactor.iterate(Some(Duration::from_millis(100)))?;
    }
    if made.get() < count {
        return Err(format!("only {} connections: raise the limit of open files (ulimit -n)", made.get()).into());
    }
    // Two seconds of silence: encoders are given back after one.
    let until = reactor.now() + Duration::from_secs(2);
    while reactor.now() < until {
        reactor.iterate(Some(Duration::from_millis(100)))?;
    }
    let all = resident().ok_or("no memory")? - before;
    println!("  {:52} {:8} bytes each", case.what, all / count);
    drop(peers.stdin.take());
    peers.wait()?;
    Ok(())
}

/// The other ends, in another process: they say this, stay until their standard input ends, and need not read what came.
pub fn peers(address: &str, count: usize, says: &str) -> Result {
    let connect = |_| {
        let mut stream = TcpStream::connect(address)?;
        stream.write_all(says.as_bytes())?;
        Ok(stream)
    };
    let streams = (0..count).map(connect).collect::<std::io::Result<Vec<_>>>()?;
    std::io::stdin().read_to_end(&mut Vec::new())?;
    drop(streams);
    Ok(())
}
