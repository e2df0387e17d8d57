//! Parsers of users' own formats: bytes in, frames out.

use std::cell::Cell;
use std::error::Error;
use std::fmt;

use torsade_reactor::Escaped;

use crate::framing::byte_buffer::ByteBuffer;

/// A user's own parser of frames (messages, packets, commands) in a stream of bytes.
///
/// It is asked with what has come in and is not used up yet, and says what is at the beginning of that. It knows no
/// transport and keeps no bytes: a [`FrameDecoder`] does, and a [`FrameReceiver`](crate::FrameReceiver) makes a
/// protocol of both.
///
/// # Examples
/// ```
/// use torsade::FrameDecoder;
/// use torsade::prelude::*;
///
/// /// A type in one byte, a length in another, and so many bytes.
/// struct Records;
///
/// #[derive(Debug, PartialEq)]
/// struct UnknownKind(u8);
///
/// impl std::fmt::Display for UnknownKind {
///     fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
///         write!(f, "there is no record of type {}", self.0)
///     }
/// }
///
/// impl std::error::Error for UnknownKind {}
///
/// impl Decoder for Records {
///     type Frame<'a> = (u8, &'a [u8]);
///     type Error = UnknownKind;
///
///     fn decode<'a>(&mut self, data: &'a [u8], limit: usize) -> Result<Decoded<(u8, &'a [u8])>, FrameError<UnknownKind>> {
///         let [kind, length, rest @ ..] = data else { return Ok(Decoded::Incomplete { needed: 2 }) };
///         if *kind > 9 {
///             return Err(FrameError::Decode(UnknownKind(*kind)));
///         }
///         let length = usize::from(*length);
///         if length > limit {
///             return Err(FrameError::TooLong { length, limit });
///         }
///         Ok(match rest.get(..length) {
///             Some(value) => Decoded::Frame { frame: (*kind, value), used: 2 + length },
///             None => Decoded::Incomplete { needed: 2 + length },
///         })
///     }
/// }
///
/// let mut decoder = FrameDecoder::new(Records);
/// decoder.feed(b"\x01\x02hi\x02");
/// assert_eq!(decoder.next_frame(), Some(Ok((1, &b"hi"[..]))));
/// assert_eq!(decoder.next_frame(), None);
///
/// decoder.feed(b"\x01!\xff");
/// assert_eq!(decoder.next_frame(), Some(Ok((2, &b"!"[..]))));
/// assert_eq!(decoder.next_frame(), None);
/// ```
pub trait Decoder {
    /// What it makes of the bytes; may borrow from them.
    type Frame<'a>;

    /// What may be wrong with the bytes.
    type Error: Error + 'static;

    /// How long a frame may be unless that is set, in bytes as this format counts them; 99,999, as Twisted's strings.
    const MAX_LENGTH: usize = 99_999;

    /// How many bytes a frame may take besides those that [`MAX_LENGTH`](Self::MAX_LENGTH) counts: lengths, delimiters.
    const OVERHEAD: usize = 64;

    /// Says what is at the beginning of `data`, which holds at least one byte.
    ///
    /// `data` begins after the last frame. The same bytes come again, with more behind them, until they are used: a
    /// decoder that looks for a delimiter should remember in itself how far it has looked, and forget that when it has
    /// found it, so that its work does not grow with the number of pieces the bytes come in.
    ///
    /// `max_length` is the limit that is set now. A decoder that can tell early that a frame will be longer returns
    /// [`FrameError::TooLong`], before the bytes have come; in any case no more than the limit and
    /// [`OVERHEAD`](Self::OVERHEAD) are kept.
    ///
    /// # Errors
    /// The stream cannot be understood from here on. Nothing more is decoded unless the bytes are taken out.
    fn decode<'a>(&mut self, data: &'a [u8], max_length: usize) -> Result<Decoded<Self::Frame<'a>>, FrameError<Self::Error>>;
}

/// What a [`Decoder`] found.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "there is a frame, or bytes to leave out, or not enough bytes")]
pub enum Decoded<F> {
    /// A whole frame.
    Frame {
        /// The frame.
        frame: F,
        /// How many bytes it took, its framing included; at least one.
        used: usize,
    },
    /// No whole frame is there yet.
    Incomplete {
        /// How long the data must be before it is worth asking again; 0 if any more may do.
        needed: usize,
    },
    /// Bytes that belong to no frame.
    Skip {
        /// How many; at least one.
        used: usize,
    },
}

/// Why no more frames can be had.
#[derive(Clone, Copy, Eq, PartialEq)]
#[non_exhaustive]
pub enum FrameError<E> {
    /// The bytes are not of this format. The peer's fault.
    Decode(E),
    /// The decoder found a frame of no bytes, and would find it for ever. A fault of the decoder.
    Stuck,
    /// A frame is longer than allowed. Raise the limit if such frames are legitimate.
    TooLong {
        /// How long it is, as far as that is known; at least this.
        length: usize,
        /// The limit, in bytes.
        limit: usize,
    },
}

/// Keeps bytes for a [`Decoder`] until they make frames; bytes in, frames out, without a transport.
///
/// The result does not depend on how the input is cut. No more than the limit, the decoder's overhead and one
/// [`feed`](Self::feed) are kept; when everything was given out, no memory is.
pub struct FrameDecoder<D> {
    decoder: D,
    buffer: ByteBuffer,
    gate: Gate,
    max_length: usize,
}

/// Whether asking the decoder again is worth it.
#[derive(Debug, Default)]
pub(crate) struct Gate {
    /// It asked not to be called below so many bytes. (Lines have here how many were searched without a delimiter's end.)
    pub(crate) needed: Cell<usize>,
    /// It has failed: nothing is decoded any more.
    failed: Cell<bool>,
}

impl Gate {
    /// Other bytes are at the front: it is to be asked again.
    pub(crate) fn open(&self) {
        self.needed.set(0);
        self.failed.set(false);
    }

    pub(crate) fn has_failed(&self) -> bool {
        self.failed.get()
    }
}

impl<D: Decoder> FrameDecoder<D> {
    /// Decodes frames with `decoder`, of at most its [`Decoder::MAX_LENGTH`] bytes.
    #[must_use]
    pub fn new(decoder: D) -> Self {
        Self { decoder, buffer: ByteBuffer::default(), gate: Gate::default(), max_length: D::MAX_LENGTH }
    }

    /// Sets how long a frame may be, in bytes as the format counts them.
    pub fn set_max_length(&mut self, max_length: usize) {
        self.max_length = max_length;
    }

    /// Takes in more bytes; drops them after an error.
    pub fn feed(&mut self, data: &[u8]) {
        if !self.gate.has_failed() {
            self.buffer.feed(data);
        }
    }

    /// The next whole frame; none until more is fed.
    ///
    /// # Errors
    /// As the decoder says, [`FrameError::TooLong`], or [`FrameError::Stuck`]; once. Then there is none until
    /// [`take_rest`](Self::take_rest) was called.
    pub fn next_frame(&mut self) -> Option<Result<D::Frame<'_>, FrameError<D::Error>>> {
        next_frame(&mut self.decoder, &self.buffer, &self.gate, self.max_length)
    }

    /// Takes out all bytes that are not given out yet, and forgets an error.
    pub fn take_rest(&mut self) -> &[u8] {
        self.gate.open();
        self.buffer.take(usize::MAX)
    }

    /// How many bytes are here that are not given out yet.
    #[must_use]
    pub fn len(&self) -> usize {
        self.buffer.len()
    }

    /// Whether everything has been given out.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.buffer.is_empty()
    }

    /// The decoder.
    pub const fn decoder(&mut self) -> &mut D {
        &mut self.decoder
    }
}

/// Gives out the next frame; the one way to ask a decoder.
pub(crate) fn next_frame<'a, D: Decoder>(
    decoder: &mut D,
    buffer: &'a ByteBuffer,
    gate: &Gate,
    max_length: usize,
) -> Option<Result<D::Frame<'a>, FrameError<D::Error>>> {
    loop {
        let data = buffer.remaining();
        if gate.has_failed() || data.is_empty() || data.len() < gate.needed.get() {
            return None;
        }
        gate.needed.set(0);
        let error = match decoder.decode(data, max_length) {
            Ok(Decoded::Frame { used: 0, .. } | Decoded::Skip { used: 0 }) => FrameError::Stuck,
            Ok(Decoded::Frame { frame, used }) => {
                buffer.take(used);
                return Some(Ok(frame));
            }
            Ok(Decoded::Skip { used }) => {
                buffer.take(used);
                continue;
            }
            Ok(Decoded::Incomplete { needed }) => {
                let most = max_length.saturating_add(D::OVERHEAD);
                let length = needed.max(data.len().saturating_add(1));
                if length <= most {
                    // At least one more byte: the decoder has seen all of these.
                    gate.needed.set(length);
                    return None;
                }
                FrameError::TooLong { length, limit: max_length }
            }
            Err(error) => error,
        };
        gate.failed.set(true);
        return Some(Err(error));
    }
}

impl<D: fmt::Debug> fmt::Debug for FrameDecoder<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FrameDecoder")
            .field("decoder", &self.decoder)
            .field("buffered", &self.buffer.len())
            .field("failed", &self.gate.has_failed())
            .finish_non_exhaustive()
    }
}

impl<E: fmt::Display> fmt::Display for FrameError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Decode(error) => Escaped(error).fmt(f),
            Self::Stuck => f.write_str("the decoder found a frame of no bytes: it must use at least one"),
            Self::TooLong { length, limit } => {
                write!(f, "a frame of {length} bytes or more exceeds the limit of {limit} (set_max_length raises it)")
            }
        }
    }
}

/// The same text: it is what is printed when `fn main() -> Result` returns one.
impl<E: fmt::Display> fmt::Debug for FrameError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl<E: Error + 'static> Error for FrameError<E> {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Decode(error) => Some(error),
            _ => None,
        }
    }
}

impl<E> From<E> for FrameError<E> {
    fn from(error: E) -> Self {
        Self::Decode(error)
    }
}
