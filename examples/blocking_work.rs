//! Blocking work in the thread pool, while the loop goes on.
//!
//! Run:    cargo run --example blocking_work
//! Expect: dots while three slow jobs run concurrently, then their results and a failure; exit code 0.

use std::time::Duration;

use torsade::prelude::*;
use torsade::{defer, react};

/// Stands for a blocking library.
fn slow_square(number: u64) -> u64 {
    std::thread::sleep(Duration::from_millis(200));
    number * number
}

async fn work(reactor: Reactor) -> Result {
    let dots = LoopingCall::new(&reactor, || print!("."));
    dots.start(Duration::from_millis(20), true)?.detach();
    let jobs = (1..=3).map(|number| reactor.defer_to_thread(move || Ok(slow_square(number))));
    let squares = defer::gather_results(jobs).await?;
    dots.stop()?;
    println!("\nthe squares are {squares:?}");
    let missing = reactor.defer_to_thread(|| Ok(std::fs::read_to_string("/there/is/no/such/file")?)).await;
    println!("and an error arrives as one: {}", missing.unwrap_err());
    Ok(())
}

fn main() -> Result {
    env_logger::init();
    react(work)
}
