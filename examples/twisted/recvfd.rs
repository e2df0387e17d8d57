//! A client of a UNIX socket that is passed an open file, and prints what is in it. Twisted's `recvfd.py`.
//!
//! Run:    cargo run --example recvfd PATH     (start sendfd first)
//! Expect: the name of the file that `sendfd` was given, and its first 80 bytes; without a server, why not, and exit code 1.

use std::fs::File;
use std::io::Read;
use std::os::fd::OwnedFd;
use std::path::Path;

use torsade::prelude::*;

#[derive(Default)]
struct ReceiveFd(Option<File>);

impl LineProtocol for ReceiveFd {
    fn connection_made(&mut self, transport: &LineTransport) -> Result {
        Ok(transport.set_descriptor_limit(1)?)
    }

    fn descriptor_received(&mut self, _transport: &LineTransport, descriptor: OwnedFd) -> Result {
        self.0 = Some(descriptor.into());
        Ok(())
    }

    fn line_received(&mut self, transport: &LineTransport, line: &[u8]) -> Result {
        match &mut self.0 {
            None => println!("received {} without receiving a descriptor", line.escape_ascii()),
            Some(file) => {
                let mut contents = Vec::new();
                file.take(80).read_to_end(&mut contents)?;
                println!("received {} with a descriptor; contents: \"{}\"", line.escape_ascii(), contents.escape_ascii());
            }
        }
        transport.lose_connection();
        Ok(())
    }
}

struct ReceiveFdFactory;

impl Factory for ReceiveFdFactory {
    fn build_protocol(&mut self, _peer: &Address) -> Option<Box<dyn Protocol>> {
        Some(Box::new(LineReceiver::new(ReceiveFd::default())))
    }
}

impl ClientFactory for ReceiveFdFactory {
    fn client_connection_failed(&mut self, connector: &Connector, reason: &ConnectError) -> Result {
        eprintln!("{}: {reason}", connector.destination());
        std::process::exit(1)
    }

    fn client_connection_lost(&mut self, connector: &Connector, reason: &Reason) -> Result {
        eprintln!("{reason}");
        Ok(connector.reactor().stop()?)
    }
}

/// Starts the client on any reactor, which it stops.
pub fn start(reactor: &Reactor, path: &Path) -> Result<Connector> {
    Ok(reactor.connect_unix(path, ReceiveFdFactory)?)
}

fn main() -> Result {
    env_logger::init();
    let Some(path) = std::env::args().nth(1) else { return Err("usage: recvfd PATH".into()) };
    let reactor = Reactor::new()?;
    start(&reactor, path.as_ref())?;
    reactor.run()
}
