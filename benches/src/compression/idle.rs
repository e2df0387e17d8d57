//! The memory of idle compressed connections: what the process has, divided by their number.

use std::cell::Cell;
use std::io::Read;
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
    history: Option<usize>,
    made: Rc<Cell<usize>>,
}

impl Protocol for Quiet {
    fn connection_made(&mut self, transport: &Transport) -> Result {
        self.made.set(self.made.get() + 1);
        if let Some(history) = self.history {
            transport.set_compression(Compression::deflate().level(1).history(history))?;
        }
        self.said.chunks(10_000).for_each(|piece| transport.write(piece));
        Ok(())
    }

    fn data_received(&mut self, _transport: &Transport, _data: &[u8]) -> Result {
        Ok(())
    }
}

/// Names the case that a child process measures: what one has freed would hide what the next one takes.
const CASE: &str = "TORSADE_BENCH_IDLE";

pub fn run(count: usize) -> Result {
    let cases = [
        ("not compressed", None),
        ("compressed, history 0", Some(0)),
        ("compressed, history 4 KiB", Some(4 << 10)),
        ("compressed, history 32 KiB", Some(32 << 10)),
    ];
    if let Ok(case) = std::env::var(CASE) {
        let (what, history) = cases[case.parse::<usize>()?];
        return measure(what, count, &events()[..SAID].into(), history);
    }
    println!("{count} idle connections, each of which has said {SAID} B:");
    for (case, (what, _)) in cases.iter().enumerate() {
        let mut child = Command::new(std::env::current_exe()?);
        let status = child.args(["idle", &count.to_string()]).env(CASE, case.to_string()).status()?;
        if !status.success() {
            return Err(format!("{what}: {status}").into());
        }
    }
    Ok(())
}

fn measure(what: &str, count: usize, said: &Rc<[u8]>, history: Option<usize>) -> Result {
    let reactor = Reactor::new()?;
    reactor.start_running()?;
    let made = Rc::new(Cell::new(0));
    let (counted, said) = (Rc::clone(&made), Rc::clone(said));
    let quiet = move |_peer| Quiet { said: Rc::clone(&said), history, made: Rc::clone(&counted) };
    let port = reactor.listen_tcp("127.0.0.1:0", quiet)?;
    let before = resident().ok_or("the system does not say how much memory a process has")?;
    let mut peers = Command::new(std::env::current_exe()?)
        .args(["idle-peers", &port.address().to_string(), &count.to_string()])
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
    println!("  {what:28} {:8} bytes each", all / count);
    drop(peers.stdin.take());
    peers.wait()?;
    Ok(())
}

/// The other ends, in another process: they stay until their standard input ends, and need not read what came.
pub fn peers(address: &str, count: usize) -> Result {
    let streams = (0..count).map(|_| TcpStream::connect(address)).collect::<std::io::Result<Vec<_>>>()?;
    std::io::stdin().read_to_end(&mut Vec::new())?;
    drop(streams);
    Ok(())
}
