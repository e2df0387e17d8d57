//! Twisted's `echoclient.py`: sends three lines, prints what comes back, and ends after the last.
//!
//! Run:    cargo run --example echoclient [ENDPOINT]     (default 127.0.0.1:8000; start echo_server first)
//! Expect: the three lines, and "connection lost".

use torsade::prelude::*;

const END: &[u8] = b"Bye-bye!";

struct EchoClient;

impl LineProtocol for EchoClient {
    fn connection_made(&mut self, transport: &LineTransport) -> Result {
        transport.send_line("Hello, world!");
        transport.send_line("What a fine day it is.");
        transport.send_line(END);
        Ok(())
    }

    fn line_received(&mut self, transport: &LineTransport, line: &[u8]) -> Result {
        println!("receive: {}", line.escape_ascii());
        if line == END {
            transport.lose_connection();
        }
        Ok(())
    }
}

struct EchoClientFactory;

impl Factory for EchoClientFactory {
    fn build_protocol(&mut self, _peer: &Address) -> Option<Box<dyn Protocol>> {
        Some(Box::new(LineReceiver::new(EchoClient)))
    }
}

impl ClientFactory for EchoClientFactory {
    fn client_connection_failed(&mut self, connector: &Connector, reason: &ConnectError) -> Result {
        println!("connection failed: {reason}");
        Ok(connector.reactor().stop()?)
    }

    fn client_connection_lost(&mut self, connector: &Connector, reason: &Reason) -> Result {
        println!("connection lost: {reason}");
        Ok(connector.reactor().stop()?)
    }
}

/// Starts the client on any reactor; it stops the reactor at the end.
pub fn start(reactor: &Reactor, endpoint: &str) -> Result<Connector> {
    Ok(reactor.connect(endpoint, EchoClientFactory)?)
}

fn main() -> Result {
    env_logger::init();
    let endpoint = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:8000".into());
    let reactor = Reactor::new()?;
    start(&reactor, &endpoint)?;
    reactor.run()
}
