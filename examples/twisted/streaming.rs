//! Twisted's `streaming.py`: sends as many random numbers as requested, no faster than the client takes them.
//!
//! Run:    cargo run --example streaming [ENDPOINT]     (default 127.0.0.1:1234)
//! Try:    nc -C 127.0.0.1 1234, then: 1000000
//! Expect: a million lines; the server holds at most 6 KB of them at a time.

use torsade::prelude::*;

/// A pull producer: writes a piece whenever the one before has been sent. (Twisted's is a push producer, which has to expect a
/// pause inside its own write.)
struct Numbers {
    left: u64,
}

impl Producer for Numbers {
    fn resume_producing(&mut self, consumer: &Transport) -> Result {
        let piece = self.left.min(1000);
        for _ in 0..piece {
            consumer.write(format!("{}\r\n", consumer.reactor().random() % 10_000));
        }
        self.left -= piece;
        if self.left == 0 {
            consumer.unregister_producer();
            consumer.lose_connection();
        }
        Ok(())
    }
}

struct ServeRandom;

impl LineProtocol for ServeRandom {
    fn connection_made(&mut self, transport: &LineTransport) -> Result {
        println!("Connection made from {}", transport.peer());
        transport.send_line("How many random integers do you want?");
        Ok(())
    }

    fn line_received(&mut self, transport: &LineTransport, line: &[u8]) -> Result {
        let left = std::str::from_utf8(line)?.trim().parse()?;
        println!("Client requested {left} random integers!");
        Ok(transport.register_producer(Numbers { left }, false)?)
    }

    fn connection_lost(&mut self, transport: &LineTransport, _reason: &Reason) -> Result {
        println!("Connection lost from {}", transport.peer());
        Ok(())
    }
}

/// Starts the server on any reactor.
pub fn start(reactor: &Reactor, endpoint: &str) -> Result<Port> {
    Ok(reactor.listen(endpoint, |_peer| LineReceiver::new(ServeRandom))?)
}

fn main() -> Result {
    env_logger::init();
    let endpoint = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:1234".into());
    let reactor = Reactor::new()?;
    start(&reactor, &endpoint)?;
    reactor.run()
}
