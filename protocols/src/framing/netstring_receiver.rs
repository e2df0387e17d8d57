//! Netstrings: `5:hello,`.

use std::error::Error;
use std::fmt;

use torsade_reactor::Result;

use crate::framing::decoder::{Decoded, Decoder, FrameError};
use crate::framing::string_protocol::{StringDecoder, StringReceiver, StringTooLong};

/// A protocol that splits its input into netstrings and passes them to a [`StringProtocol`](crate::StringProtocol).
///
/// A netstring is its length in decimal digits, a colon, the bytes and a comma
/// (<https://cr.yp.to/proto/netstrings.txt>). Strings have at most 99,999 bytes by default. The first byte that cannot belong to
/// a netstring closes the connection.
///
/// # Examples
/// ```
/// use torsade::prelude::*;
/// use torsade::testing::StringTransport;
///
/// struct Echo;
///
/// impl StringProtocol for Echo {
///     fn string_received(&mut self, transport: &StringFrameTransport, string: &[u8]) -> Result {
///         Ok(transport.send_string(string)?)
///     }
/// }
///
/// let transport = StringTransport::new();
/// NetstringReceiver::new(Echo).data_received(&transport, b"5:hello,0:,3:wor")?;
/// assert_eq!(transport.value(), b"5:hello,0:,");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub type NetstringReceiver<P> = StringReceiver<NetstringDecoder, P>;

/// Decodes netstrings; see [`NetstringReceiver`]. With a [`FrameDecoder`](crate::FrameDecoder) it works without a connection.
#[derive(Clone, Copy, Debug, Default)]
#[expect(clippy::exhaustive_structs, reason = "it has no state")]
pub struct NetstringDecoder;

/// What is wrong with a netstring. The peer is at fault in every case.
#[derive(Clone, Copy, Eq, PartialEq)]
#[non_exhaustive]
#[doc(alias = "NetstringParseError")]
pub enum NetstringError {
    /// No comma follows the bytes.
    NoComma,
    /// It does not begin with a length: digits without leading zeros, and a colon.
    NoLength,
}

/// The number of digits of the greatest `u64`.
const MAX_DIGITS: usize = 20;

impl Decoder for NetstringDecoder {
    type Frame<'a> = &'a [u8];
    type Error = NetstringError;

    /// The digits of the greatest length, a colon and a comma.
    const OVERHEAD: usize = MAX_DIGITS + 2;

    fn decode<'a>(&mut self, data: &'a [u8], max_length: usize) -> Result<Decoded<&'a [u8]>, FrameError<NetstringError>> {
        let digits = data.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let (number, rest) = data.split_at(digits);
        let colon = match rest.first() {
            Some(b':') => true,
            Some(_) => return Err(NetstringError::NoLength.into()),
            None => false,
        };
        let length = match number {
            [] | [b'0', _, ..] => return Err(NetstringError::NoLength.into()),
            number => {
                number.iter().fold(0_usize, |length, digit| length.saturating_mul(10).saturating_add(usize::from(digit - b'0')))
            }
        };
        if length > max_length || digits > MAX_DIGITS {
            return Err(FrameError::TooLong { length, limit: max_length });
        }
        if !colon {
            return Ok(Decoded::Incomplete { needed: 0 });
        }
        let begin = digits + 1;
        let end = begin.saturating_add(length);
        match (data.get(begin..end), data.get(end)) {
            (Some(string), Some(b',')) => Ok(Decoded::Frame { frame: string, used: end + 1 }),
            (Some(_), Some(_)) => Err(NetstringError::NoComma.into()),
            _ => Ok(Decoded::Incomplete { needed: end.saturating_add(1) }),
        }
    }
}

impl StringDecoder for NetstringDecoder {
    fn encode(string: &[u8], out: &mut Vec<u8>) -> Result<(), StringTooLong> {
        let mut power = 10_usize.pow(string.len().checked_ilog10().unwrap_or(0));
        while power > 0 {
            out.push(b'0' + (string.len() / power % 10) as u8);
            power /= 10;
        }
        out.push(b':');
        out.extend_from_slice(string);
        out.push(b',');
        Ok(())
    }
}

impl fmt::Display for NetstringError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoComma => "a netstring is not terminated by a comma",
            Self::NoLength => "a netstring does not begin with a length (digits without leading zeros, and a colon)",
        })
    }
}

torsade_reactor::debug_as_display!(NetstringError);

impl Error for NetstringError {}
