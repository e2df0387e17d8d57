//! Splits a stream of bytes into lines, without a transport.

use std::cell::{Cell, RefCell};
use std::error::Error;
use std::fmt;

use crate::framing::byte_buffer::ByteBuffer;

/// Twisted's default limit of a line, in bytes without its delimiter.
pub(crate) const MAX_LENGTH: usize = 16_384;

/// Splits bytes into lines that end in a delimiter; bytes in, lines out.
///
/// The result does not depend on how the input is cut. Each byte is looked at once, however small the pieces.
///
/// # Examples
/// ```
/// use torsade::LineDecoder;
///
/// let mut decoder = LineDecoder::new();
/// decoder.feed(b"one\r\ntwo\r");
/// assert_eq!(decoder.next_line(), Some(Ok(&b"one"[..])));
/// assert_eq!(decoder.next_line(), None);
/// decoder.feed(b"\n");
/// assert_eq!(decoder.next_line(), Some(Ok(&b"two"[..])));
/// ```
pub struct LineDecoder {
    buffer: ByteBuffer,
    /// No delimiter ends before this place, counted from the first byte that is not given out.
    searched: Cell<usize>,
    delimiter: RefCell<Vec<u8>>,
    max_length: Cell<usize>,
    /// Goes by `LineOnlyReceiver`'s rules of what is too long.
    lines_only: bool,
}

/// A line is longer than allowed. Everything that was buffered has been taken out of the decoder and is here.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct LineTooLong<'a> {
    /// The long line, its delimiter if that had arrived, and what followed.
    pub data: &'a [u8],
    /// The limit, in bytes without the delimiter.
    pub limit: usize,
}

impl LineDecoder {
    /// Lines that end in CR LF, of at most 16,384 bytes, as in Twisted.
    #[must_use]
    pub fn new() -> Self {
        Self {
            buffer: ByteBuffer::default(),
            searched: Cell::new(0),
            delimiter: RefCell::new(b"\r\n".to_vec()),
            max_length: Cell::new(MAX_LENGTH),
            lines_only: false,
        }
    }

    /// The same with the rules of Twisted's `LineOnlyReceiver` for what is too long.
    ///
    /// Half a delimiter counts as part of the line until the rest of it comes, and [`LineTooLong::data`] is the line
    /// alone. What follows is dropped as well.
    #[must_use]
    pub fn lines_only() -> Self {
        Self { lines_only: true, ..Self::new() }
    }

    /// Sets what ends a line, from the next line on. An empty one is ignored: it would end everywhere.
    pub fn set_delimiter(&self, delimiter: &[u8]) {
        if !delimiter.is_empty() {
            delimiter.clone_into(&mut self.delimiter.borrow_mut());
            self.searched.set(0);
        }
    }

    /// What ends a line.
    #[must_use]
    pub fn delimiter(&self) -> Vec<u8> {
        self.delimiter.borrow().clone()
    }

    /// Sets how long a line may be, in bytes without the delimiter.
    pub fn set_max_length(&self, max_length: usize) {
        self.max_length.set(max_length);
    }

    /// Takes in more bytes.
    pub fn feed(&mut self, data: &[u8]) {
        self.buffer.feed(data);
    }

    /// Puts bytes before those that are still here.
    pub fn unread(&mut self, data: &[u8]) {
        self.buffer.unread(data);
        self.searched.set(0);
    }

    /// The next whole line, without its delimiter; none until more is fed.
    ///
    /// # Errors
    /// [`LineTooLong`]: either a line above the limit, or that many bytes without a delimiter (Twisted still waits while
    /// they exceed the limit by less than the delimiter's length). The decoder is empty then, and can go on.
    pub fn next_line(&self) -> Option<Result<&[u8], LineTooLong<'_>>> {
        let limit = Limit { max_length: self.max_length.get(), lines_only: self.lines_only };
        next_line(&self.delimiter.borrow(), &self.buffer, &self.searched, limit)
    }

    /// Takes out all bytes that are not given out yet.
    pub fn take_rest(&self) -> &[u8] {
        self.searched.set(0);
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
}

/// When a line is too long.
#[derive(Clone, Copy)]
pub(crate) struct Limit {
    pub(crate) max_length: usize,
    pub(crate) lines_only: bool,
}

/// Gives out the next line. No delimiter ends in the bytes `searched` already.
#[inline]
pub(crate) fn next_line<'a>(
    delimiter: &[u8],
    buffer: &'a ByteBuffer,
    searched: &Cell<usize>,
    limit: Limit,
) -> Option<Result<&'a [u8], LineTooLong<'a>>> {
    let bytes = buffer.remaining();
    match find(delimiter, bytes, searched.get()) {
        Some(length) if length <= limit.max_length => {
            searched.set(0);
            buffer.skip(length + delimiter.len());
            bytes.get(..length).map(Ok)
        }
        found => refuse(found, delimiter.len(), buffer, searched, limit),
    }
}

/// There is no line within the limit: too long a one, or none.
#[cold]
fn refuse<'a>(
    found: Option<usize>,
    delimiter: usize,
    buffer: &'a ByteBuffer,
    searched: &Cell<usize>,
    Limit { max_length, lines_only }: Limit,
) -> Option<Result<&'a [u8], LineTooLong<'a>>> {
    let length = found.unwrap_or(buffer.len());
    let too_long =
        found.is_some() || if lines_only { length > max_length } else { length >= max_length.saturating_add(delimiter) };
    searched.set(if too_long { 0 } else { length });
    too_long.then(|| {
        let data = buffer.take(usize::MAX);
        Err(LineTooLong { data: if lines_only { data.get(..length).unwrap_or(data) } else { data }, limit: max_length })
    })
}

/// The length of the line before the first delimiter that does not end in the bytes `searched` already. Looks for the
/// delimiter's last byte, which in CR LF is the rare one, and then at what is before it.
#[inline]
fn find(delimiter: &[u8], bytes: &[u8], searched: usize) -> Option<usize> {
    let (last, head) = delimiter.split_last()?;
    let mut from = searched.max(head.len());
    loop {
        let at = from + memchr::memchr(*last, bytes.get(from..)?)?;
        if head.is_empty() || bytes.get(..at)?.ends_with(head) {
            return Some(at - head.len());
        }
        from = at + 1;
    }
}

impl Default for LineDecoder {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for LineDecoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LineDecoder")
            .field("buffered", &self.len())
            .field("delimiter", &self.delimiter.borrow().escape_ascii().to_string())
            .field("max_length", &self.max_length.get())
            .finish()
    }
}

impl fmt::Display for LineTooLong<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a line is longer than {} bytes", self.limit)
    }
}

impl Error for LineTooLong<'_> {}
