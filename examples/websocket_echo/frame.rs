//! What comes in: an HTTP request, and from the byte after it on the frames of RFC 6455, 5.2.

use std::fmt;

use torsade::prelude::*;

/// The longest request in bytes, and the longest message, packed or unpacked.
const REQUEST: usize = 8 << 10;
pub const MESSAGE: usize = 1 << 20;

pub const CONTINUATION: u8 = 0;
pub const TEXT: u8 = 1;
pub const BINARY: u8 = 2;
pub const CLOSE: u8 = 8;
pub const PING: u8 = 9;
pub const PONG: u8 = 10;

/// A close code: what one tells the peer when it is to blame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Code(pub u16);

pub const PROTOCOL: Code = Code(1002);
pub const NOT_A_STATUS: Code = Code(1005);
pub const NOT_TEXT: Code = Code(1007);
pub const TOO_BIG: Code = Code(1009);

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "close code {}", self.0)
    }
}

impl std::error::Error for Code {}

pub enum Input<'a> {
    /// A request with its empty line.
    Request(&'a [u8]),
    Frame(Frame<'a>),
}

pub struct Frame<'a> {
    /// The last one of its message.
    pub last: bool,
    /// The bit of permessage-deflate.
    pub packed: bool,
    pub opcode: u8,
    mask: [u8; 4],
    masked: &'a [u8],
}

impl Frame<'_> {
    pub fn unmask(&self) -> impl Iterator<Item = u8> {
        self.masked.iter().zip(self.mask.iter().cycle()).map(|(byte, mask)| byte ^ mask)
    }

    pub fn len(&self) -> usize {
        self.masked.len()
    }
}

/// Begins with HTTP, and switches by itself: nothing else can follow a request.
#[derive(Default)]
pub struct WebSocketDecoder {
    upgraded: bool,
    searched: usize,
}

impl Decoder for WebSocketDecoder {
    type Frame<'a> = Input<'a>;
    type Error = Code;
    const MAX_LENGTH: usize = MESSAGE;
    const OVERHEAD: usize = 14;

    fn decode<'a>(&mut self, data: &'a [u8], max_length: usize) -> Result<Decoded<Input<'a>>, FrameError<Code>> {
        if self.upgraded { decode_frame(data, max_length) } else { self.decode_request(data) }
    }
}

impl WebSocketDecoder {
    fn decode_request<'a>(&mut self, data: &'a [u8]) -> Result<Decoded<Input<'a>>, FrameError<Code>> {
        let from = self.searched.saturating_sub(3);
        match data[from..].windows(4).position(|end| end == b"\r\n\r\n") {
            Some(at) if from + at + 4 <= REQUEST => {
                self.upgraded = true;
                let used = from + at + 4;
                Ok(Decoded::Frame { frame: Input::Request(&data[..used]), used })
            }
            None if data.len() < REQUEST => {
                self.searched = data.len();
                Ok(Decoded::Incomplete { needed: 0 })
            }
            _ => Err(FrameError::TooLong { length: data.len(), limit: REQUEST }),
        }
    }
}

fn decode_frame(data: &[u8], max_length: usize) -> Result<Decoded<Input<'_>>, FrameError<Code>> {
    let [first, second, rest @ ..] = data else { return Ok(Decoded::Incomplete { needed: 2 }) };
    let (last, opcode, short) = (first & 0x80 != 0, first & 0x0f, second & 0x7f);
    let control = opcode >= CLOSE;
    // Clients mask; two bits belong to extensions we have not; control frames are short and whole.
    let sound = second & 0x80 != 0 && first & 0x30 == 0 && (!control || last && short < 126 && first & 0x40 == 0);
    if !sound || !matches!(opcode, CONTINUATION..=BINARY | CLOSE..=PONG) {
        return Err(PROTOCOL.into());
    }
    let extended = match short {
        126 => 2,
        127 => 8,
        _ => 0,
    };
    let header = 2 + extended + 4;
    let Some((length, rest)) = rest.split_at_checked(extended) else { return Ok(Decoded::Incomplete { needed: header }) };
    let length = if extended == 0 { short.into() } else { length.iter().fold(0, |sum: u64, byte| sum << 8 | u64::from(*byte)) };
    let length = usize::try_from(length).unwrap_or(usize::MAX);
    if length > max_length {
        return Err(FrameError::TooLong { length, limit: max_length });
    }
    let Some((mask, rest)) = rest.split_first_chunk() else { return Ok(Decoded::Incomplete { needed: header }) };
    let Some(masked) = rest.get(..length) else { return Ok(Decoded::Incomplete { needed: header + length }) };
    let frame = Frame { last, packed: first & 0x40 != 0, opcode, mask: *mask, masked };
    Ok(Decoded::Frame { frame: Input::Frame(frame), used: header + length })
}

/// Our frames are whole, and not masked.
pub fn write(transport: &Transport, opcode: u8, packed: bool, payload: &[u8]) {
    let (length, first) = (payload.len(), 0x80 | u8::from(packed) << 6 | opcode);
    let long = (length as u64).to_be_bytes();
    match length {
        0..126 => transport.write_sequence(&[&[first, length as u8], payload]),
        126..0x1_0000 => transport.write_sequence(&[&[first, 126], &long[6..], payload]),
        _ => transport.write_sequence(&[&[first, 127], &long, payload]),
    }
}
