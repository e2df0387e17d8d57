//! A UDP echo server. With `ask`, a client that asks a server and waits for the answer.
//!
//! Run:    cargo run --example udp_echo                       (a server on 127.0.0.1:8000, or on the address that follows)
//! Try:    cargo run --example udp_echo ask 127.0.0.1:8000    (or: echo hello | nc -u -w 1 127.0.0.1 8000)
//! Expect: the answer, after as many attempts as it takes: datagrams may be lost without notice. If nothing listens there, the client is
//!         told, and ends.

use std::time::Duration;

use torsade::prelude::*;

struct Echo;

impl DatagramProtocol for Echo {
    fn datagram_received(&mut self, transport: &DatagramTransport, data: &[u8], from: &Address) -> Result {
        transport.write_to(data, from);
        Ok(())
    }
}

struct Client {
    server: Address,
}

/// Sends the question, and repeats it every second until the program ends.
fn ask(transport: &DatagramTransport) {
    transport.write("hello");
    let again = transport.clone();
    transport.reactor().call_later(Duration::from_secs(1), move || ask(&again));
}

impl DatagramProtocol for Client {
    fn start_protocol(&mut self, transport: &DatagramTransport) -> Result {
        transport.connect(&self.server)?;
        ask(transport);
        Ok(())
    }

    fn datagram_received(&mut self, transport: &DatagramTransport, data: &[u8], from: &Address) -> Result {
        println!("{from} answers {}", data.escape_ascii());
        Ok(transport.reactor().stop()?)
    }

    fn connection_refused(&mut self, transport: &DatagramTransport) -> Result {
        println!("nothing listens on {}", self.server);
        Ok(transport.reactor().stop()?)
    }
}

/// Starts the server on any reactor, a simulated one as well.
pub fn start(reactor: &Reactor, address: &str) -> Result<DatagramTransport> {
    Ok(reactor.listen_udp(address, Echo)?)
}

/// Starts a client on any reactor; it stops the reactor at the end.
pub fn start_client(reactor: &Reactor, server: &str) -> Result<DatagramTransport> {
    let server = server.parse().map_err(|_| format!("{server}: give an IP address and a port, such as 127.0.0.1:8000"))?;
    Ok(reactor.listen_udp("0.0.0.0:0", Client { server: Address::Udp(server) })?)
}

fn main() -> Result {
    env_logger::init();
    let args: Vec<String> = std::env::args().skip(1).collect();
    let reactor = Reactor::new()?;
    match args.as_slice() {
        [word, server] if word == "ask" => drop(start_client(&reactor, server)?),
        _ => {
            let address = args.first().map_or("127.0.0.1:8000", String::as_str);
            println!("listening on {}", start(&reactor, address)?.host());
        }
    }
    reactor.run()
}
