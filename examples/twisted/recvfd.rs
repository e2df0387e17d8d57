//! A client of a UNIX socket that is passed an open file, and prints what is in it. Twisted's `recvfd.py`.
//!
//! Run:    cargo run --example recvfd PATH     (start sendfd first)
//! Expect: the name of the file that `sendfd` was given, and its first 80 bytes.

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
                let mut contents = String::new();
                file.take(80).read_to_string(&mut contents)?;
                println!("received {} with a descriptor; contents: {contents:?}", line.escape_ascii());
            }
        }
        transport.lose_connection();
        Ok(())
    }

    fn connection_lost(&mut self, transport: &LineTransport, _reason: &Reason) -> Result {
        Ok(transport.reactor().stop()?)
    }
}

/// Starts the client on any reactor, which it stops.
pub fn start(reactor: &Reactor, path: &Path) -> Result<Connector> {
    Ok(reactor.connect_unix(path, |_peer| LineReceiver::new(ReceiveFd::default()))?)
}

fn main() -> Result {
    env_logger::init();
    let Some(path) = std::env::args().nth(1) else { return Err("usage: recvfd PATH".into()) };
    let reactor = Reactor::new()?;
    start(&reactor, path.as_ref())?;
    reactor.run()
}
