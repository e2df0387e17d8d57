//! A server on a UNIX socket that passes an open file and its name to each client. Twisted's `sendfd.py`.
//!
//! Run:    cargo run --example sendfd PATH FILE     (for example sendfd /tmp/sendfd.sock /etc/hostname)
//! Try:    cargo run --example recvfd /tmp/sendfd.sock
//! Expect: the client prints the file, without needing permission to open it.

use std::fs::File;
use std::path::Path;

use torsade::prelude::*;

struct SendFd(String);

impl LineProtocol for SendFd {
    fn connection_made(&mut self, transport: &LineTransport) -> Result {
        let file = File::open(&self.0).map_err(|error| format!("cannot open {}: {error}", self.0))?;
        transport.send_descriptor(file)?;
        // The descriptor is sent with the line, and is received before it.
        transport.send_line(&self.0);
        transport.lose_connection();
        Ok(())
    }

    fn line_received(&mut self, _transport: &LineTransport, _line: &[u8]) -> Result {
        Ok(())
    }
}

/// Starts the server on any reactor, a simulated one as well.
pub fn start(reactor: &Reactor, path: &Path, file: &str) -> Result<Port> {
    let file = file.to_owned();
    Ok(reactor.listen(ServerEndpoint::unix(path), move |_peer| LineReceiver::new(SendFd(file.clone())))?)
}

fn main() -> Result {
    env_logger::init();
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [path, file] = args.as_slice() else { return Err("usage: sendfd PATH FILE".into()) };
    let reactor = Reactor::new()?;
    let port = start(&reactor, path.as_ref(), file)?;
    println!("listening on {}", port.address());
    reactor.run()
}
