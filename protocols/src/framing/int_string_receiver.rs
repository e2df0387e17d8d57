//! Strings prefixed with their length as a big-endian number of one, two or four bytes.

use std::convert::Infallible;

use torsade_reactor::Result;

use crate::framing::decoder::{Decoded, Decoder, FrameError};
use crate::framing::string_protocol::{StringDecoder, StringReceiver, StringTooLong};

/// A protocol that splits its input into strings with an 8-bit length prefix.
///
/// Strings have at most 255 bytes. They go to a [`StringProtocol`](crate::StringProtocol), as with [`Int32StringReceiver`].
pub type Int8StringReceiver<P> = StringReceiver<IntStringDecoder<1>, P>;

/// A protocol that splits its input into strings with a 16-bit length prefix.
///
/// Strings have at most 65,535 bytes. They go to a [`StringProtocol`](crate::StringProtocol), as with [`Int32StringReceiver`].
pub type Int16StringReceiver<P> = StringReceiver<IntStringDecoder<2>, P>;

/// A protocol that splits its input into strings with a 32-bit length prefix.
///
/// Strings have at most 99,999 bytes by default; a longer one is refused as soon as its length has arrived.
///
/// # Examples
/// ```
/// use torsade::prelude::*;
/// use torsade::testing::StringTransport;
///
/// struct Upper;
///
/// impl StringProtocol for Upper {
///     fn string_received(&mut self, transport: &StringFrameTransport, string: &[u8]) -> Result {
///         Ok(transport.send_string(string.to_ascii_uppercase())?)
///     }
/// }
///
/// let transport = StringTransport::new();
/// Int16StringReceiver::new(Upper).data_received(&transport, b"\x00\x02hi\x00")?;
/// assert_eq!(transport.value(), b"\x00\x02HI");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[doc(alias = "IntNStringReceiver")]
pub type Int32StringReceiver<P> = StringReceiver<IntStringDecoder<4>, P>;

/// Decodes strings with a length prefix of `N` bytes, for `N` of 1, 2 or 4.
///
/// With a [`FrameDecoder`](crate::FrameDecoder) it works without a connection.
#[derive(Clone, Copy, Debug, Default)]
#[expect(clippy::exhaustive_structs, reason = "it has no state")]
pub struct IntStringDecoder<const N: usize>;

impl<const N: usize> IntStringDecoder<N> {
    const WIDTH_IS_SUPPORTED: () = assert!(matches!(N, 1 | 2 | 4), "the length takes 1, 2 or 4 bytes");

    /// The greatest length that fits in `N` bytes.
    const LIMIT: u64 = (1 << (8 * N)) - 1;
}

impl<const N: usize> Decoder for IntStringDecoder<N> {
    type Frame<'a> = &'a [u8];
    type Error = Infallible;

    const OVERHEAD: usize = N;

    fn decode<'a>(&mut self, data: &'a [u8], max_length: usize) -> Result<Decoded<&'a [u8]>, FrameError<Infallible>> {
        let () = Self::WIDTH_IS_SUPPORTED;
        let Some((prefix, rest)) = data.split_first_chunk::<N>() else { return Ok(Decoded::Incomplete { needed: N }) };
        let length = prefix.iter().fold(0_u64, |length, byte| length << 8 | u64::from(*byte));
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        if length > max_length {
            return Err(FrameError::TooLong { length, limit: max_length });
        }
        Ok(match rest.get(..length) {
            Some(string) => Decoded::Frame { frame: string, used: N + length },
            None => Decoded::Incomplete { needed: length.saturating_add(N) },
        })
    }
}

impl<const N: usize> StringDecoder for IntStringDecoder<N> {
    fn encode(string: &[u8], out: &mut Vec<u8>) -> Result<(), StringTooLong> {
        let length = string.len() as u64;
        if length > Self::LIMIT {
            return Err(StringTooLong { length: string.len(), limit: usize::try_from(Self::LIMIT).unwrap_or(usize::MAX) });
        }
        let bytes = length.to_be_bytes();
        out.extend_from_slice(bytes.last_chunk::<N>().map_or(&[][..], |prefix| prefix));
        out.extend_from_slice(string);
        Ok(())
    }
}
