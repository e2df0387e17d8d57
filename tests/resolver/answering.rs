//! A name server that a test scripts, with messages written by hand.

use std::cell::RefCell;
use std::net::IpAddr;
use std::rc::Rc;
use std::time::Duration;

use torsade::DatagramOptions;
use torsade::prelude::*;
use torsade::simulated::Host;

pub const A: u16 = 1;
pub const AAAA: u16 = 28;
const CNAME: u16 = 5;
const SOA: u16 = 6;

#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Asked {
    pub name: String,
    pub kind: u16,
    pub tcp: bool,
    pub message: Vec<u8>,
}

/// A reply, and the delay before it.
pub type Reply = (Duration, Vec<u8>);

/// Decides how to answer each query.
pub type Decide = dyn Fn(&Asked) -> Vec<Reply>;

#[derive(Clone)]
pub struct Server {
    decide: Rc<Decide>,
    asked: Rc<RefCell<Vec<Asked>>>,
}

impl Server {
    /// Starts to answer on port 53 of the host.
    pub fn start(host: &Host, decide: impl Fn(&Asked) -> Vec<Reply> + 'static) -> Self {
        let server = Self { decide: Rc::new(decide), asked: Rc::default() };
        let by_tcp = server.clone();
        host.listen_udp_with("[::]:53", DatagramOptions::default(), server.clone()).unwrap();
        host.listen_tcp("[::]:53", move |_peer| Int16StringReceiver::new(by_tcp.clone())).unwrap();
        server
    }

    /// The queries since the last call, as `NAME A` or `NAME AAAA`, followed by ` tcp` if it was TCP.
    pub fn take_asked(&self) -> Vec<String> {
        let mut asked: Vec<_> = self
            .asked
            .take()
            .iter()
            .map(|asked| {
                let kind = if asked.kind == A { "A" } else { "AAAA" };
                format!("{} {kind}{}", asked.name, if asked.tcp { " tcp" } else { "" })
            })
            .collect();
        // The order of a name's two queries is not defined.
        asked.chunks_mut(2).for_each(<[_]>::sort);
        asked
    }

    fn answers(&self, message: &[u8], tcp: bool) -> Vec<Reply> {
        let (name, rest) = read_name(&message[12..]);
        let asked = Asked { name, kind: u16::from_be_bytes([rest[0], rest[1]]), tcp, message: message.to_vec() };
        self.asked.borrow_mut().push(asked.clone());
        (self.decide)(&asked)
    }
}

impl DatagramProtocol for Server {
    fn datagram_received(&mut self, transport: &DatagramTransport, data: &[u8], from: &Address) -> Result {
        for (delay, message) in self.answers(data, false) {
            let (transport, from) = (transport.clone(), from.clone());
            transport.reactor().clone().call_later(delay, move || transport.write_to(message, &from));
        }
        Ok(())
    }
}

impl StringProtocol for Server {
    fn string_received(&mut self, transport: &StringFrameTransport, string: &[u8]) -> Result {
        let replies = self.answers(string, true);
        if replies.is_empty() {
            transport.lose_connection();
        }
        for (delay, message) in replies {
            let transport = transport.clone();
            transport.reactor().clone().call_later(delay, move || transport.send_string(message).unwrap());
        }
        Ok(())
    }
}

/// A reply without delay.
pub fn now(message: Vec<u8>) -> Vec<Reply> {
    vec![(Duration::ZERO, message)]
}

pub struct Record {
    name: String,
    kind: u16,
    ttl: u32,
    data: Vec<u8>,
}

pub fn address(name: &str, ip: &str, ttl: u32) -> Record {
    let (kind, data) = match ip.parse().unwrap() {
        IpAddr::V4(ip) => (A, ip.octets().to_vec()),
        IpAddr::V6(ip) => (AAAA, ip.octets().to_vec()),
    };
    Record { name: name.to_owned(), kind, ttl, data }
}

pub fn alias(name: &str, target: &str, ttl: u32) -> Record {
    Record { name: name.to_owned(), kind: CNAME, ttl, data: write_name(target) }
}

/// The answer with the records of the requested type, and all aliases.
pub fn answer(asked: &Asked, records: Vec<Record>) -> Vec<u8> {
    let records: Vec<_> = records.into_iter().filter(|record| [asked.kind, CNAME].contains(&record.kind)).collect();
    message(asked, 0, &records, &[])
}

/// The answer that there is no such name, valid for `ttl` seconds.
pub fn no_such_name(asked: &Asked, ttl: u32) -> Vec<u8> {
    let mut data = [write_name("ns.test"), write_name("admin.test")].concat();
    data.extend([1_u32, 2, 3, 4, ttl].map(u32::to_be_bytes).concat());
    message(asked, 3, &[], &[Record { name: "test".to_owned(), kind: SOA, ttl: 3600, data }])
}

/// An answer that consists of a response code.
pub fn code(asked: &Asked, code: u8) -> Vec<u8> {
    message(asked, code, &[], &[])
}

pub fn truncated(asked: &Asked) -> Vec<u8> {
    let mut message = message(asked, 0, &[], &[]);
    message[2] |= 0b10;
    message
}

fn message(asked: &Asked, code: u8, answers: &[Record], authorities: &[Record]) -> Vec<u8> {
    let mut message = asked.message.clone();
    message[2] |= 0x80;
    message[3] = 0x80 | code;
    message[6..8].copy_from_slice(&(answers.len() as u16).to_be_bytes());
    message[8..10].copy_from_slice(&(authorities.len() as u16).to_be_bytes());
    for record in answers.iter().chain(authorities) {
        message.extend(write_name(&record.name));
        message.extend([record.kind, 1].map(u16::to_be_bytes).concat());
        message.extend(record.ttl.to_be_bytes());
        message.extend((record.data.len() as u16).to_be_bytes());
        message.extend(&record.data);
    }
    message
}

fn write_name(name: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    for label in name.split('.').filter(|label| !label.is_empty()) {
        bytes.push(label.len() as u8);
        bytes.extend(label.as_bytes());
    }
    bytes.push(0);
    bytes
}

fn read_name(mut bytes: &[u8]) -> (String, &[u8]) {
    let mut labels = Vec::new();
    loop {
        let length = usize::from(bytes[0]);
        let label = &bytes[1..=length];
        bytes = &bytes[1 + length..];
        if length == 0 {
            return (labels.join("."), bytes);
        }
        labels.push(String::from_utf8_lossy(label).into_owned());
    }
}
