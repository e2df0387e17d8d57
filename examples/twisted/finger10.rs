//! Step 10 of Twisted's finger tutorial, adapted: the answer comes from another server.
//!
//! Twisted's step asks a web server, with a function that Twisted no longer has; this one asks another finger server.
//!
//! Run:    cargo run --example finger10 [ENDPOINT] [UPSTREAM]     (default 127.0.0.1:1179 and 127.0.0.1:1079)
//! Try:    start finger08, and nc -C 127.0.0.1 1179, then: moshez
//! Expect: "Happy and well"; "Internal error in server" without finger08.

use std::time::Duration;

use torsade::prelude::*;

/// Asks for one user. Its Deferred gets the answer, or fails if this is dropped without one.
struct Question {
    user: Vec<u8>,
    answer: Option<Firer<Vec<u8>>>,
}

impl LineProtocol for Question {
    fn connection_made(&mut self, transport: &LineTransport) -> Result {
        transport.send_line(&self.user);
        Ok(())
    }

    fn line_received(&mut self, transport: &LineTransport, line: &[u8]) -> Result {
        transport.lose_connection();
        if let Some(answer) = self.answer.take() {
            answer.callback(line.to_vec());
        }
        Ok(())
    }
}

fn look_up(reactor: &Reactor, upstream: &str, user: &[u8]) -> Deferred<Vec<u8>> {
    let (answer, firer) = Deferred::new();
    let question = LineReceiver::new(Question { user: user.to_vec(), answer: Some(firer) });
    reactor
        .connect_protocol(upstream, (question, answer))
        .add_callback(|answer| answer)
        .add_timeout(Duration::from_secs(5), reactor)
}

struct FingerProtocol {
    upstream: String,
}

impl LineProtocol for FingerProtocol {
    fn line_received(&mut self, transport: &LineTransport, user: &[u8]) -> Result {
        let answer = look_up(transport.reactor(), &self.upstream, user);
        let client = transport.clone();
        transport.spawn(|_| async move {
            client.send_line(answer.await.unwrap_or_else(|_| b"Internal error in server".to_vec()));
            client.lose_connection();
        });
        Ok(())
    }
}

/// Starts the server on any reactor.
pub fn start(reactor: &Reactor, endpoint: &str, upstream: &str) -> Result<Port> {
    let upstream = upstream.to_owned();
    Ok(reactor.listen(endpoint, move |_peer| LineReceiver::new(FingerProtocol { upstream: upstream.clone() }))?)
}

fn main() -> Result {
    env_logger::init();
    let mut args = std::env::args().skip(1);
    let endpoint = args.next().unwrap_or_else(|| "127.0.0.1:1179".into());
    let reactor = Reactor::new()?;
    start(&reactor, &endpoint, &args.next().unwrap_or_else(|| "127.0.0.1:1079".into()))?;
    reactor.run()
}
