//! A client that uses its factory's hooks: says hello, prints the answer, and ends. Twisted's `simpleclient.py`.
//!
//! Run:    cargo run --example echo_client [ENDPOINT]     (default 127.0.0.1:8000; start echo_server first)
//! Expect: "the server said: hello, world!", and exit code 0; without a server, the reason, and exit code 1.

use torsade::prelude::*;

struct EchoClient;

impl Protocol for EchoClient {
    fn connection_made(&mut self, transport: &Transport) -> Result {
        transport.write("hello, world!");
        Ok(())
    }

    fn data_received(&mut self, transport: &Transport, data: &[u8]) -> Result {
        println!("the server said: {}", data.escape_ascii());
        transport.lose_connection();
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
    fn client_connection_failed(&mut self, _connector: &Connector, reason: &ConnectError) -> Result {
        eprintln!("{reason}");
        std::process::exit(1)
    }

    fn client_connection_lost(&mut self, connector: &Connector, reason: &Reason) -> Result {
        println!("{reason}");
        Ok(connector.reactor().stop()?)
    }
}

/// Starts the client on any reactor; it stops the reactor at the end.
pub fn start(reactor: &Reactor, endpoint: &str) -> Result<Connector> {
    Ok(reactor.connect(endpoint, EchoFactory)?)
}

fn main() -> Result {
    env_logger::init();
    let endpoint = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:8000".into());
    let reactor = Reactor::new()?;
    start(&reactor, &endpoint)?;
    reactor.run()
}
