//! A line client between the terminal and a server: it sends what is typed, and shows what the server says.
//!
//! Run:    cargo run --example stdin_client [ENDPOINT]     (default 127.0.0.1:8123; start chat_server first)
//! Try:    type a name, then some text; Ctrl-D ends what you send, Ctrl-C the program; in a pipe: ls | stdin_client
//! Expect: the chat. A slow reader, be it the terminal or the server, slows the other side down.

use std::cell::RefCell;
use std::rc::Rc;

use torsade::prelude::*;
use torsade::react;

/// The terminal, once connected.
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
        // The server may still send something.
        self.server.lose_write_connection();
        Ok(())
    }

    fn connection_lost(&mut self, _transport: &LineTransport, _reason: &Reason) -> Result {
        self.server.lose_connection();
        Ok(())
    }
}

/// Shows what the server sends.
struct Server {
    terminal: Slot,
    ended: Option<Firer<Reason>>,
}

impl Protocol for Server {
    fn connection_made(&mut self, transport: &Transport) -> Result {
        // Until there is a terminal to show it.
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

    fn connection_lost(&mut self, _transport: &Transport, reason: &Reason) -> Result {
        if let Some(ended) = self.ended.take() {
            ended.callback(reason.clone());
        }
        Ok(())
    }
}

/// Starts the client on any reactor; returns the reason of its connection's end.
pub fn start(reactor: &Reactor, endpoint: &str) -> Deferred<Reason> {
    let (end, firer) = Deferred::new();
    let server = Server { terminal: Slot::default(), ended: Some(firer) };
    reactor.connect_protocol(endpoint, (server, end)).add_callback(|end| end)
}

fn main() -> Result {
    env_logger::init();
    let endpoint = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:8123".into());
    // The terminal gets the rest before the reactor stops.
    let reason = react(|reactor| async move { Ok(start(&reactor, &endpoint).await?) })?;
    if reason.is_clean() { Ok(()) } else { Err(reason.into()) }
}
