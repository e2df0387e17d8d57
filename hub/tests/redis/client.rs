//! A plain client of Redis that waits for each answer.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use redis_protocol::resp3::decode::complete::decode;
use redis_protocol::resp3::types::OwnedFrame;

use crate::scripted_redis::Value;

pub struct Client {
    stream: TcpStream,
    read: Vec<u8>,
}

impl Client {
    /// Connects, and speaks RESP3.
    pub fn connect(port: u16) -> Self {
        let stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
        // Not a measure of anything: it is for a test that would never end.
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        let mut client = Self { stream, read: Vec::new() };
        client.ask(&["HELLO", "3"]);
        client
    }

    pub fn send(&mut self, parts: &[&str]) {
        let mut bytes = format!("*{}\r\n", parts.len());
        parts.iter().for_each(|part| bytes.push_str(&format!("${}\r\n{part}\r\n", part.len())));
        self.stream.write_all(bytes.as_bytes()).unwrap();
    }

    /// The next that comes, an answer or a push.
    pub fn next(&mut self) -> Value {
        loop {
            if let Some((frame, used)) = decode(&self.read).unwrap() {
                self.read.drain(..used);
                return value(frame);
            }
            let mut chunk = [0; 65536];
            let count = self.stream.read(&mut chunk).unwrap();
            assert!(count > 0, "Redis has closed the connection");
            self.read.extend_from_slice(&chunk[..count]);
        }
    }

    pub fn ask(&mut self, parts: &[&str]) -> Value {
        self.send(parts);
        self.next()
    }
}

fn value(frame: OwnedFrame) -> Value {
    match frame {
        OwnedFrame::Number { data, .. } => Value::Number(data),
        OwnedFrame::SimpleString { data, .. } if data == b"OK" => Value::Ok,
        OwnedFrame::SimpleString { data, .. } | OwnedFrame::BlobString { data, .. } | OwnedFrame::VerbatimString { data, .. } => {
            Value::Text(data)
        }
        OwnedFrame::SimpleError { data, .. } => Value::Error(data),
        OwnedFrame::Array { data, .. } => Value::List(data.into_iter().map(value).collect()),
        OwnedFrame::Push { data, .. } => Value::Push(data.into_iter().map(value).collect()),
        OwnedFrame::Map { data, .. } => Value::Map(data.into_iter().map(|(key, item)| (value(key), value(item))).collect()),
        OwnedFrame::Null => Value::Null,
        other => panic!("{other:?} is nothing that the hub asks for"),
    }
}
