//! Splits a stream of bytes into lines, without a transport.

use std::cell::{Cell, RefCell};
use std::error::Error;
use std::fmt;

use crate::framing::byte_buffer::ByteBuffer;

/// Twisted's default maximum line length, in bytes without the delimiter.
pub(crate) const MAX_LENGTH: usize = 16_384;

/// Splits bytes into lines that end in a delimiter.
///
/// The result does not depend on how the input is split. Each byte is examined once, however small the pieces.
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
    /// No delimiter ends before this offset, counted from the first byte not given out.
    searched: Cell<usize>,
    delimiter: RefCell<Vec<u8>>,
    max_length: Cell<usize>,
    /// Whether `LineOnlyReceiver`'s rules apply to lines that are too long.
    lines_only: bool,
}

/// A line is longer than allowed. Everything buffered has been taken out of the decoder.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct LineTooLong<'a> {
    /// The long line, its delimiter if that had arrived, and what followed.
    pub data: &'a [u8],
    /// The limit, in bytes without the delimiter.
    pub limit: usize,
}

impl LineDecoder {
    /// Decodes lines that end in CR LF, of at most 16,384 bytes, as in Twisted.
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

    /// The same, with the rules of Twisted's `LineOnlyReceiver` for lines that are too long.
    ///
    /// A partial delimiter counts as part of the line until the rest of it arrives, and [`LineTooLong::data`] is the line alone.
    /// What follows it is dropped as well.
    #[must_use]
    pub fn lines_only() -> Self {
        Self { lines_only: true, ..Self::new() }
    }

    /// Sets the delimiter, from the next line on. An empty one is ignored.
    pub fn set_delimiter(&self, delimiter: &[u8]) {
        if !delimiter.is_empty() {
            delimiter.clone_into(&mut self.delimiter.borrow_mut());
            self.searched.set(0);
        }
    }

    /// The delimiter.
    #[must_use]
    pub fn delimiter(&self) -> Vec<u8> {
        self.delimiter.borrow().clone()
    }

    /// Sets the maximum line length, in bytes without the delimiter.
    pub fn set_max_length(&self, max_length: usize) {
        self.max_length.set(max_length);
    }

    /// Appends input.
    pub fn feed(&mut self, data: &[u8]) {
        self.buffer.feed(data);
    }

    /// Puts bytes before the remaining ones.
    pub fn unread(&mut self, data: &[u8]) {
        self.buffer.unread(data);
        self.searched.set(0);
    }

    /// Returns the next whole line, without its delimiter; `None` until more is fed.
    ///
    /// # Errors
    /// [`LineTooLong`] for a line above the limit, or for more bytes than the limit without a delimiter (Twisted still waits
    /// while they exceed it by less than the delimiter's length). The decoder is empty afterwards, and can go on.
    pub fn next_line(&self) -> Option<Result<&[u8], LineTooLong<'_>>> {
        let limit = Limit { max_length: self.max_length.get(), lines_only: self.lines_only };
        let delimiter = self.delimiter.borrow();
        LineRun::new(&self.buffer, &self.searched, Delimiter::new(&delimiter)?, limit).next_line()
    }

    /// Takes out all bytes not given out yet.
    pub fn take_rest(&self) -> &[u8] {
        self.searched.set(0);
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
}

/// When a line is too long.
#[derive(Clone, Copy)]
pub(crate) struct Limit {
    pub(crate) max_length: usize,
    pub(crate) lines_only: bool,
}

/// Consecutive lines from a buffer that nothing else takes from meanwhile.
pub(crate) struct LineRun<'a, 'd> {
    buffer: &'a ByteBuffer,
    /// The bytes not given out yet; no delimiter ends in the first `searched` of them.
    bytes: &'a [u8],
    searched: usize,
    /// Where the next search starts once more bytes have arrived.
    resume: &'a Cell<usize>,
    delimiter: Delimiter<'d>,
    limit: Limit,
}

impl<'a, 'd> LineRun<'a, 'd> {
    #[inline]
    pub(crate) fn new(buffer: &'a ByteBuffer, resume: &'a Cell<usize>, delimiter: Delimiter<'d>, limit: Limit) -> Self {
        Self { buffer, bytes: buffer.remaining(), searched: resume.take(), resume, delimiter, limit }
    }

    #[inline(always)] // a call for each line is worth more than the code
    pub(crate) fn next_line(&mut self) -> Option<Result<&'a [u8], LineTooLong<'a>>> {
        match self.delimiter.find(self.bytes, self.searched) {
            Some(length) if length <= self.limit.max_length => {
                let (line, rest) = self.bytes.split_at_checked(length)?;
                self.bytes = rest.get(self.delimiter.len()..)?;
                self.searched = 0;
                self.buffer.skip(length + self.delimiter.len());
                Some(Ok(line))
            }
            found => {
                let bytes = std::mem::take(&mut self.bytes);
                refuse(found.unwrap_or(bytes.len()), found.is_some(), self.delimiter.len(), self.buffer, self.resume, self.limit)
            }
        }
    }
}

/// There is no line within the limit. A line that is too long is taken out with all that follows; for an incomplete line,
/// `length` is recorded as the number of bytes searched.
#[cold]
fn refuse<'a>(
    length: usize,
    whole: bool,
    delimiter: usize,
    buffer: &'a ByteBuffer,
    resume: &Cell<usize>,
    Limit { max_length, lines_only }: Limit,
) -> Option<Result<&'a [u8], LineTooLong<'a>>> {
    let too_long = whole || if lines_only { length > max_length } else { length >= max_length.saturating_add(delimiter) };
    if !too_long {
        resume.set(length);
        return None;
    }
    let data = buffer.take(usize::MAX);
    Some(Err(LineTooLong { data: if lines_only { data.get(..length).unwrap_or(data) } else { data }, limit: max_length }))
}

/// A delimiter, prepared for the search: it looks for the last byte, which in CR LF is the rare one, and then compares what comes
/// before it.
#[derive(Clone, Copy)]
pub(crate) struct Delimiter<'a> {
    head: &'a [u8],
    last: u8,
}

impl<'a> Delimiter<'a> {
    /// Returns `None` for an empty delimiter, which ends no line.
    #[inline]
    pub(crate) fn new(bytes: &'a [u8]) -> Option<Self> {
        bytes.split_last().map(|(last, head)| Self { head, last: *last })
    }

    const fn len(self) -> usize {
        self.head.len() + 1
    }

    /// The length of the line before the first delimiter that ends after the first `searched` bytes.
    #[inline]
    fn find(self, bytes: &[u8], searched: usize) -> Option<usize> {
        let from = searched.max(self.head.len());
        let at = from + memchr::memchr(self.last, bytes.get(from..)?)?;
        match self.head {
            [] => Some(at),
            [byte] if bytes.get(at - 1) == Some(byte) => Some(at - 1),
            _ => self.find_from(at, bytes),
        }
    }

    /// The same, where the delimiter's last byte is at `from` or later.
    #[inline(never)]
    fn find_from(self, mut from: usize, bytes: &[u8]) -> Option<usize> {
        loop {
            let at = from + memchr::memchr(self.last, bytes.get(from..)?)?;
            if bytes.get(..at)?.ends_with(self.head) {
                return Some(at - self.head.len());
            }
            from = at + 1;
        }
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
