//! Twisted's `trueandfalse.py`: the statuses of two programs.
//!
//! Run:    cargo run --example trueandfalse
//! Expect: "true exits with 0", "false exits with 1".

use torsade::get_process_value;
use torsade::prelude::*;

fn main() -> Result {
    env_logger::init();
    let reactor = Reactor::new()?;
    reactor.run_until({
        let reactor = reactor.clone();
        async move {
            for program in ["true", "false"] {
                println!("{program} exits with {}", get_process_value(&reactor, Command::new(program)).await?);
            }
            Ok(())
        }
    })
}
