//! Twisted's `MulticastServer.py`: answers each ping to a multicast group with a pong to its sender.
//!
//! Run:    cargo run --example multicast_server
//! Try:    cargo run --example multicast_client, on this machine or another of the network

use torsade::prelude::*;
use torsade::{DatagramOptions, MulticastInterface};

struct PingPong;

impl DatagramProtocol for PingPong {
    fn start_protocol(&mut self, transport: &DatagramTransport) -> Result {
        // Reaches beyond the local network.
        transport.set_ttl(5)?;
        Ok(transport.join_group("228.0.0.5".parse()?, MulticastInterface::Any)?)
    }

    fn datagram_received(&mut self, transport: &DatagramTransport, data: &[u8], from: &Address) -> Result {
        println!("Datagram {} received from {from}", data.escape_ascii());
        if data == b"Client: Ping" {
            // To the sender, not to the group.
            transport.write_to("Server: Pong", from);
        }
        Ok(())
    }
}

/// Starts the server on any reactor.
pub fn start(reactor: &Reactor) -> Result<DatagramTransport> {
    // Lets the client use the same port on the same machine.
    let options = DatagramOptions { listen_multiple: true, ..DatagramOptions::default() };
    Ok(reactor.listen_udp_with("0.0.0.0:9999", options, PingPong)?)
}

fn main() -> Result {
    env_logger::init();
    let reactor = Reactor::new()?;
    println!("listening on {}", start(&reactor)?.host());
    reactor.run()
}
