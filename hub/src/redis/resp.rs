//! RESP3 off the wire: `redis-protocol` behind our own decoder.

use std::error::Error;
use std::fmt;

use redis_protocol::resp3::decode::complete::decode_range;
use redis_protocol::resp3::types::RangeFrame;
use torsade_protocols::{Decoded, Decoder, FrameError};

/// The longest frame.
const MAX_FRAME: usize = 16 * 1024 * 1024;

/// The most elements of a frame, nested ones included: each takes a hundred bytes here, and three on the wire.
const MAX_ELEMENTS: usize = 1 << 18;

/// How deep elements may be nested; Redis's own answers are five deep.
const MAX_DEPTH: usize = 16;

/// The longest line: a number, an error, a simple string.
const MAX_LINE: usize = 64 * 1024;

/// A whole frame: its structure, as ranges of its bytes.
pub(super) struct Frame<'a> {
    pub(super) data: &'a [u8],
    pub(super) root: RangeFrame,
}

/// Finds the end of a frame before parsing it, so each frame is parsed once.
///
/// Guaranteed: the work is proportional to the bytes, however they are cut into pieces; no length, depth or number of elements in the bytes
/// allocates memory before it was checked against its limit.
pub(super) struct RespDecoder(Scan);

/// How far a frame has been scanned.
struct Scan {
    /// Where the next element begins; beyond the data if that has not come yet.
    at: usize,
    /// Up to where a line end was searched.
    searched: usize,
    /// How many elements are still to come on each level of nesting, outermost first.
    open: Vec<usize>,
    /// How many elements there are in total.
    elements: usize,
}

/// Bytes that are not RESP3 as Redis sends it.
#[derive(Debug)]
pub(super) struct RespError(String);

impl RespDecoder {
    pub(super) fn new() -> Self {
        Self(Scan::new())
    }
}

impl Decoder for RespDecoder {
    type Frame<'a> = Frame<'a>;
    type Error = RespError;

    const MAX_LENGTH: usize = MAX_FRAME;

    fn decode<'a>(&mut self, data: &'a [u8], max_length: usize) -> Result<Decoded<Frame<'a>>, FrameError<RespError>> {
        let length = match self.0.end(data, max_length)? {
            Ok(length) => length,
            Err(needed) => return Ok(Decoded::Incomplete { needed }),
        };
        self.0.begin();
        let data = data.get(..length).unwrap_or(data);
        match decode_range(data).map_err(|error| RespError(error.to_string()))? {
            Some((root, used)) if used == length => Ok(Decoded::Frame { frame: Frame { data, root }, used }),
            _ => Err(RespError("a frame ends elsewhere than its lengths say".to_owned()).into()),
        }
    }
}

impl Scan {
    fn new() -> Self {
        Self { at: 0, searched: 0, open: vec![1], elements: 1 }
    }

    fn begin(&mut self) {
        (self.at, self.searched, self.elements) = (0, 0, 1);
        self.open.clear();
        self.open.push(1);
    }

    /// The length of the frame; or how many bytes are needed before it is worth trying again.
    fn end(&mut self, data: &[u8], max_length: usize) -> Result<Result<usize, usize>, FrameError<RespError>> {
        loop {
            if self.at > max_length {
                return Err(FrameError::TooLong { length: self.at, limit: max_length });
            }
            while self.open.last() == Some(&0) {
                self.open.pop();
            }
            if self.open.is_empty() {
                return Ok(if data.len() >= self.at { Ok(self.at) } else { Err(self.at) });
            }
            let Some(rest) = data.get(self.at..).filter(|rest| !rest.is_empty()) else { return Ok(Err(self.at + 1)) };
            let searched = self.searched.saturating_sub(self.at).min(rest.len());
            let Some(end) = rest[searched..].iter().position(|byte| *byte == b'\n').map(|end| searched + end) else {
                self.searched = data.len();
                return if rest.len() > MAX_LINE {
                    Err(RespError("a line of it has no end".to_owned()).into())
                } else {
                    Ok(Err(0))
                };
            };
            let line = rest[..end].strip_suffix(b"\r").ok_or_else(|| RespError("a line of it ends without CR".to_owned()))?;
            self.at += end + 1;
            self.element(line, max_length)?;
        }
    }

    /// Reads the line that begins an element.
    fn element(&mut self, line: &[u8], max_length: usize) -> Result<(), FrameError<RespError>> {
        let (kind, text) = line.split_first().ok_or_else(|| RespError("an element of it has no type".to_owned()))?;
        let within = match kind {
            b'+' | b'-' | b':' | b',' | b'#' | b'_' | b'(' => 0,
            b'$' | b'!' | b'=' => {
                self.at = self.at.saturating_add(number(text)?).saturating_add(2);
                if self.at > max_length {
                    return Err(FrameError::TooLong { length: self.at, limit: max_length });
                }
                0
            }
            b'*' | b'~' | b'>' => number(text)?,
            b'%' | b'|' => number(text)?.saturating_mul(2),
            other => return Err(RespError(format!("there is no element of the type {:?}", char::from(*other))).into()),
        };
        // Attributes precede an element and are none themselves.
        if *kind != b'|'
            && let Some(left) = self.open.last_mut()
        {
            *left = left.saturating_sub(1);
        }
        self.elements = self.elements.saturating_add(within);
        if self.elements > MAX_ELEMENTS {
            return Err(RespError(format!("it has more than {MAX_ELEMENTS} elements")).into());
        }
        if within > 0 {
            self.open.push(within);
        }
        if self.open.len() > MAX_DEPTH {
            return Err(RespError(format!("its elements lie more than {MAX_DEPTH} deep in one another")).into());
        }
        Ok(())
    }
}

fn number(text: &[u8]) -> Result<usize, RespError> {
    let digits = std::str::from_utf8(text).ok().filter(|digits| digits.bytes().all(|digit| digit.is_ascii_digit()));
    let number = digits.and_then(|digits| digits.parse::<usize>().ok());
    number.ok_or_else(|| RespError(format!("{:?} is no length", String::from_utf8_lossy(&text[..text.len().min(32)]))))
}

impl fmt::Display for RespError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "no frame of RESP3: {}", self.0)
    }
}

impl Error for RespError {}

#[cfg(test)]
mod tests {
    use torsade_protocols::FrameDecoder;

    use super::super::reply::Reply;
    use super::*;

    fn decoded(pieces: &[&[u8]]) -> Vec<Result<Reply, String>> {
        let (mut decoder, mut frames) = (FrameDecoder::new(RespDecoder::new()), Vec::new());
        for piece in pieces {
            decoder.feed(piece);
            while let Some(frame) = decoder.next_frame() {
                frames.push(frame.map(|frame| Reply::new(frame.data, &frame.root)).map_err(|error| error.to_string()));
            }
        }
        frames
    }

    const FRAMES: &[u8] =
        b"+OK\r\n:12\r\n_\r\n$5\r\nhe\r\nl\r\n*2\r\n$0\r\n\r\n-ERR no\r\n>3\r\n$7\r\nmessage\r\n$1\r\na\r\n$2\r\n\r\n\r\n\
        %1\r\n+key\r\n*1\r\n*0\r\n|1\r\n+ttl\r\n:3\r\n:4\r\n=7\r\ntxt:abc\r\n#t\r\n,1.5\r\n~1\r\n:1\r\n!3\r\nERR\r\n(123\r\n";

    #[test]
    fn frames_do_not_depend_on_how_they_are_cut() {
        let whole = decoded(&[FRAMES]);
        assert_eq!((whole.len(), whole.iter().all(Result::is_ok)), (14, true), "{whole:?}");
        let bytes: Vec<_> = FRAMES.chunks(1).collect();
        assert_eq!(decoded(&bytes), whole);
        for cut in 0..FRAMES.len() {
            assert_eq!(decoded(&[&FRAMES[..cut], &FRAMES[cut..]]), whole, "cut at {cut}");
        }
    }

    #[test]
    fn what_is_not_redis_is_refused_once() {
        let deep = b"*1\r\n".repeat(100_000);
        let wrong: [&[u8]; 13] = [
            b"$?\r\n",
            b"*?\r\n",
            b"$-1\r\n",
            b"HELLO 3\r\n",
            b"?\r\n",
            b"\r\n",
            b"+O\n",
            b"*99999999999999999999\r\n",
            b"*999999\r\n",
            b"$99999999\r\n",
            b"=7\r\nxxx:abc\r\n",
            b"=1\r\na\r\n",
            &deep,
        ];
        for bytes in wrong {
            let frames = decoded(&[bytes, b"+OK\r\n"]);
            assert!(matches!(&frames[..], [Err(_)]), "{:?}: {frames:?}", String::from_utf8_lossy(&bytes[..bytes.len().min(32)]));
        }
        let endless = vec![b'+'; 100_000];
        assert!(matches!(&decoded(&[&endless])[..], [Err(_)]));
    }

    #[test]
    fn no_bytes_make_it_panic() {
        let mut state = 1_u64;
        let mut draw = move |bound: u64| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) % bound
        };
        for _ in 0..20_000 {
            let mut bytes = FRAMES.to_vec();
            for _ in 0..=draw(4) {
                let at = usize::try_from(draw(bytes.len().max(1) as u64)).unwrap();
                match draw(3) {
                    _ if bytes.is_empty() => bytes.push(b'*'),
                    0 => bytes[at] = b"$*%|>~+-:_#,(=!?0129\r\n"[usize::try_from(draw(22)).unwrap()],
                    1 => drop(bytes.remove(at)),
                    _ => bytes.truncate(at.max(1)),
                }
            }
            let _ = decoded(&[&bytes]);
        }
    }
}
