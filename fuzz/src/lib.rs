//! What the fuzz targets share: input cut into pieces, decoders that must not depend on the cuts, and third-party codecs.

#[path = "../../protocols/tests/framing/any_chunking/feed.rs"]
mod feed;
pub mod reference;

pub use feed::{frames, lines};

/// An input and how to cut it: a count, that many lengths, and the data.
pub struct Cut<'a> {
    /// All bytes in one piece.
    pub whole: &'a [u8],
    /// The same bytes in pieces.
    pub pieces: Vec<&'a [u8]>,
}

impl<'a> Cut<'a> {
    /// Parses an input; `None` if it is too short.
    pub fn new(input: &'a [u8]) -> Option<Self> {
        let (count, rest) = input.split_first()?;
        let (lengths, whole) = rest.split_at_checked(usize::from(count % 16))?;
        Some(Self::at(lengths, whole))
    }

    /// Cuts `whole` into pieces of these lengths; the last one takes the rest.
    pub fn at(lengths: &[u8], whole: &'a [u8]) -> Self {
        let mut left = whole;
        let mut pieces = Vec::new();
        for length in lengths {
            let (piece, rest) = left.split_at(usize::from(*length).min(left.len()));
            pieces.push(piece);
            left = rest;
        }
        pieces.push(left);
        Self { whole, pieces }
    }
}
