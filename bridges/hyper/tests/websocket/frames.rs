//! Frames as clients send them, and those received from a server: RFC 6455, 5.2.

pub const FIN: u8 = 0x80;
pub const CONTINUATION: u8 = 0;
pub const TEXT: u8 = 1;
pub const BINARY: u8 = 2;
pub const CLOSE: u8 = 8;
pub const PING: u8 = 9;
pub const PONG: u8 = 10;

const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

/// A masked frame: `first` is the flags and the opcode.
pub fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    masked(first, MASK, payload)
}

pub fn masked(first: u8, mask: [u8; 4], payload: &[u8]) -> Vec<u8> {
    let mut frame = header(first, 0x80, payload.len() as u64);
    frame.extend(mask);
    frame.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    frame
}

/// What comes before the mask.
pub fn header(first: u8, masked: u8, length: u64) -> Vec<u8> {
    let long = length.to_be_bytes();
    match length {
        0..126 => vec![first, masked | length as u8],
        126..0x1_0000 => [&[first, masked | 126], &long[6..]].concat(),
        _ => [&[first, masked | 127][..], &long].concat(),
    }
}

pub fn text(text: &str) -> Vec<u8> {
    frame(FIN | TEXT, text.as_bytes())
}

pub fn close(code: u16, reason: &str) -> Vec<u8> {
    frame(FIN | CLOSE, &close_payload(code, reason))
}

pub fn close_payload(code: u16, reason: &str) -> Vec<u8> {
    [&code.to_be_bytes()[..], reason.as_bytes()].concat()
}

/// The frames of a server: flags and opcode, and the payload. An incomplete last frame stays in `bytes`.
pub fn take_frames(bytes: &mut Vec<u8>) -> Vec<(u8, Vec<u8>)> {
    let mut frames = Vec::new();
    while let [first, short, rest @ ..] = &bytes[..] {
        let extended = match short {
            126 => 2,
            127 => 8,
            _ => 0,
        };
        let Some((long, rest)) = rest.split_at_checked(extended) else { break };
        let length = if extended == 0 { (*short).into() } else { long.iter().fold(0, |sum, byte| sum << 8 | usize::from(*byte)) };
        let Some(payload) = rest.get(..length) else { break };
        frames.push((*first, payload.to_vec()));
        bytes.drain(..2 + extended + length);
    }
    frames
}
