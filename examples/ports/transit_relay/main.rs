//! Magic Wormhole's transit relay, ported in full: two connections that say the same token are joined. The original is
//! `magic-wormhole-transit-relay` on PyPI, which `original.py` beside this starts.
//!
//! Run:    cargo run --example port_transit_relay -- [--port ENDPOINT] [--blur-usage SECONDS] [--log-fd NUMBER]
//!         ENDPOINT defaults to tcp:4001:interface=\:\:
//! Try:    `nc 127.0.0.1 4001` in two windows, with the same line in both: please relay, and 64 letters or digits
//! Expect: "ok" in both, and then each line in the other window. With `--log-fd 1`, a line of JSON when one of them has left.
//!         `compare` beside this measures both; `scripts` and `grammar` are for `examples/port_checker`.
//!
//! Differences:
//!
//! | the original | this port |
//! |---|---|
//! | of several connections for the same side, takes one by the order of a Python set | takes the one that came first |
//! | writes the record of a pair when its first side is lost | when either is: the bytes are the same |
//! | drops unsent bytes to a side that ends its own stream | sends them; the other side is told just as early |
//! | resets a side that it has closed and that still sends, which may destroy what that side has not read | keeps reading from it: `manual::closing` |
//! | `--websocket`, `--websocket-url` | left out: WebSocket needs another crate, and `examples/websocket_echo` shows how to add it |
//! | `--usage-db`, and the timer that writes its totals | left out: an SQLite database needs another crate, and blocks |
//! | raises the limit of open files | left out: use `ulimit -n` or the unit file |

pub mod connection;
pub mod handshake;
pub mod meeting;
pub mod options;
pub mod usage;

use std::process::ExitCode;
use std::rc::Rc;

use torsade::prelude::*;

use self::connection::Connection;
use self::meeting::Meeting;
use self::options::Options;
use self::usage::Usage;

/// A line is at most so long, in bytes: the longest handshake has 102.
const MAX_LENGTH: usize = 1024;

/// What makes a connection's protocol; what becomes of each is told to `usage`.
pub fn factory(usage: Usage) -> impl Factory {
    let meeting = Rc::new(Meeting::new(usage));
    move |_peer: Address| LineReceiver::new(Connection::new(&meeting)).delimiter(b"\n").max_length(MAX_LENGTH)
}

fn run() -> Result {
    let options = Options::parse(std::env::args().skip(1))?;
    let usage = options.usage()?;
    let reactor = Reactor::new()?;
    let port = reactor.listen(&options.port, factory(usage))?;
    eprintln!("listening on {}", port.address());
    reactor.run()
}

fn main() -> ExitCode {
    env_logger::init();
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}
