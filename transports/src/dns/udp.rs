//! One question by UDP.

use std::cell::OnceCell;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::rc::Rc;

use torsade_protocols::{Address, DatagramError, DatagramProtocol, DatagramTransport};
use torsade_reactor::{DatagramOptions, Deferred, Failure, Firer, Reactor, Result, defer};

use super::query::Query;
use crate::ends::reactor_udp::ReactorUdp;

/// The longest answer that is received: more than the 512 bytes of RFC 1035, 4.2.1, which some servers exceed unasked.
const LONGEST: usize = 1232;

/// Waits for the answer, and fires the Deferred.
struct Client {
    server: SocketAddr,
    query: Rc<Query>,
    firer: Option<Firer<Vec<u8>>>,
}

/// Asks the server from a new port, which the system chooses at random. The Deferred gives the message that answers
/// the query; other messages are dropped. Cancelling it closes the socket.
pub(super) fn ask(reactor: &Reactor, server: SocketAddr, query: &Rc<Query>) -> Deferred<Vec<u8>> {
    let any = if server.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let options = DatagramOptions { max_packet_size: LONGEST, ..DatagramOptions::default() };
    let socket = Rc::new(OnceCell::<DatagramTransport>::new());
    let there = Rc::clone(&socket);
    let (answer, firer) = Deferred::with_canceller(move |_| {
        if let Some(transport) = there.get() {
            transport.stop_listening();
        }
    });
    let client = Client { server, query: Rc::clone(query), firer: Some(firer) };
    match reactor.listen_udp_with(SocketAddr::new(any, 0), options, client) {
        Ok(transport) => {
            socket.get_or_init(|| transport);
            answer
        }
        Err(error) => defer::fail(Failure::new(error)),
    }
}

impl Client {
    /// Closes the socket, and then fires the Deferred, so that its callbacks find the socket closed.
    fn end(&mut self, transport: &DatagramTransport, result: Result<Vec<u8>, Failure>) {
        transport.stop_listening();
        if let Some(firer) = self.firer.take() {
            firer.fire(result);
        }
    }
}

impl DatagramProtocol for Client {
    fn start_protocol(&mut self, transport: &DatagramTransport) -> Result {
        // Then the system itself drops what other hosts send.
        match transport.connect(&Address::Udp(self.server)) {
            Ok(()) => transport.write(&self.query.message),
            Err(error) => self.end(transport, Err(Failure::new(error))),
        }
        Ok(())
    }

    fn datagram_received(&mut self, transport: &DatagramTransport, data: &[u8], from: &Address) -> Result {
        if *from == Address::Udp(self.server) && self.query.is_answered_by(data) {
            self.end(transport, Ok(data.to_vec()));
        }
        Ok(())
    }

    fn datagram_truncated(&mut self, _: &DatagramTransport, _: &[u8], _: &Address) -> Result {
        Ok(())
    }

    fn connection_refused(&mut self, transport: &DatagramTransport) -> Result {
        self.end(transport, Err(Failure::new("nothing receives there")));
        Ok(())
    }

    fn write_dropped(&mut self, transport: &DatagramTransport, error: &DatagramError) -> Result {
        self.end(transport, Err(Failure::new(error.to_string())));
        Ok(())
    }
}
