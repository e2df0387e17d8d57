//! Twisted's `simpleclient.py`: sends a message, prints the answer, and closes.
//!
//! Run:    cargo run --example simpleclient [ADDRESS]     (127.0.0.1:8000 unless given; start simpleserv first)
//! Expect: "Server said: hello, world!", "connection lost", "Connection lost - goodbye!".

use torsade::prelude::*;

/// Once connected, sends a message, then prints the result.
struct EchoClient;

impl Protocol for EchoClient {
    fn connection_made(&mut self, transport: &Transport) -> Result {
        transport.write("hello, world!");
        Ok(())
    }

    fn data_received(&mut self, transport: &Transport, data: &[u8]) -> Result {
        println!("Server said: {}", data.escape_ascii());
        transport.lose_connection();
        Ok(())
    }

    fn connection_lost(&mut self, _transport: &Transport, _reason: &Reason) -> Result {
        println!("connection lost");
        Ok(())
    }
}

struct EchoFactory;

impl Factory for EchoFactory {
    fn build_protocol(&mut self, _peer: &Address) -> Option<Box<dyn Protocol>> {
        Some(Box::new(EchoClient))
    }
}

impl ClientFactory for EchoFactory {
    fn client_connection_failed(&mut self, connector: &Connector, _reason: &ConnectError) -> Result {
        println!("Connection failed - goodbye!");
        Ok(connector.reactor().stop()?)
    }

    fn client_connection_lost(&mut self, connector: &Connector, _reason: &Reason) -> Result {
        println!("Connection lost - goodbye!");
        Ok(connector.reactor().stop()?)
    }
}

/// Starts the client on any reactor; it stops the reactor at the end.
pub fn start(reactor: &Reactor, address: &str) -> Result<Connector> {
    Ok(reactor.connect_tcp(address, EchoFactory)?)
}

fn main() -> Result {
    env_logger::init();
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:8000".into());
    let reactor = Reactor::new()?;
    start(&reactor, &address)?;
    reactor.run()
}
