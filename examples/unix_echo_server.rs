//! The smallest server, on a UNIX socket: only programs of this machine reach it, and it knows who they are.
//!
//! Run:    cargo run --example unix_echo_server [PATH]     (/tmp/torsade-echo.sock unless given; with @ before it an abstract name)
//! Try:    nc -U /tmp/torsade-echo.sock, or socat - UNIX-CONNECT:/tmp/torsade-echo.sock, then type
//! Expect: each line comes back, and the server says who has connected. A second server on the same path is refused; after a
//!         kill -9 the next one gets it; Ctrl-C removes the file.

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
pub fn start(reactor: &Reactor, path: &str) -> Result<Port> {
    Ok(reactor.listen_unix(name(path), |_peer| Echo)?)
}

fn name(path: &str) -> UnixName {
    path.strip_prefix('@').map_or_else(|| path.into(), |name| UnixName::Abstract(name.into()))
}

fn main() -> Result {
    env_logger::init();
    let path = std::env::args().nth(1).unwrap_or_else(|| "/tmp/torsade-echo.sock".into());
    let reactor = Reactor::new()?;
    let port = start(&reactor, &path)?;
    println!("listening on {}", port.address());
    reactor.run()
}
