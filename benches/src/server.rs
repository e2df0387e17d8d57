//! The servers that a load generator drives: `server MODE PORT`, written as a user would write them.
//!
//! Listens on 127.0.0.1, prints `LISTENING <port>`, and serves until it is killed. Exit status 3: no such mode.

mod bulk;
mod chat;
mod echo;
mod line;
mod timers;
mod zbulk;
mod zline;

use std::io::Write;
use std::process::ExitCode;

use torsade::prelude::*;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().collect();
    let [_, mode, number] = args.as_slice() else {
        eprintln!("usage: server echo|discard|chargen|line|chat|zline|zlineb|zbulk PORT, or server timers N");
        return ExitCode::from(2);
    };
    if mode == "timers" {
        return report(timers::run(number.parse().unwrap_or(1_000_000)).map(|()| true));
    }
    report(serve(mode, number))
}

fn report(result: Result<bool>) -> ExitCode {
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(3),
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn serve(mode: &str, port: &str) -> Result<bool> {
    let reactor = Reactor::new()?;
    let address = format!("127.0.0.1:{port}");
    let port = match mode {
        "echo" => reactor.listen_tcp(address, |_peer| echo::Echo)?,
        "discard" => reactor.listen_tcp(address, |_peer| bulk::Discard::default())?,
        "chargen" => reactor.listen_tcp(address, |_peer| bulk::Chargen::default())?,
        "line" => reactor.listen_tcp(address, |_peer| line::receiver(line::Line))?,
        "zline" => reactor.listen_tcp(address, |_peer| line::receiver(zline::CompressedLine { flush_each: true }))?,
        "zlineb" => reactor.listen_tcp(address, |_peer| line::receiver(zline::CompressedLine { flush_each: false }))?,
        "zbulk" => {
            let corpus = zbulk::corpus()?;
            reactor.listen_tcp(address, move |_peer| zbulk::CompressedBulk::new(&corpus))?
        }
        "chat" => {
            let room = chat::Room::default();
            reactor.listen_tcp(address, move |_peer| line::receiver(chat::Member::new(&room)))?
        }
        _ => return Ok(false),
    };
    println!("LISTENING {}", port.address().port().unwrap_or(0));
    std::io::stdout().flush()?;
    reactor.run()?;
    Ok(true)
}
