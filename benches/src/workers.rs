//! What a second worker gains: `workers [ROUNDS]` (default 5).
//!
//! The server is in another process, and each worker reports how much processor time it has used for how many requests. That does
//! not depend on the speed of the generator in this process, so two cores are enough; but a generator slower than the workers
//! leaves them less to do at a time. `speed-up` is how many times as fast two workers are as one: one worker's time per request,
//! divided by the time of the busier of two per request of both. The work is always the same, and the rounds are interleaved.

#[path = "chat.rs"]
mod chat;
#[path = "line.rs"]
#[allow(dead_code, reason = "the server answers lines as well")]
mod line;
#[path = "workers/load.rs"]
mod load;
#[path = "workers/serve.rs"]
mod serve;

use std::io::{BufRead, BufReader, Lines, Write};
use std::net::SocketAddr;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use torsade::prelude::*;

/// What is measured: the work, how the workers listen, and what is counted.
const CASES: [(&str, &str, &str); 6] = [
    ("echo", "shared", "echo"),
    ("echo", "own", "echo"),
    ("chat", "shared", "delivery"),
    ("chat", "own", "delivery"),
    ("churn", "shared", "connection"),
    ("churn", "own", "connection"),
];

struct Server {
    process: Child,
    asks: ChildStdin,
    says: Lines<BufReader<ChildStdout>>,
    workers: usize,
}

impl Server {
    fn start(work: &str, listening: &str, workers: usize) -> Result<(Self, SocketAddr)> {
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["serve", work, listening, &workers.to_string()]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = command.spawn()?;
        let asks = process.stdin.take().ok_or("a pipe")?;
        let mut says = BufReader::new(process.stdout.take().ok_or("a pipe")?).lines();
        let address = says.next().ok_or("the server has ended")??.parse()?;
        Ok((Self { process, asks, says, workers }, address))
    }

    /// The connections of each worker, and the seconds of its thread.
    fn report(&mut self) -> Result<Vec<(u64, f64)>> {
        self.asks.write_all(b"report\n")?;
        let mut reports = vec![(0, 0.0); self.workers];
        for _ in 0..self.workers {
            let line = self.says.next().ok_or("the server has ended")??;
            let mut words = line.split(' ');
            let mut word = || words.next().ok_or("a worker says three things");
            let (worker, connections, seconds) = (word()?.parse::<usize>()?, word()?.parse()?, word()?.parse()?);
            *reports.get_mut(worker).ok_or("a worker that there is")? = (connections, seconds);
        }
        Ok(reports)
    }

    fn stop(mut self) -> Result {
        drop(self.asks);
        self.process.wait()?;
        Ok(())
    }
}

/// One run: microseconds per request over all workers, and the shares of connections and time of the least busy worker, in %.
fn measure(work: &str, listening: &str, workers: usize) -> Result<[f64; 3]> {
    let (mut server, address) = Server::start(work, listening, workers)?;
    let mut before = Vec::new();
    let requests = load::run(work, address, || {
        before = server.report()?;
        Ok(())
    })?;
    let after = server.report()?;
    server.stop()?;
    let used: Vec<f64> = after.iter().zip(&before).map(|(after, before)| after.1 - before.1).collect();
    let all: f64 = used.iter().sum();
    let connections: u64 = after.iter().map(|worker| worker.0).sum();
    let fewest = after.iter().map(|worker| worker.0).min().unwrap_or(0);
    let least = used.iter().copied().fold(f64::MAX, f64::min);
    Ok([all * 1e6 / requests as f64, fewest as f64 * 100.0 / connections as f64, least * 100.0 / all])
}

fn median(mut of: Vec<f64>) -> f64 {
    of.sort_by(f64::total_cmp);
    of.get(of.len() / 2).copied().unwrap_or(f64::NAN)
}

fn main() -> Result {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let rounds = match arguments[..] {
        ["serve", work, listening, workers] => return serve::run(work, listening, workers.parse()?),
        [] => 5,
        [rounds] => rounds.parse()?,
        _ => return Err("usage: workers [ROUNDS]".into()),
    };
    println!("us of processor time        1 worker 2 workers  speed-up   the one with less has, in %");
    for (work, listening, unit) in CASES {
        let mut columns = [const { Vec::new() }; 5];
        for _ in 0..rounds {
            let ([alone, ..], [both, connections, time]) = (measure(work, listening, 1)?, measure(work, listening, 2)?);
            let row = [alone, both, alone / both / (1.0 - time / 100.0), connections, time];
            columns.iter_mut().zip(row).for_each(|(column, value)| column.push(value));
        }
        let [alone, both, speed_up, connections, time] = columns.map(median);
        let what = format!("{unit}, socket {listening}");
        println!("{what:26} {alone:9.2} {both:9.2} {speed_up:9.2}   connections {connections:.0}, time {time:.0}");
    }
    Ok(())
}
