//! Twisted's `MulticastClient.py`: pings a multicast group, and prints what it receives.
//!
//! Run:    cargo run --example multicast_client     (start multicast_server first)
//! Expect: its own ping, because the client is a member too, and the server's pong.

use torsade::prelude::*;
use torsade::{DatagramOptions, MulticastInterface};

struct Ping;

impl DatagramProtocol for Ping {
    fn start_protocol(&mut self, transport: &DatagramTransport) -> Result {
        transport.join_group("228.0.0.5".parse()?, MulticastInterface::Any)?;
        transport.write_to("Client: Ping", &Address::Udp("228.0.0.5:9999".parse()?));
        Ok(())
    }

    fn datagram_received(&mut self, _transport: &DatagramTransport, data: &[u8], from: &Address) -> Result {
        println!("Datagram {} received from {from}", data.escape_ascii());
        Ok(())
    }
}

/// Starts the client on any reactor.
pub fn start(reactor: &Reactor) -> Result<DatagramTransport> {
    let options = DatagramOptions { listen_multiple: true, ..DatagramOptions::default() };
    Ok(reactor.listen_udp_with("0.0.0.0:9999", options, Ping)?)
}

fn main() -> Result {
    env_logger::init();
    let reactor = Reactor::new()?;
    start(&reactor)?;
    reactor.run()
}
