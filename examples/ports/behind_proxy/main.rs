//! A server behind a proxy, ported: a PROXY header says whose connection it is. The original is `original.py` beside it.
//!
//! Run:    cargo run --example port_behind_proxy [ADDRESS]     (default 127.0.0.1:8126)
//! Try:    printf 'PROXY TCP4 192.0.2.1 192.0.2.2 4000 80\r\nwho\r\n' | nc -N 127.0.0.1 8126
//! Expect: you are 192.0.2.1:4000

use torsade::prelude::*;

struct WhoAmI;

impl LineProtocol for WhoAmI {
    fn line_received(&mut self, transport: &LineTransport, line: &[u8]) -> Result {
        transport.send_line(match line {
            b"who" => format!("you are {}", host_and_port(&transport.peer())),
            b"where" => format!("you came to {}", host_and_port(&transport.host())),
            _ => "say who or where".into(),
        });
        Ok(())
    }
}

/// Without the brackets that an [`Address`] of IPv6 is printed with.
fn host_and_port(address: &Address) -> String {
    match address {
        Address::Tcp(address) => format!("{}:{}", address.ip(), address.port()),
        other => other.to_string(),
    }
}

/// What makes a connection's protocol.
pub fn factory() -> impl Factory {
    |_peer: Address| LineOnlyReceiver::new(WhoAmI)
}

/// Where it listens: as text it would be `haproxy:tcp:8126:interface=127.0.0.1`, as in Twisted.
pub fn endpoint(address: &str) -> Result<ServerEndpoint> {
    Ok(ServerEndpoint::tcp(address)?.proxied())
}

fn main() -> Result {
    env_logger::init();
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:8126".into());
    let reactor = Reactor::new()?;
    let port = reactor.listen(endpoint(&address)?, factory())?;
    println!("listening on {}", port.address());
    reactor.run()
}
