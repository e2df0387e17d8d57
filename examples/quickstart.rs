//! The article's server and client in one process: one side switches compression on, the other detects it.
//!
//! Run:    cargo run --release --example quickstart
//! Expect: three lines there and back, the size of the answers before and after compression, exit code 0.

use torsade::{Escaped, prelude::*};

struct Server;

impl LineProtocol for Server {
    fn connection_made(&mut self, transport: &LineTransport) -> Result {
        transport.set_compression("deflate")?;
        transport.send_line("welcome: what you get is compressed, what you see is not");
        Ok(())
    }

    fn line_received(&mut self, transport: &LineTransport, line: &[u8]) -> Result {
        let line = String::from_utf8_lossy(line);
        println!("server got:  {}", Escaped(&line));
        transport.send_line(format!("you said {line}, and {}", format!("{line}, ").repeat(20)));
        Ok(())
    }

    fn connection_lost(&mut self, transport: &LineTransport, _reason: &Reason) -> Result {
        let stats = transport.compression_stats().ok_or("compression was never on")?;
        println!("server sent: {} bytes as {} on the wire ({})", stats.plain_out, stats.wire_out, Format::Deflate);
        Ok(())
    }
}

struct Client {
    words: Vec<&'static str>,
}

impl LineProtocol for Client {
    fn line_received(&mut self, transport: &LineTransport, line: &[u8]) -> Result {
        println!("client got:  {}", Escaped(String::from_utf8_lossy(line)));
        match self.words.pop() {
            Some(word) => transport.send_line(word),
            None => transport.lose_connection(),
        }
        Ok(())
    }

    fn connection_lost(&mut self, transport: &LineTransport, _reason: &Reason) -> Result {
        // The server's side finishes first.
        Ok(transport.reactor().stop()?)
    }
}

/// Starts the server on any reactor, a simulated one as well.
pub fn start_server(reactor: &Reactor, endpoint: &str) -> Result<Port> {
    Ok(reactor.listen(endpoint, |_peer| LineReceiver::new(Server))?)
}

/// Starts the client.
pub fn start_client(reactor: &Reactor, endpoint: &str) -> Result<Connector> {
    Ok(reactor.connect(endpoint, |_peer| LineReceiver::new(Client { words: vec!["three", "two", "one"] }))?)
}

fn main() -> Result {
    env_logger::init();
    let reactor = Reactor::new()?;
    let port = start_server(&reactor, "127.0.0.1:0")?;
    start_client(&reactor, &port.address().to_string())?;
    reactor.run()
}
