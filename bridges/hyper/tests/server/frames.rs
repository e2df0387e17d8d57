//! HTTP/2 by hand: frames to send, and frames received.

use crate::world::{Client, World};

pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

pub const DATA: u8 = 0;
pub const HEADERS: u8 = 1;
pub const PRIORITY: u8 = 2;
pub const RST_STREAM: u8 = 3;
pub const SETTINGS: u8 = 4;
pub const PING: u8 = 6;
pub const PUSH_PROMISE: u8 = 5;
pub const GOAWAY: u8 = 7;
pub const WINDOW_UPDATE: u8 = 8;
pub const CONTINUATION: u8 = 9;

pub const END_STREAM: u8 = 1;
pub const END_HEADERS: u8 = 4;
pub const PADDED: u8 = 8;
pub const WITH_PRIORITY: u8 = 32;

pub const PROTOCOL_ERROR: u32 = 1;
pub const FLOW_CONTROL_ERROR: u32 = 3;
pub const STREAM_CLOSED: u32 = 5;
pub const FRAME_SIZE_ERROR: u32 = 6;
pub const REFUSED_STREAM: u32 = 7;
pub const CANCEL: u32 = 8;
pub const COMPRESSION_ERROR: u32 = 9;
pub const ENHANCE_YOUR_CALM: u32 = 11;

pub fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("short").to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

pub fn get(stream: u32, path: &str) -> Vec<u8> {
    let length = u8::try_from(path.len()).expect("short");
    let block = [&[0x82, 0x86, 0x41, 1, b'a', 0x04, length], path.as_bytes()].concat();
    frame(HEADERS, END_STREAM | END_HEADERS, stream, &block)
}

/// The frames received: kind, stream, payload.
pub fn frames(client: &Client) -> Vec<(u8, u32, Vec<u8>)> {
    let bytes = client.bytes();
    let (mut rest, mut frames) = (&bytes[..], Vec::new());
    while let Some((head, more)) = rest.split_at_checked(9) {
        let length = usize::from(head[0]) << 16 | usize::from(head[1]) << 8 | usize::from(head[2]);
        let Some((payload, more)) = more.split_at_checked(length) else { break };
        let stream = u32::from_be_bytes([head[5], head[6], head[7], head[8]]);
        frames.push((head[3], stream, payload.to_vec()));
        rest = more;
    }
    frames
}

pub fn number(payload: &[u8]) -> u32 {
    u32::from_be_bytes(payload[payload.len() - 4..].try_into().expect("four"))
}

/// The error codes of frames of `kind`; in GOAWAY they follow the last stream.
pub fn codes(client: &Client, kind: u8) -> Vec<u32> {
    let of_kind = frames(client).into_iter().filter(|frame| frame.0 == kind);
    of_kind.map(|frame| number(if kind == GOAWAY { &frame.2[..8] } else { &frame.2 })).collect()
}

/// A client that has sent the preface, its settings and `frames`.
pub fn talk(world: &World, settings: &[u8], frames: &[Vec<u8>]) -> Client {
    let begin = [PREFACE, &frame(SETTINGS, 0, 0, settings), &frame(SETTINGS, 1, 0, &[])].concat();
    let client = world.client("10.0.0.2", &[begin, frames.concat()].concat());
    world.run_for(1);
    client
}

pub fn is_answered(client: &Client, stream: u32) -> bool {
    frames(client).iter().any(|frame| frame.0 == DATA && frame.1 == stream && frame.2 == b"hello")
}
