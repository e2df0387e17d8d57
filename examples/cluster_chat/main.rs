//! The chat of Twisted's guide (see `chat_server`) on any number of processes that share a hub.
//!
//! Run:    cargo run --features hub --example cluster_chat -- [--listen ADDRESS] [--hub HUB] [--proxy]
//!         ADDRESS defaults to 127.0.0.1:8123; HUB is local: (the default), redis:HOST:PORT or nats:HOST:PORT; with --proxy every
//!         connection must begin with HAProxy's PROXY header, which has the client's address
//! Try:    examples/cluster_chat/run [redis|nats|local]: two processes, a broker, HAProxy, and three people who talk
//! Expect: as in chat_server, whichever process people are connected to: names are unique across all processes, everyone hears everyone
//!         and is told who comes and goes, and newcomers get the last 20 lines. Each process prints who came, from where, and why they
//!         left.
//!
//! The configurations for HAProxy, Redis and NATS, and the output of `run`, are in the same folder. `manual::many_machines` says
//! what is promised, and what happens on failures.

mod room;

use std::cell::RefCell;
use std::rc::Rc;

use room::{Room, Talker};
use torsade::prelude::*;

struct Chat {
    room: Rc<Room>,
    talker: Rc<RefCell<Option<Talker>>>,
}

impl LineProtocol for Chat {
    fn connection_made(&mut self, transport: &LineTransport) -> Result {
        transport.send_line("What's your name?");
        Ok(())
    }

    fn line_received(&mut self, transport: &LineTransport, line: &[u8]) -> Result {
        if let Some(talker) = &*self.talker.borrow() {
            if let Err(error) = self.room.say(talker, line) {
                transport.send_line(format!("* nobody hears you: {error}"));
            }
            return Ok(());
        }
        let name = str::from_utf8(line).unwrap_or_default().to_owned();
        if !(1..=20).contains(&name.len()) || !name.chars().all(char::is_alphanumeric) {
            transport.send_line("A name has 1 to 20 letters and digits, please choose another.");
            return Ok(());
        }
        // Lines after the name wait until the broker has answered.
        transport.pause_producing();
        let (room, talker, lines) = (Rc::clone(&self.room), Rc::clone(&self.talker), transport.clone());
        transport.spawn(move |transport| async move {
            match room.claim(&transport, &name).await {
                Ok(Some(claimed)) => {
                    println!("{name} is at {}", transport.peer());
                    lines.send_line(format!("Welcome, {name}!"));
                    room.join(&claimed, &lines)?;
                    talker.replace(Some(claimed));
                }
                Ok(None) => lines.send_line("Name taken, please choose another."),
                Err(error) => lines.send_line(format!("The room cannot be reached, please try again: {error}")),
            }
            transport.resume_producing();
            Ok(())
        });
        Ok(())
    }

    fn connection_lost(&mut self, _transport: &LineTransport, reason: &Reason) -> Result {
        if let Some(talker) = self.talker.take() {
            println!("{} has gone: {reason}", talker.name);
            self.room.leave(&talker);
        }
        Ok(())
    }
}

/// Starts the server on any reactor, real or simulated.
pub fn start(reactor: &Reactor, listen: ServerEndpoint, hub: &str) -> Result<Port> {
    let room = Room::open(reactor, hub)?;
    Ok(reactor.listen(listen, move |_peer| LineReceiver::new(Chat { room: Rc::clone(&room), talker: Rc::default() }))?)
}

/// Runs the server with these arguments.
pub fn run(mut arguments: impl Iterator<Item = String>) -> Result {
    let (mut listen, mut hub, mut is_proxied) = ("127.0.0.1:8123".to_owned(), "local:".to_owned(), false);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--listen" => listen = arguments.next().ok_or("--listen wants an address")?,
            "--hub" => hub = arguments.next().ok_or("--hub wants local:, redis:HOST:PORT or nats:HOST:PORT")?,
            "--proxy" => is_proxied = true,
            _ => return Err(format!("{argument:?} is not an option: use --listen, --hub or --proxy").into()),
        }
    }
    let endpoint: ServerEndpoint = listen.parse()?;
    let reactor = Reactor::new()?;
    let port = start(&reactor, if is_proxied { endpoint.proxied() } else { endpoint }, &hub)?;
    println!("listening on {}", port.address());
    reactor.run()
}

fn main() -> Result {
    env_logger::init();
    run(std::env::args().skip(1))
}
