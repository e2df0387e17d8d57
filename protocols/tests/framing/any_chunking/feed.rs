//! Feeds a decoder pieces of its input. The fuzz targets use this file too.

use torsade_protocols::{Decoder, FrameDecoder, LineDecoder};

/// The output until the first error, and whether there was one. What an error contains depends on the cuts.
pub type Outcome = (Vec<Vec<u8>>, bool);

pub fn lines(pieces: &[&[u8]], delimiter: &[u8], limit: usize) -> Outcome {
    let mut decoder = LineDecoder::new();
    decoder.set_delimiter(delimiter);
    decoder.set_max_length(limit);
    let mut lines = Vec::new();
    for piece in pieces {
        decoder.feed(piece);
        while let Some(line) = decoder.next_line() {
            match line {
                Ok(line) => lines.push(line.to_vec()),
                Err(_) => return (lines, true),
            }
        }
        assert!(decoder.len() < limit + delimiter.len(), "more is kept than the limit allows");
    }
    (lines, false)
}

pub fn frames<D>(decoder: D, pieces: &[&[u8]], limit: usize) -> Outcome
where
    D: for<'a> Decoder<Frame<'a> = &'a [u8]>,
{
    let mut decoder = FrameDecoder::new(decoder);
    decoder.set_max_length(limit);
    let mut frames = Vec::new();
    for piece in pieces {
        decoder.feed(piece);
        while let Some(frame) = decoder.next_frame() {
            match frame {
                Ok(frame) => frames.push(frame.to_vec()),
                Err(_) => return (frames, true),
            }
        }
        assert!(decoder.len() <= limit + D::OVERHEAD, "more is kept than the limit allows");
    }
    (frames, false)
}
