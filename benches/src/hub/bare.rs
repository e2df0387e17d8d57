//! Bare clients of a broker: a publishing and a subscribed socket that know no more of the protocol than necessary.

use std::io::{Read, Write};
use std::net::TcpStream;

use torsade::prelude::*;

/// Publishes and receives on its topic, with blocking calls.
pub struct Bare {
    publisher: TcpStream,
    subscriber: TcpStream,
    /// A publication on the wire, the length of its answer, and the length of the message that the subscriber receives.
    publication: Vec<u8>,
    answer: usize,
    message: usize,
    buffer: Vec<u8>,
}

impl Bare {
    pub fn redis(port: u16, topic: &str, payload: &[u8]) -> Result<Self> {
        let [publisher, mut subscriber] = connected(port)?;
        let subscribed = format!("*3\r\n$9\r\nsubscribe\r\n{}:1\r\n", bulk(topic.as_bytes()));
        subscriber.write_all(format!("*2\r\n$9\r\nSUBSCRIBE\r\n{}", bulk(topic.as_bytes())).as_bytes())?;
        subscriber.read_exact(&mut vec![0; subscribed.len()])?;
        let what = format!("{}{}", bulk(topic.as_bytes()), bulk(payload));
        let publication = format!("*3\r\n$7\r\nPUBLISH\r\n{what}").into_bytes();
        let message = format!("*3\r\n$7\r\nmessage\r\n{what}").len();
        Ok(Self::new(publisher, subscriber, publication, b":1\r\n".len(), message))
    }

    pub fn nats(port: u16, topic: &str, payload: &[u8]) -> Result<Self> {
        let [mut publisher, mut subscriber] = connected(port)?;
        for stream in [&mut publisher, &mut subscriber] {
            stream.write_all(b"CONNECT {\"verbose\":false,\"pedantic\":false}\r\n")?;
        }
        subscriber.write_all(format!("SUB {topic} 1\r\n").as_bytes())?;
        for stream in [&mut publisher, &mut subscriber] {
            stream.write_all(b"PING\r\n")?;
            // INFO comes first.
            let mut said = Vec::new();
            while !said.ends_with(b"PONG\r\n") {
                let mut byte = [0];
                stream.read_exact(&mut byte)?;
                said.push(byte[0]);
            }
        }
        let rest = format!("{}\r\n{}\r\n", payload.len(), String::from_utf8_lossy(payload));
        let message = format!("MSG {topic} 1 {rest}").len();
        Ok(Self::new(publisher, subscriber, format!("PUB {topic} {rest}").into_bytes(), 0, message))
    }

    fn new(publisher: TcpStream, subscriber: TcpStream, publication: Vec<u8>, answer: usize, message: usize) -> Self {
        Self { publisher, subscriber, publication, answer, message, buffer: vec![0; 64 << 10] }
    }

    /// Publishes this many messages at once, and reads until all have arrived.
    pub fn publish(&mut self, count: usize) -> Result {
        self.publisher.write_all(&self.publication.repeat(count))?;
        for (stream, length) in [(&mut self.subscriber, self.message), (&mut self.publisher, self.answer)] {
            let mut left = length * count;
            while left > 0 {
                let room = left.min(self.buffer.len());
                match stream.read(&mut self.buffer[..room])? {
                    0 => return Err("the broker has closed".into()),
                    got => left -= got,
                }
            }
        }
        Ok(())
    }
}

fn connected(port: u16) -> Result<[TcpStream; 2]> {
    let connect = || -> Result<TcpStream> {
        let stream = TcpStream::connect(("127.0.0.1", port))?;
        stream.set_nodelay(true)?;
        Ok(stream)
    };
    Ok([connect()?, connect()?])
}

/// A RESP string.
fn bulk(text: &[u8]) -> String {
    format!("${}\r\n{}\r\n", text.len(), String::from_utf8_lossy(text))
}
