//! Twisted's `echoclient_udp.py`: sends three datagrams, each after the answer to the previous one, and ends after the last.
//!
//! Run:    cargo run --example echoclient_udp [ADDRESS]     (default 127.0.0.1:8000; start echoserv_udp first)
//! Expect: the three answers; if nothing listens there, a message, and the end.

use torsade::prelude::*;

struct EchoClient {
    server: Address,
    strings: std::vec::IntoIter<&'static str>,
}

impl EchoClient {
    fn send_datagram(&mut self, transport: &DatagramTransport) -> Result {
        match self.strings.next() {
            Some(datagram) => transport.write(datagram),
            None => transport.reactor().stop()?,
        }
        Ok(())
    }
}

impl DatagramProtocol for EchoClient {
    fn start_protocol(&mut self, transport: &DatagramTransport) -> Result {
        transport.connect(&self.server)?;
        self.send_datagram(transport)
    }

    fn datagram_received(&mut self, transport: &DatagramTransport, data: &[u8], _from: &Address) -> Result {
        println!("Datagram received: {}", data.escape_ascii());
        self.send_datagram(transport)
    }

    // Twisted's client would wait for ever.
    fn connection_refused(&mut self, transport: &DatagramTransport) -> Result {
        println!("nothing listens on {}", self.server);
        Ok(transport.reactor().stop()?)
    }
}

/// Starts the client on any reactor; it stops the reactor at the end.
pub fn start(reactor: &Reactor, server: &str) -> Result<DatagramTransport> {
    let strings = vec!["Hello, world!", "What a fine day it is.", "Bye-bye!"].into_iter();
    let server = server.parse().map_err(|_| format!("{server}: give an IP address and a port, such as 127.0.0.1:8000"))?;
    let client = EchoClient { server: Address::Udp(server), strings };
    Ok(reactor.listen_udp("0.0.0.0:0", client)?)
}

fn main() -> Result {
    env_logger::init();
    let server = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:8000".into());
    let reactor = Reactor::new()?;
    start(&reactor, &server)?;
    reactor.run()
}
