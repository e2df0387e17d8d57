//! A user's own format: a type in one byte, a length in two, and that many bytes.

use torsade::{Decoded, Decoder, FrameError};

pub struct Records;

impl Decoder for Records {
    type Frame<'a> = (u8, &'a [u8]);
    type Error = std::convert::Infallible;

    fn decode<'a>(&mut self, data: &'a [u8], _: usize) -> Result<Decoded<Self::Frame<'a>>, FrameError<Self::Error>> {
        let [kind, high, low, rest @ ..] = data else { return Ok(Decoded::Incomplete { needed: 3 }) };
        let length = usize::from(u16::from_be_bytes([*high, *low]));
        Ok(match rest.get(..length) {
            Some(value) => Decoded::Frame { frame: (*kind, value), used: 3 + length },
            None => Decoded::Incomplete { needed: 3 + length },
        })
    }
}
