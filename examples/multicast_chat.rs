//! A chat without a server: everyone in the multicast group hears everyone.
//!
//! Run:    cargo run --example multicast_chat [NAME]     (in two terminals, or on two machines of one network)
//! Expect: a line typed in one appears in all, including the sender; the end of the input (Ctrl-D) ends the program.

use std::net::Ipv4Addr;

use torsade::prelude::*;
use torsade::{DatagramOptions, Escaped, MulticastInterface};

const GROUP: Ipv4Addr = Ipv4Addr::new(239, 255, 70, 77);
const PORT: u16 = 8005;

/// Prints what others send.
struct Member;

impl DatagramProtocol for Member {
    fn start_protocol(&mut self, transport: &DatagramTransport) -> Result {
        transport.join_group(GROUP.into(), MulticastInterface::Any)?;
        transport.write_to("(has come)", &group());
        Ok(())
    }

    fn datagram_received(&mut self, _transport: &DatagramTransport, data: &[u8], from: &Address) -> Result {
        println!("{from}: {}", Escaped(String::from_utf8_lossy(data)));
        Ok(())
    }
}

/// Sends what is typed.
struct Keyboard {
    name: String,
    member: DatagramTransport,
}

impl LineProtocol for Keyboard {
    fn line_received(&mut self, _transport: &LineTransport, line: &[u8]) -> Result {
        self.member.write_to([self.name.as_bytes(), b": ", line].concat(), &group());
        Ok(())
    }

    fn connection_lost(&mut self, transport: &LineTransport, _reason: &Reason) -> Result {
        Ok(transport.reactor().stop()?)
    }
}

fn group() -> Address {
    Address::Udp((GROUP, PORT).into())
}

/// Joins on any reactor, a simulated one as well.
pub fn start(reactor: &Reactor) -> Result<DatagramTransport> {
    // Lets several programs on one machine join.
    let options = DatagramOptions { listen_multiple: true, ..DatagramOptions::default() };
    Ok(reactor.listen_udp_with(("0.0.0.0", PORT), options, Member)?)
}

fn main() -> Result {
    env_logger::init();
    let name = std::env::args().nth(1).unwrap_or_else(|| std::process::id().to_string());
    let reactor = Reactor::new()?;
    let member = start(&reactor)?;
    reactor.standard_io(LineReceiver::new(Keyboard { name, member }).delimiter(b"\n"))?;
    reactor.run()
}
