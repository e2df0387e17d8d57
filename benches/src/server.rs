//! The servers that a load generator drives: `server MODE PORT`, written as a user would write them.
//!
//! Listens on 127.0.0.1 (`uecho` on a UNIX socket, with its path for PORT), prints `LISTENING <port>`, and serves until it is
//! killed. Exit status 3: no such mode.

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
use std::sync::Barrier;

use torsade::prelude::*;
use torsade::{DatagramOptions, reuse_port_listener, workers};

const UNKNOWN: &str = "there is no such mode";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().collect();
    let [_, mode, number] = args.as_slice() else {
        eprintln!(
            "usage: server echo|discard|chargen|line|chat|zline|zlineb|zbulk PORT, server udp PORT, server uecho PATH, or server timers N"
        );
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

/// With `WORKERS` in the environment that many threads share the port, with `LISTEN=own` through a socket for each.
fn serve(mode: &str, port: &str) -> Result {
    let address = format!("127.0.0.1:{port}");
    if let Ok(count) = std::env::var("WORKERS") {
        let own = std::env::var("LISTEN").is_ok_and(|how| how == "own");
        let first = if own { reuse_port_listener(address.parse()?)? } else { TcpListener::bind(address)? };
        let address = first.local_addr()?;
        let count = count.parse()?;
        // The generator may start only when all workers listen.
        let all = Barrier::new(count);
        return Ok(workers(count, |worker| {
            let room = chat::room_of(worker);
            let its = if own && worker.index() > 0 { reuse_port_listener(address) } else { first.try_clone() };
            let listening = its.map_err(Into::into).and_then(|its| listen(worker, &Place::Listening(&its), mode, &room));
            all.wait();
            listening?;
            if worker.index() == 0 { Ok(announce(address.into())?) } else { Ok(()) }
        })?);
    }
    let reactor = Reactor::new()?;
    if mode == "udp" {
        let options = DatagramOptions { max_packet_size: 65_535, ..DatagramOptions::default() };
        let transport = reactor.listen_udp_with(format!("127.0.0.1:{port}"), options, echo::Echo)?;
        announce(transport.host())?;
        return reactor.run();
    }
    if mode == "uecho" {
        announce(reactor.listen_unix(port, |_peer| echo::Echo)?.address())?;
        return reactor.run();
    }
    announce(listen(&reactor, &Place::At(&address), mode, &chat::Room::default())?.address())?;
    reactor.run()
}

fn announce(address: Address) -> std::io::Result<()> {
    println!("LISTENING {}", address.port().unwrap_or(0));
    std::io::stdout().flush()
}

enum Place<'a> {
    At(&'a str),
    Listening(&'a TcpListener),
}

impl Place<'_> {
    fn open(&self, reactor: &Reactor, factory: impl Factory + 'static) -> Result<Port> {
        Ok(match self {
            Self::At(address) => reactor.listen_tcp(*address, factory)?,
            Self::Listening(listener) => reactor.adopt_stream_port(listener.try_clone()?, factory)?,
        })
    }
}

fn listen(reactor: &Reactor, place: &Place<'_>, mode: &str, room: &chat::Room) -> Result<Port> {
    match mode {
        "echo" => place.open(reactor, |_peer| echo::Echo),
        "discard" => place.open(reactor, |_peer| bulk::Discard::default()),
        "chargen" => place.open(reactor, |_peer| bulk::Chargen::default()),
        "line" => place.open(reactor, |_peer| line::receiver(line::Line)),
        "zline" => place.open(reactor, |_peer| line::receiver(zline::CompressedLine { flush_each: true })),
        "zlineb" => place.open(reactor, |_peer| line::receiver(zline::CompressedLine { flush_each: false })),
        "zbulk" => {
            let corpus = zbulk::corpus()?;
            place.open(reactor, move |_peer| zbulk::CompressedBulk::new(&corpus))
        }
        "chat" => {
            let room = chat::Room::clone(room);
            place.open(reactor, move |_peer| line::receiver(chat::Member::new(&room)))
        }
        _ => Err(UNKNOWN.into()),
    }
}
