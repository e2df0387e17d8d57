//! The article's server: it switches compression on when a connection is made, and echoes each line.
//!
//! Run:    cargo run --example compressed_server [ENDPOINT]     (default 127.0.0.1:8001)
//! Try:    cargo run --example compressed_client, or Python: zlib.decompressobj().decompress(socket.recv(65536))
//! Expect: everything sent comes back as one zlib stream, flushed once a turn; with RUST_LOG=debug, the bytes saved.

use torsade::prelude::*;

struct Server;

impl LineProtocol for Server {
    fn connection_made(&mut self, transport: &LineTransport) -> Result {
        Ok(transport.set_compression("deflate")?)
    }

    fn line_received(&mut self, transport: &LineTransport, line: &[u8]) -> Result {
        transport.send_line(line);
        Ok(())
    }
}

/// Starts the server on any reactor, a simulated one as well. Lines end in LF, with or without CR, so `nc` can be used.
pub fn start(reactor: &Reactor, endpoint: &str) -> Result<Port> {
    Ok(reactor.listen(endpoint, |_peer| LineReceiver::new(Server).delimiter(b"\n"))?)
}

fn main() -> Result {
    env_logger::init();
    let endpoint = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:8001".into());
    let reactor = Reactor::new()?;
    let port = start(&reactor, &endpoint)?;
    println!("listening on {}", port.address());
    reactor.run()
}
