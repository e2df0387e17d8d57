//! An echo server on any endpoint: where it listens, and which layers its connections start with, is configuration.
//!
//! Run:    cargo run --features tls,zstd --example endpoint_echo ENDPOINT
//!         (tcp:8000, unix:/tmp/echo.sock, ssl:8443:privateKey=key.pem:certKey=cert.pem, haproxy:tcp:8000,
//!         compress:zstd:tcp:8000, stdio: and more: torsade::manual::endpoints lists them all)
//! Try:    endpoint_cat tcp:localhost:8000, then type
//! Expect: each line comes back.

use torsade::prelude::*;
use torsade::wire::Echo;

fn main() -> Result {
    env_logger::init();
    let endpoint = std::env::args().nth(1).ok_or("usage: endpoint_echo ENDPOINT, such as tcp:8000")?;
    let reactor = Reactor::new()?;
    let port = reactor.listen(&endpoint, |_peer| Echo)?;
    // Not on standard output, which may be the connection itself.
    eprintln!("listening on {}", port.address());
    reactor.run()
}
