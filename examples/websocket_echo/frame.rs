//! Parses the input: an HTTP request, and after it frames as in RFC 6455, 5.2.

use std::fmt;

use torsade::prelude::*;

/// The longest request in bytes.
const REQUEST: usize = 8 << 10;

/// Flags in a frame's first byte: the last frame of a message, and the bit of permessage-deflate.
pub const FIN: u8 = 0x80;
pub const COMPRESSED: u8 = 0x40;

pub const CONTINUATION: u8 = 0;
pub const TEXT: u8 = 1;
pub const BINARY: u8 = 2;
pub const CLOSE: u8 = 8;
pub const PING: u8 = 9;
pub const PONG: u8 = 10;

/// A close code (RFC 6455, 7.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Code(pub u16);

pub const PROTOCOL: Code = Code(1002);
pub const NOT_A_STATUS: Code = Code(1005);
pub const NOT_TEXT: Code = Code(1007);
pub const TOO_BIG: Code = Code(1009);
pub const OUR_FAULT: Code = Code(1011);

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "close code {}", self.0)
    }
}

impl std::error::Error for Code {}

pub enum Input<'a> {
    /// A request, including its empty line.
    Request(&'a [u8]),
    Frame(Frame<'a>),
}

/// A frame, or the part of one that has arrived; control frames are always whole.
pub struct Frame<'a> {
    pub header: Header,
    /// Whether this part begins the frame.
    pub begins: bool,
    /// Whether this part ends the message.
    pub ends_message: bool,
    mask: [u8; 4],
    masked: &'a [u8],
}

#[derive(Clone, Copy)]
pub struct Header {
    pub opcode: u8,
    /// The bit of permessage-deflate.
    pub compressed: bool,
    /// Whether it is the last frame of its message.
    fin: bool,
}

impl Frame<'_> {
    pub fn unmask(&self) -> Vec<u8> {
        self.masked.iter().zip(self.mask.iter().cycle()).map(|(byte, mask)| byte ^ mask).collect()
    }
}

/// Begins with HTTP, and switches to frames after the request.
#[derive(Default)]
pub struct WebSocketDecoder {
    upgraded: bool,
    searched: usize,
    unfinished: Option<Unfinished>,
}

/// A frame whose payload is incomplete.
struct Unfinished {
    header: Header,
    left: usize,
    /// Rotated for the next byte.
    mask: [u8; 4],
}

impl Decoder for WebSocketDecoder {
    type Frame<'a> = Input<'a>;
    type Error = Code;
    const MAX_LENGTH: usize = 1 << 20;
    const OVERHEAD: usize = 14;

    fn decode<'a>(&mut self, data: &'a [u8], max_length: usize) -> Result<Decoded<Input<'a>>, FrameError<Code>> {
        if !self.upgraded {
            return self.decode_request(data);
        }
        let (header, begins, used) = match self.unfinished.take() {
            Some(unfinished) => (unfinished, false, 0),
            None => match decode_header(data, max_length)? {
                Decoded::Frame { frame, used } => (frame, true, used),
                Decoded::Incomplete { needed } => return Ok(Decoded::Incomplete { needed }),
                Decoded::Skip { used } => return Ok(Decoded::Skip { used }),
            },
        };
        Ok(self.decode_payload(header, begins, data, used))
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

    /// Returns the part of the payload that has arrived, after `used` bytes.
    fn decode_payload<'a>(&mut self, frame: Unfinished, begins: bool, data: &'a [u8], used: usize) -> Decoded<Input<'a>> {
        let Unfinished { header, left, mut mask } = frame;
        let masked = &data[used..data.len().min(used + left)];
        let left = left - masked.len();
        let ends_message = left == 0 && header.fin;
        let frame = Frame { header, begins, ends_message, mask, masked };
        mask.rotate_left(masked.len() % 4);
        self.unfinished = (left > 0).then_some(Unfinished { header, left, mask });
        Decoded::Frame { frame: Input::Frame(frame), used: used + masked.len() }
    }
}

fn decode_header(data: &[u8], max_length: usize) -> Result<Decoded<Unfinished>, FrameError<Code>> {
    let [first, second, rest @ ..] = data else { return Ok(Decoded::Incomplete { needed: 2 }) };
    let (fin, opcode, short) = (first & FIN != 0, first & 0x0f, second & 0x7f);
    let control = opcode >= CLOSE;
    // Clients mask; two bits belong to extensions that were not negotiated; control frames are short and whole.
    let sound = second & 0x80 != 0 && first & 0x30 == 0 && (!control || fin && short < 126 && first & COMPRESSED == 0);
    if !sound || !matches!(opcode, CONTINUATION..=BINARY | CLOSE..=PONG) {
        return Err(PROTOCOL.into());
    }
    let extended = match short {
        126 => 2,
        127 => 8,
        _ => 0,
    };
    let used = 2 + extended + 4;
    let Some((length, rest)) = rest.split_at_checked(extended) else { return Ok(Decoded::Incomplete { needed: used }) };
    let length = if extended == 0 { short.into() } else { length.iter().fold(0, |sum: u64, byte| sum << 8 | u64::from(*byte)) };
    let length = usize::try_from(length).unwrap_or(usize::MAX);
    if length > max_length {
        return Err(FrameError::TooLong { length, limit: max_length });
    }
    let Some((mask, rest)) = rest.split_first_chunk() else { return Ok(Decoded::Incomplete { needed: used }) };
    if control && rest.len() < length {
        return Ok(Decoded::Incomplete { needed: used + length });
    }
    let header = Header { opcode, compressed: first & COMPRESSED != 0, fin };
    Ok(Decoded::Frame { frame: Unfinished { header, left: length, mask: *mask }, used })
}

/// Writes a frame, unmasked. `first` is its first byte: flags and opcode.
pub fn write(transport: &Transport, first: u8, payload: &[u8]) {
    let long = (payload.len() as u64).to_be_bytes();
    match payload.len() {
        length @ 0..126 => transport.write_sequence(&[&[first, length as u8], payload]),
        126..0x1_0000 => transport.write_sequence(&[&[first, 126], &long[6..], payload]),
        _ => transport.write_sequence(&[&[first, 127], &long, payload]),
    }
}
