//! A small MUD: one room, and compression as MUD clients support it (MCCP2, telnet option 86), switched on and off at will.
//!
//! Run:    cargo run --example mccp_server [ENDPOINT]     (default 127.0.0.1:4000)
//! Try:    tt++ (#session x 127.0.0.1 4000) or Mudlet; telnet and nc too, uncompressed
//! Expect: it asks for a name; everyone hears what one says; look, plain and quit are commands.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use torsade::prelude::*;

const IAC: u8 = 255;
const DONT: u8 = 254;
const DO: u8 = 253;
const WILL: u8 = 251;
const SB: u8 = 250;
const SE: u8 = 240;
const COMPRESS2: u8 = 86;

type Room = Rc<RefCell<BTreeMap<u64, (String, Transport)>>>;

struct Player {
    room: Room,
    line: Vec<u8>,
    /// An incomplete telnet command, beginning with its IAC.
    command: Vec<u8>,
}

impl Player {
    fn byte(&mut self, transport: &Transport, byte: u8) -> Result {
        if self.command.is_empty() && byte != IAC {
            match byte {
                b'\n' => return self.say(transport),
                b'\r' => {}
                _ if self.line.len() < 1000 => self.line.push(byte),
                _ => return Err("a line without end".into()),
            }
            return Ok(());
        }
        self.command.push(byte);
        match self.command[..] {
            [IAC, DO, COMPRESS2] => {
                // The last plain bytes: the client inflates everything after them.
                transport.write([IAC, SB, COMPRESS2, IAC, SE]);
                transport.set_compression("deflate")?;
                // The client now expects a stream, so it has to begin even if nothing is written to it.
                transport.flush_compression();
            }
            [IAC, DONT, COMPRESS2] => transport.end_compression(),
            [IAC, SB, .., IAC, SE] | [IAC, WILL..=DONT, _] => {} // an unknown command
            [IAC, SB, ..] if self.command.len() < 1000 => return Ok(()),
            [IAC] | [IAC, WILL..=DONT] => return Ok(()),
            _ => {} // two bytes, or invalid
        }
        self.command.clear();
        Ok(())
    }

    fn say(&mut self, transport: &Transport) -> Result {
        let line = String::from_utf8_lossy(&std::mem::take(&mut self.line)).into_owned();
        let name = self.room.borrow().get(&transport.id()).map(|(name, _)| name.clone());
        match (name, line.as_str()) {
            (None, _) => {
                self.room.borrow_mut().insert(transport.id(), (line.clone(), transport.clone()));
                self.tell(&format!("{line} walks in."));
            }
            (_, "look") => {
                let names: Vec<String> = self.room.borrow().values().map(|(name, _)| name.clone()).collect();
                transport.write(format!("A bare room. You see: {}.\r\n", names.join(", ")));
                transport.write("The walls are covered with the same words, over and over. ".repeat(20) + "\r\n");
            }
            (_, "plain") => {
                transport.end_compression();
                transport.write("From here on you get plain text.\r\n");
            }
            (_, "quit") => transport.lose_connection(),
            (Some(name), line) => self.tell(&format!("{name} says: {line}")),
        }
        Ok(())
    }

    fn tell(&self, text: &str) {
        self.room.borrow().values().for_each(|(_, member)| member.write(format!("{text}\r\n")));
    }
}

impl Protocol for Player {
    fn connection_made(&mut self, transport: &Transport) -> Result {
        transport.write([IAC, WILL, COMPRESS2]);
        transport.write("Welcome. What is your name?\r\n");
        Ok(())
    }

    fn data_received(&mut self, transport: &Transport, data: &[u8]) -> Result {
        data.iter().take_while(|_| !transport.is_closing()).try_for_each(|byte| self.byte(transport, *byte))
    }

    fn connection_lost(&mut self, transport: &Transport, _reason: &Reason) -> Result {
        let gone = self.room.borrow_mut().remove(&transport.id());
        if let Some((name, _)) = gone {
            self.tell(&format!("{name} is gone."));
        }
        if let Some(stats) = transport.compression_stats() {
            println!("{}: {stats}", transport.peer());
        }
        Ok(())
    }
}

/// Starts the server on any reactor, a simulated one as well.
pub fn start(reactor: &Reactor, endpoint: &str) -> Result<Port> {
    let room = Room::default();
    Ok(reactor.listen(endpoint, move |_peer| Player { room: room.clone(), line: Vec::new(), command: Vec::new() })?)
}

fn main() -> Result {
    env_logger::init();
    let endpoint = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:4000".into());
    let reactor = Reactor::new()?;
    let port = start(&reactor, &endpoint)?;
    println!("listening on {}", port.address());
    reactor.run()
}
