//! Custom decoders: bytes in, frames out.

use std::cell::Cell;
use std::error::Error;
use std::fmt;

use torsade_reactor::Escaped;

use crate::framing::byte_buffer::ByteBuffer;

/// A parser for a custom format of frames (messages, packets, commands) in a stream of bytes.
///
/// It is given the bytes that have arrived and are not used yet, and returns what is at their beginning. It knows no transport
/// and keeps no bytes: a [`FrameDecoder`] does, and a [`FrameReceiver`](crate::FrameReceiver) makes it a protocol.
///
/// # Examples
/// ```
/// use torsade::FrameDecoder;
/// use torsade::prelude::*;
///
/// /// Frames of a type byte, a length byte and the payload.
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
    /// A decoded frame; may borrow from the input.
    type Frame<'a>;

    /// What can be wrong with the input.
    type Error: Error + 'static;

    /// The default maximum length of a frame, in bytes as this format counts them: 99,999, as for Twisted's strings.
    const MAX_LENGTH: usize = 99_999;

    /// How many bytes a frame may need beyond those that [`MAX_LENGTH`](Self::MAX_LENGTH) counts: lengths, delimiters.
    const OVERHEAD: usize = 64;

    /// Decodes what is at the beginning of `data`, which holds at least one byte.
    ///
    /// `data` begins after the last frame. Unused bytes are passed again, followed by new ones. A decoder that searches for a
    /// delimiter should therefore remember how far it has searched, and forget that once it has found one; otherwise its work
    /// grows with the number of pieces in which the bytes arrive.
    ///
    /// `max_length` is the current limit. A decoder that knows early that a frame will be longer returns [`FrameError::TooLong`]
    /// before the bytes have arrived. In any case no more bytes than the limit plus [`OVERHEAD`](Self::OVERHEAD) are kept.
    ///
    /// # Errors
    /// The stream cannot be decoded from here on. Nothing more is decoded until the bytes are taken out.
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
        /// How many bytes it takes, including its framing; at least one.
        used: usize,
    },
    /// No whole frame is there yet.
    Incomplete {
        /// How many bytes there must be before asking again is worthwhile; 0 if any more may do.
        needed: usize,
    },
    /// Bytes that belong to no frame and are skipped.
    Skip {
        /// How many; at least one.
        used: usize,
    },
}

/// Why decoding stopped.
#[derive(Clone, Copy, Eq, PartialEq)]
#[non_exhaustive]
pub enum FrameError<E> {
    /// The bytes are not of this format. The peer is at fault.
    Decode(E),
    /// The decoder returned a frame of no bytes, and would do so forever. The decoder is at fault.
    Stuck,
    /// A frame is longer than allowed. Raise the limit if such frames are legitimate.
    TooLong {
        /// Its length as far as known; it is at least this.
        length: usize,
        /// The limit, in bytes.
        limit: usize,
    },
}

/// Collects bytes for a [`Decoder`] until they make frames, without a transport.
///
/// The result does not depend on how the input is split. It keeps no more than the limit, the decoder's overhead and one
/// [`feed`](Self::feed), and no memory once everything has been given out.
pub struct FrameDecoder<D> {
    decoder: D,
    buffer: ByteBuffer,
    gate: Gate,
    max_length: usize,
}

/// Whether asking the decoder again is worthwhile.
#[derive(Debug, Default)]
pub(crate) struct Gate {
    /// It asked not to be called with fewer bytes. (For lines: how many bytes were searched without finding a delimiter.)
    pub(crate) needed: Cell<usize>,
    /// It has failed: nothing more is decoded.
    failed: Cell<bool>,
}

impl Gate {
    /// Other bytes are at the front, so the decoder is to be asked again.
    pub(crate) fn open(&self) {
        self.needed.set(0);
        self.failed.set(false);
    }

    pub(crate) fn has_failed(&self) -> bool {
        self.failed.get()
    }
}

impl<D: Decoder> FrameDecoder<D> {
    /// Decodes frames with `decoder`, of at most [`Decoder::MAX_LENGTH`] bytes.
    #[must_use]
    pub fn new(decoder: D) -> Self {
        Self { decoder, buffer: ByteBuffer::default(), gate: Gate::default(), max_length: D::MAX_LENGTH }
    }

    /// Sets the maximum length of a frame, in bytes as the format counts them.
    pub fn set_max_length(&mut self, max_length: usize) {
        self.max_length = max_length;
    }

    /// Appends input. After an error it is dropped.
    pub fn feed(&mut self, data: &[u8]) {
        if !self.gate.has_failed() {
            self.buffer.feed(data);
        }
    }

    /// Returns the next whole frame; `None` until more is fed.
    ///
    /// # Errors
    /// The decoder's, [`FrameError::TooLong`] or [`FrameError::Stuck`], once. After that it returns `None` until
    /// [`take_rest`](Self::take_rest) is called.
    pub fn next_frame(&mut self) -> Option<Result<D::Frame<'_>, FrameError<D::Error>>> {
        next_frame(&mut self.decoder, &self.buffer, &self.gate, self.max_length)
    }

    /// Takes out all bytes not given out yet, and clears an error.
    pub fn take_rest(&mut self) -> &[u8] {
        self.gate.open();
        self.buffer.take(usize::MAX)
    }

    /// The number of bytes not given out yet.
    #[must_use]
    pub fn len(&self) -> usize {
        self.buffer.len()
    }

    /// Returns whether all bytes have been given out.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.buffer.is_empty()
    }

    /// The decoder.
    pub const fn decoder(&mut self) -> &mut D {
        &mut self.decoder
    }
}

/// Gives out the next frame. All calls of a decoder go through here.
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
            Self::Stuck => f.write_str("the decoder found an empty frame: it must consume at least one byte"),
            Self::TooLong { length, limit } => {
                write!(f, "a frame of {length} bytes or more exceeds the limit of {limit} (set_max_length raises it)")
            }
        }
    }
}

/// The same text, because `fn main() -> Result` prints an error with `Debug`.
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
