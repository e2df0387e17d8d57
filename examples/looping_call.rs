//! A call at regular intervals that keeps its phase, and reports how many times it missed.
//!
//! Run:    cargo run --example looping_call
//! Expect: six lines, about 100 ms apart except for one long pause, for which the count makes up; exit code 0.

use std::time::Duration;

use torsade::prelude::*;

fn main() -> Result {
    env_logger::init();
    let reactor = Reactor::new()?;
    let mut ticks = 0;
    let (clock, stopper) = (reactor.clone(), reactor.clone());
    let ticking = LoopingCall::with_count(&reactor, move |intervals| {
        ticks += 1;
        println!("tick {ticks} at {:>3} ms, {intervals} interval(s) after the last", clock.now().as_millis());
        // The third call takes too long, and the next one waits for it.
        clock.sleep(Duration::from_millis(if ticks == 3 { 250 } else { 0 }))
    });
    let ended = ticking.start(Duration::from_millis(100), true)?;
    ended.add_both(move |_| Ok(stopper.stop()?)).detach();
    let again = ticking.clone();
    reactor.call_later(Duration::from_millis(750), move || again.stop().unwrap_or_else(|error| eprintln!("{error}")));
    reactor.run()
}
