use std::fmt;
use std::sync::{Arc, OnceLock};

use super::Format;

/// The magic number of a trained zstd dictionary (RFC 8878, 5); its id follows.
const TRAINED: [u8; 4] = [0x37, 0xa4, 0x30, 0xec];

/// Bytes that both ends know before the first message, so that even the first message compresses well.
///
/// A dictionary holds typical text: keys, phrases and whole messages, the most frequent ones last. Deflate and lz4 use the last
/// 32 KiB, zstd all of it. The example `torsade_dictionary` makes one from a log of messages and prints what it saves. Clones
/// share the bytes, so a server makes one and gives it to each connection.
///
/// | format | how the reader finds the dictionary |
/// |---|---|
/// | `deflate` | by the Adler-32 of its bytes, in the stream's header (RFC 1950, FDICT) |
/// | `deflate-raw` | by agreement: the reader uses the last one it was given |
/// | `gzip` | not supported |
/// | `zstd` | by the id of a trained dictionary, in each frame's header; by agreement for one without an id |
/// | `lz4` | by the id from [`with_id`](Self::with_id), in the frame's header; without an id by agreement |
///
/// Both ends need *the same bytes*. With an id, a reader that lacks the dictionary ends the connection with
/// [`NeedDictionary`](super::DecompressErrorKind::NeedDictionary). Without one nothing is checked in advance: a reader with a
/// different dictionary decodes different text. The checksum of zstd and lz4 reveals that only at the end of the stream, raw
/// deflate never does.
///
/// A dictionary is not secret: it is in every copy of the program, and anyone who can have their own text compressed with it can
/// infer its content from the lengths. Leave out passwords, tokens and names of people.
///
/// ```
/// use torsade::prelude::*;
/// use torsade::Dictionary;
///
/// let words = Dictionary::new(r#"{"type":"message","room":"lobby","from":"","text":"hello"}"#);
/// let sending = Compression::deflate().dictionary(&words);
/// let receiving = Decompression::deflate().dictionary(&words);
/// assert_eq!(words.id(Format::Deflate), Some(0x2c52_128e));
/// assert!(sending.dictionary.is_some() && receiving.dictionaries.len() == 1);
/// ```
#[derive(Clone)]
pub struct Dictionary(Arc<Content>);

struct Content {
    /// The checksum of the bytes, computed on first use.
    adler: OnceLock<u32>,
    bytes: Box<[u8]>,
    id: Option<u32>,
}

impl Dictionary {
    /// Makes a dictionary of these bytes, which are copied at most once.
    ///
    /// Bytes written by `zstd --train` or the example `torsade_dictionary` contain an id for zstd. Deflate computes its id from
    /// any bytes.
    pub fn new(bytes: impl Into<Vec<u8>>) -> Self {
        Self::with_content(None, bytes.into())
    }

    /// Makes a dictionary with an id for lz4, which has no rule for ids: both ends choose it. Other formats ignore it.
    pub fn with_id(id: u32, bytes: impl Into<Vec<u8>>) -> Self {
        Self::with_content(Some(id), bytes.into())
    }

    /// The bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.0.bytes
    }

    /// The id by which streams of this format name the dictionary; `None` where the two ends have to agree on it.
    pub fn id(&self, format: Format) -> Option<u32> {
        match format {
            Format::Deflate => Some(*self.0.adler.get_or_init(|| adler2::adler32_slice(self.bytes()))),
            Format::DeflateRaw | Format::Gzip => None,
            Format::Lz4 => self.0.id,
            Format::Zstd => {
                let id = self.bytes().strip_prefix(&TRAINED)?.first_chunk()?;
                Some(u32::from_le_bytes(*id)).filter(|id| *id != 0)
            }
        }
    }

    fn with_content(id: Option<u32>, bytes: Vec<u8>) -> Self {
        Self(Arc::new(Content { adler: OnceLock::new(), bytes: bytes.into(), id }))
    }
}

impl Eq for Dictionary {}

/// Two dictionaries are equal if they have the same bytes and the same id.
impl PartialEq for Dictionary {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || (self.0.id, self.bytes()) == (other.0.id, other.bytes())
    }
}

impl fmt::Debug for Dictionary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Dictionary").field("bytes", &self.bytes().len()).field("id", &self.0.id).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_format_names_a_dictionary_in_its_own_way() {
        let trained = [&TRAINED[..], &[0x78, 0x56, 0x34, 0x12], b"tables"].concat();
        for (dictionary, zstd, lz4) in [
            (Dictionary::new("Wikipedia"), None, None),
            (Dictionary::with_id(7, "Wikipedia"), None, Some(7)),
            (Dictionary::new(trained.clone()), Some(0x1234_5678), None),
            (Dictionary::new(&trained[..7]), None, None),
            (Dictionary::new([&TRAINED[..], &[0; 4]].concat()), None, None),
        ] {
            assert_eq!((dictionary.id(Format::Zstd), dictionary.id(Format::Lz4)), (zstd, lz4), "{dictionary:?}");
            assert_eq!((dictionary.id(Format::DeflateRaw), dictionary.id(Format::Gzip)), (None, None));
        }
        assert_eq!(Dictionary::new("Wikipedia").id(Format::Deflate), Some(0x11e6_0398));
        assert_eq!(Dictionary::new("").id(Format::Deflate), Some(1));
    }

    #[test]
    fn clones_share_their_bytes_and_equal_bytes_are_equal() {
        let one = Dictionary::new("abc");
        assert!(std::ptr::eq(one.bytes(), one.clone().bytes()));
        assert_eq!(one, Dictionary::new(b"abc"));
        assert_ne!(one, Dictionary::with_id(1, "abc"));
        assert_ne!(one, Dictionary::new("abd"));
    }
}
