//! The smallest server on a UNIX socket: only programs on this machine can reach it, and it knows who they are.
//!
//! Run:    cargo run --example unix_echo_server [ENDPOINT]     (default unix:/tmp/torsade-echo.sock; unix:@NAME is an
//!         abstract name)
//! Try:    nc -U /tmp/torsade-echo.sock, then type; or echo_client unix:/tmp/torsade-echo.sock
//! Expect: each line comes back, and the server says who has connected. A second server on the same path is refused; after a kill -9
//!         the next one takes over the path; Ctrl-C removes the file.

use torsade::prelude::*;

struct Echo;

impl Protocol for Echo {
    fn connection_made(&mut self, transport: &Transport) -> Result {
        match transport.peer_credentials() {
            Ok(peer) => println!("process {} of user {} has connected", peer.pid, peer.uid),
            Err(error) => println!("somebody has connected: {error}"),
        }
        Ok(())
    }

    fn data_received(&mut self, transport: &Transport, data: &[u8]) -> Result {
        transport.write(data);
        Ok(())
    }
}

/// Starts the server on any reactor, a simulated one as well.
pub fn start(reactor: &Reactor, endpoint: &str) -> Result<Port> {
    Ok(reactor.listen(endpoint, |_peer| Echo)?)
}

fn main() -> Result {
    env_logger::init();
    let endpoint = std::env::args().nth(1).unwrap_or_else(|| "unix:/tmp/torsade-echo.sock".into());
    let reactor = Reactor::new()?;
    let port = start(&reactor, &endpoint)?;
    println!("listening on {}", port.address());
    reactor.run()
}
