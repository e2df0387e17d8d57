//! Torsade's timers and tokio's in one process: a million added and cancelled, a million fired, and idle timeouts postponed by
//! every read. Prints nanoseconds per operation, and the ratio.
//!
//! Run: `cargo run --release --package torsade-bench --bin timers_beside_tokio [TIMERS]` (default 1,000,000)

use std::pin::Pin;
use std::rc::Rc;
use std::time::{Duration, Instant};

use tokio::time::{Sleep, sleep};
use torsade::prelude::*;

/// Connections with an idle timeout each, and how often each connection reads.
const CONNECTIONS: usize = 100_000;
const READS: usize = 20;
const IDLE: Duration = Duration::from_secs(60);

/// A delay in milliseconds that varies from timer to timer, long enough that none is due before all are made.
fn delay(number: usize) -> Duration {
    Duration::from_millis(60_000 + (number * 7919 % 60_000) as u64)
}

fn nanoseconds(count: usize, work: impl FnOnce()) -> f64 {
    let begin = Instant::now();
    work();
    begin.elapsed().as_nanos() as f64 / count as f64
}

fn torsade(count: usize) -> [f64; 3] {
    let reactor = Reactor::new().expect("a reactor");
    let cancel = nanoseconds(count, || {
        let calls: Vec<_> = (0..count).map(|number| reactor.call_later(delay(number), || ())).collect();
        calls.iter().for_each(|call| call.cancel().expect("it is active"));
    });
    // Due at once, since the real clock cannot be moved; they are made in one turn.
    let fire = nanoseconds(count, || {
        for number in 0..count {
            reactor.call_later(Duration::from_nanos(number as u64 * 7919 % 1000), || ());
        }
        let stopper = reactor.clone();
        reactor.call_later(Duration::from_micros(1), move || stopper.crash().expect("it runs"));
        reactor.run().expect("it runs");
    });
    let timeouts: Rc<Vec<_>> = Rc::new((0..CONNECTIONS).map(|_| reactor.call_later(IDLE, || ())).collect());
    reactor.start_running().expect("it was crashed, not stopped");
    let reset = nanoseconds(CONNECTIONS * READS, || {
        for _ in 0..READS {
            // In a turn, as in a server: the clock is read once, and what was postponed is moved.
            let timeouts = Rc::clone(&timeouts);
            reactor.call_later(Duration::ZERO, move || {
                timeouts.iter().for_each(|timeout| timeout.reset(IDLE).expect("it is active"));
            });
            reactor.iterate(Some(Duration::ZERO)).expect("it runs");
        }
    });
    [cancel, fire, reset]
}

fn tokio(count: usize) -> [f64; 3] {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
    runtime.block_on(async {
        // A sleep enters the wheel only when first polled.
        let begin = Instant::now();
        let mut sleeps: Vec<Pin<Box<Sleep>>> = (0..count).map(|number| Box::pin(sleep(delay(number)))).collect();
        poll_all(&mut sleeps).await;
        drop(sleeps);
        let cancel = begin.elapsed().as_nanos() as f64 / count as f64;

        let begin = Instant::now();
        let mut sleeps: Vec<_> =
            (0..count).map(|number| Box::pin(sleep(Duration::from_nanos(number as u64 * 7919 % 1000)))).collect();
        poll_all(&mut sleeps).await;
        for sleep in sleeps {
            sleep.await;
        }
        let fire = begin.elapsed().as_nanos() as f64 / count as f64;

        let mut timeouts: Vec<_> = (0..CONNECTIONS).map(|_| Box::pin(sleep(IDLE))).collect();
        poll_all(&mut timeouts).await;
        let begin = Instant::now();
        for _ in 0..READS {
            let deadline = tokio::time::Instant::now() + IDLE;
            for timeout in &mut timeouts {
                timeout.as_mut().reset(deadline);
            }
            // As every read in a server does: the task that waits for data polls its timeout again.
            poll_all(&mut timeouts).await;
        }
        let reset = begin.elapsed().as_nanos() as f64 / (CONNECTIONS * READS) as f64;
        [cancel, fire, reset]
    })
}

async fn poll_all(sleeps: &mut [Pin<Box<Sleep>>]) {
    std::future::poll_fn(|context| {
        for sleep in &mut *sleeps {
            if !sleep.is_elapsed() {
                let _ = sleep.as_mut().poll(context);
            }
        }
        std::task::Poll::Ready(())
    })
    .await;
}

fn main() {
    let count = std::env::args().nth(1).and_then(|count| count.parse().ok()).unwrap_or(1_000_000);
    let (ours, theirs) = (torsade(count), tokio(count));
    println!("{:<28} {:>10} {:>10} {:>8}", "ns an operation", "torsade", "tokio", "ratio");
    let names = ["add and cancel", "add and fire at once", "idle timeout reset by a read"];
    for ((name, ours), theirs) in names.iter().zip(ours).zip(theirs) {
        println!("{name:<28} {ours:>10.1} {theirs:>10.1} {:>8.2}", ours / theirs);
    }
}
