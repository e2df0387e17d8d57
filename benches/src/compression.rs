//! What compression costs through real connections on loopback, against the codec alone in the same process.
//!
//! `compression speed [FILE]` prints throughput of writing and reading; `compression table` what is on the wire of messages, and
//! their time, beside programs of others;
//! `compression room` what a message to a thousand members is on the wire, and takes, compressed by each connection and once;
//! `compression wake` what an encoder that has to be borrowed costs. All of them without arguments.

#[path = "compression/link.rs"]
mod link;
#[path = "compression/room.rs"]
mod room;
#[path = "compression/speed.rs"]
mod speed;
#[path = "compression/table.rs"]
mod table;
#[path = "compression/wake.rs"]
mod wake;

use torsade::prelude::*;
use torsade_bench::events;

fn main() -> Result {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    match args[..] {
        [] => {
            speed::run(&events())?;
            table::run()?;
            room::run()?;
            wake::run()
        }
        ["speed"] => speed::run(&events()),
        ["speed", file] => speed::run(&std::fs::read(file)?),
        ["table"] => table::run(),
        ["room"] => room::run(),
        ["wake"] => wake::run(),
        _ => Err("usage: compression [speed [FILE] | table | room | wake]".into()),
    }
}
