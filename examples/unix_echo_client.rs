//! A client of a UNIX socket: says hello, prints the answer, and ends.
//!
//! Run:    cargo run --example unix_echo_client [PATH]     (/tmp/torsade-echo.sock unless given; start unix_echo_server first)
//! Expect: "the server said: hello, world!", how the connection ended, and exit code 0; without a server, why not, and exit code 1.

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
    fn client_connection_failed(&mut self, connector: &Connector, reason: &ConnectError) -> Result {
        eprintln!("{}: {reason}", connector.destination());
        std::process::exit(1)
    }

    fn client_connection_lost(&mut self, connector: &Connector, reason: &Reason) -> Result {
        println!("{reason}");
        Ok(connector.reactor().stop()?)
    }
}

fn main() -> Result {
    env_logger::init();
    let path = std::env::args().nth(1).unwrap_or_else(|| "/tmp/torsade-echo.sock".into());
    let name = path.strip_prefix('@').map_or_else(|| path.as_str().into(), |name| UnixName::Abstract(name.into()));
    let reactor = Reactor::new()?;
    reactor.connect_unix(name, EchoFactory)?;
    reactor.run()
}
