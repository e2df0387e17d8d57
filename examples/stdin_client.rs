//! A line client between the terminal and a server: what is typed goes there, what it says is shown.
//!
//! Run:    cargo run --example stdin_client [ADDRESS]     (127.0.0.1:8123 unless given; start chat_server first)
//! Try:    type a name, then some text; Ctrl-D ends what you send, Ctrl-C the program; in a pipe: ls | stdin_client
//! Expect: the chat. Who reads slowly, the terminal or the server, slows the other down.

use std::cell::RefCell;
use std::rc::Rc;

use torsade::prelude::*;

/// The terminal, once it is there.
type Slot = Rc<RefCell<Option<Transport>>>;

/// Reads lines from the terminal.
struct Terminal {
    own: Slot,
    server: Transport,
}

impl LineProtocol for Terminal {
    fn connection_made(&mut self, transport: &LineTransport) -> Result {
        let terminal = Transport::clone(transport);
        terminal.register_producer(self.server.clone(), true)?;
        self.server.register_producer(terminal.clone(), true)?;
        self.own.replace(Some(terminal));
        self.server.resume_producing();
        Ok(())
    }

    fn line_received(&mut self, _transport: &LineTransport, line: &[u8]) -> Result {
        self.server.write_sequence(&[line, b"\r\n"]);
        Ok(())
    }

    fn read_connection_lost(&mut self, _transport: &LineTransport) -> Result {
        // The server may have more to say.
        self.server.lose_write_connection();
        Ok(())
    }

    fn connection_lost(&mut self, _transport: &LineTransport, _reason: &Reason) -> Result {
        self.server.lose_connection();
        Ok(())
    }
}

/// Shows what the server says.
#[derive(Default)]
struct Server {
    terminal: Slot,
}

impl Protocol for Server {
    fn connection_made(&mut self, transport: &Transport) -> Result {
        // Until there is somewhere to show it.
        transport.pause_producing();
        let terminal = Terminal { own: self.terminal.clone(), server: transport.clone() };
        Ok(transport.reactor().standard_io(LineReceiver::new(terminal).delimiter(b"\n"))?)
    }

    fn data_received(&mut self, _transport: &Transport, data: &[u8]) -> Result {
        if let Some(terminal) = &*self.terminal.borrow() {
            terminal.write(data);
        }
        Ok(())
    }
}

/// Ends the program with its connection.
struct Connecting;

impl Factory for Connecting {
    fn build_protocol(&mut self, _peer: &Address) -> Option<Box<dyn Protocol>> {
        Some(Box::new(Server::default()))
    }
}

impl ClientFactory for Connecting {
    fn client_connection_failed(&mut self, connector: &Connector, reason: &ConnectError) -> Result {
        eprintln!("{}: {reason}", connector.destination());
        std::process::exit(1)
    }

    fn client_connection_lost(&mut self, connector: &Connector, reason: &Reason) -> Result {
        if !reason.is_clean() {
            eprintln!("{}: {reason}", connector.destination());
        }
        // What is still to be shown is shown before that.
        if !connector.reactor().is_stopping() {
            connector.reactor().stop()?;
        }
        Ok(())
    }
}

/// Starts the client on any reactor; it stops the reactor at the end.
pub fn start(reactor: &Reactor, address: &str) -> Result<Connector> {
    Ok(reactor.connect_tcp(address, Connecting)?)
}

fn main() -> Result {
    env_logger::init();
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:8123".into());
    let reactor = Reactor::new()?;
    start(&reactor, &address)?;
    reactor.run()
}
