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
use std::net::TcpListener;
use std::process::ExitCode;

use torsade::prelude::*;
use torsade::workers;

const UNKNOWN: &str = "there is no such mode";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().collect();
    let [_, mode, number] = args.as_slice() else {
        eprintln!("usage: server echo|discard|chargen|line|chat|zline|zlineb|zbulk PORT, or server timers N");
        return ExitCode::from(2);
    };
    if mode == "timers" {
        return report(timers::run(number.parse().unwrap_or(1_000_000)));
    }
    report(serve(mode, number))
}

fn report(result: Result) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if error.to_string() == UNKNOWN => ExitCode::from(3),
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// With `WORKERS` in the environment, so many threads share the port.
fn serve(mode: &str, port: &str) -> Result {
    let listener = TcpListener::bind(format!("127.0.0.1:{port}"))?;
    let announce = |listener: &TcpListener| {
        println!("LISTENING {}", listener.local_addr()?.port());
        std::io::stdout().flush()
    };
    let set_up = |reactor: &Reactor| {
        open(reactor, listener.try_clone()?, mode)?;
        Ok(())
    };
    let Ok(count) = std::env::var("WORKERS") else {
        let reactor = Reactor::new()?;
        set_up(&reactor)?;
        announce(&listener)?;
        return reactor.run();
    };
    announce(&listener)?;
    Ok(workers(count.parse()?, |worker| set_up(worker))?)
}

fn open(reactor: &Reactor, listener: TcpListener, mode: &str) -> Result {
    match mode {
        "echo" => reactor.adopt_stream_port(listener, |_peer| echo::Echo)?,
        "discard" => reactor.adopt_stream_port(listener, |_peer| bulk::Discard::default())?,
        "chargen" => reactor.adopt_stream_port(listener, |_peer| bulk::Chargen::default())?,
        "line" => reactor.adopt_stream_port(listener, |_peer| line::receiver(line::Line))?,
        "zline" => reactor.adopt_stream_port(listener, |_peer| line::receiver(zline::CompressedLine { flush_each: true }))?,
        "zlineb" => reactor.adopt_stream_port(listener, |_peer| line::receiver(zline::CompressedLine { flush_each: false }))?,
        "zbulk" => {
            let corpus = zbulk::corpus()?;
            reactor.adopt_stream_port(listener, move |_peer| zbulk::CompressedBulk::new(&corpus))?
        }
        "chat" => {
            let room = chat::Room::default();
            reactor.adopt_stream_port(listener, move |_peer| line::receiver(chat::Member::new(&room)))?
        }
        _ => return Err(UNKNOWN.into()),
    };
    Ok(())
}
