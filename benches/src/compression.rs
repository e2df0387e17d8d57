//! What compression costs through real connections on loopback, compared with the codec alone in the same process.
//!
//! `compression speed [FILE]` prints the throughput of writing and reading; `compression table` the size of messages on the wire,
//! and their time, compared with other programs; `compression room` the size and time of a message to a thousand members,
//! compressed by each connection and once for all; `compression wake` what borrowing an encoder costs. Without arguments it
//! prints all of them.

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
