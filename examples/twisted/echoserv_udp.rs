//! Twisted's `echoserv_udp.py`: sends every datagram back.
//!
//! Run:    cargo run --example echoserv_udp [ADDRESS]     (default 127.0.0.1:8000)
//! Try:    cargo run --example echoclient_udp

use torsade::prelude::*;

struct EchoUdp;

impl DatagramProtocol for EchoUdp {
    fn datagram_received(&mut self, transport: &DatagramTransport, data: &[u8], from: &Address) -> Result {
        transport.write_to(data, from);
        Ok(())
    }
}

/// Starts the server on any reactor.
pub fn start(reactor: &Reactor, address: &str) -> Result<DatagramTransport> {
    Ok(reactor.listen_udp(address, EchoUdp)?)
}

fn main() -> Result {
    env_logger::init();
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:8000".into());
    let reactor = Reactor::new()?;
    println!("listening on {}", start(&reactor, &address)?.host());
    reactor.run()
}
