//! A client of a UNIX socket that receives an open file, and prints its content. Twisted's `recvfd.py`.
//!
//! Run:    cargo run --example recvfd PATH     (start sendfd first)
//! Expect: the name of the file that `sendfd` was given, and its first 80 bytes; without a server, the reason, and exit code 1.

use std::fs::File;
use std::io::Read;
use std::os::fd::OwnedFd;

use torsade::prelude::*;
use torsade::react;

struct ReceiveFd {
    file: Option<File>,
    when_disconnected: Option<Firer<()>>,
}

impl LineProtocol for ReceiveFd {
    fn connection_made(&mut self, transport: &LineTransport) -> Result {
        Ok(transport.set_descriptor_limit(1)?)
    }

    fn descriptor_received(&mut self, _transport: &LineTransport, descriptor: OwnedFd) -> Result {
        self.file = Some(descriptor.into());
        Ok(())
    }

    fn line_received(&mut self, transport: &LineTransport, line: &[u8]) -> Result {
        match &mut self.file {
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

    fn connection_lost(&mut self, _transport: &LineTransport, reason: &Reason) -> Result {
        eprintln!("{reason}");
        self.when_disconnected.take().ok_or("it was lost before")?.callback(());
        Ok(())
    }
}

fn main() -> Result {
    env_logger::init();
    let Some(path) = std::env::args().nth(1) else { return Err("usage: recvfd PATH".into()) };
    react(|reactor| async move {
        let (disconnected, firer) = Deferred::new();
        let protocol = LineReceiver::new(ReceiveFd { file: None, when_disconnected: Some(firer) });
        Ok(reactor.connect_protocol(ClientEndpoint::unix(path), (protocol, disconnected)).await?.await?)
    })
}
