//! One question by TCP (RFC 7766): for answers that do not fit into UDP.

use std::cell::RefCell;
use std::net::SocketAddr;
use std::rc::Rc;

use torsade_protocols::{Int16StringReceiver, Reason, StringFrameTransport, StringProtocol, Transport};
use torsade_reactor::{Deferred, Failure, Firer, Reactor, Result};

use super::query::Query;
use crate::endpoints::reactor_endpoints::ReactorEndpoints;

/// The longest answer that is read, in bytes: about 500 addresses. The worst message of this length, whose names are long chains
/// of pointers, takes 2 ms to parse, and the time grows with the square of the length.
const LONGEST: usize = 8 << 10;

/// The Deferred that waits for the answer, once the connection is established.
type Waiting = Rc<RefCell<Option<Firer<Vec<u8>>>>>;

struct Client {
    query: Rc<Query>,
    waiting: Waiting,
}

/// Asks the server over a new connection. The Deferred gives the message that answers the query; any other message,
/// or the connection's end, is an error. Cancelling it closes the connection.
pub(super) fn ask(reactor: &Reactor, server: SocketAddr, query: &Rc<Query>) -> Deferred<Vec<u8>> {
    let waiting = Waiting::default();
    let client = Int16StringReceiver::new(Client { query: Rc::clone(query), waiting: Rc::clone(&waiting) });
    let connected = reactor.connect_protocol(server, client.max_length(LONGEST));
    connected.add_callback(move |transport: Transport| {
        let (answer, firer) = Deferred::with_canceller(move |_| transport.abort_connection());
        waiting.replace(Some(firer));
        answer
    })
}

impl Client {
    fn end(&self, transport: &StringFrameTransport, result: Result<Vec<u8>, Failure>) {
        transport.lose_connection();
        let waiting = self.waiting.take();
        if let Some(waiting) = waiting {
            waiting.fire(result);
        }
    }
}

impl StringProtocol for Client {
    fn connection_made(&mut self, transport: &StringFrameTransport) -> Result {
        Ok(transport.send_string(&self.query.message)?)
    }

    fn string_received(&mut self, transport: &StringFrameTransport, string: &[u8]) -> Result {
        let answer = if self.query.is_answered_by(string) {
            Ok(string.to_vec())
        } else {
            Err(Failure::new("the reply over TCP does not answer the question"))
        };
        self.end(transport, answer);
        Ok(())
    }

    fn length_limit_exceeded(&mut self, transport: &StringFrameTransport, length: usize) -> Result {
        self.end(transport, Err(Failure::new(format!("an answer of {length} bytes is too long"))));
        Ok(())
    }

    fn connection_lost(&mut self, transport: &StringFrameTransport, reason: &Reason) -> Result {
        self.end(transport, Err(Failure::new(reason.clone())));
        Ok(())
    }
}
