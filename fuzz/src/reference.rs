//! Streams written and read by flate2, zstd and lz4_flex, without the engine.

use std::io::{self, Read, Write};

use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};
use torsade::{Dictionary, Format};

/// What a library read from a stream.
#[derive(Debug)]
pub struct Outcome {
    /// What it gave until it ended, failed or reached the limit.
    pub plain: Vec<u8>,
    pub end: End,
}

/// Why a library gave no more.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum End {
    /// It has given as much as was requested.
    Bound,
    /// The stream has ended, after this many of its bytes; the zstd and lz4 libraries do not report that.
    Over(Option<usize>),
    /// The stream is invalid.
    Failed,
    /// It wants more input; for zstd and lz4 also: the stream is invalid.
    Hungry,
}

/// A dictionary of the format: trained for zstd, text for the others. Gzip has none, and the lz4 library does not support any.
pub fn dictionary(format: Format) -> Dictionary {
    match format {
        Format::Zstd => Dictionary::new(include_bytes!("../../transports/src/compression/tests/trained.zdict")),
        _ => Dictionary::with_id(7, "the same again, and a little else; ".repeat(3)),
    }
}

/// Reads one stream, until it has given `bound` bytes or a little more.
pub fn read(format: Format, wire: &[u8], bound: usize, dictionary: Option<&Dictionary>) -> Outcome {
    match format {
        Format::Deflate => inflate(Decompress::new(true), wire, bound, dictionary),
        Format::DeflateRaw => {
            let mut raw = Decompress::new(false);
            if let Some(dictionary) = dictionary {
                raw.set_dictionary(dictionary.bytes()).expect("it may be set at the start");
            }
            inflate(raw, wire, bound, None)
        }
        Format::Gzip => inflate(Decompress::new_gzip(15), wire, bound, None),
        Format::Lz4 => read_out(&mut lz4_flex::frame::FrameDecoder::new(wire), bound),
        _ => {
            // The library would use it even for a frame that does not name it.
            let named = zstd::zstd_safe::get_dict_id_from_frame(wire).and(dictionary);
            match zstd::stream::read::Decoder::with_dictionary(wire, named.map_or(&[][..], Dictionary::bytes)) {
                Ok(decoder) => read_out(&mut decoder.single_frame(), bound),
                Err(_) => Outcome { plain: Vec::new(), end: End::Failed },
            }
        }
    }
}

fn inflate(mut inflate: Decompress, wire: &[u8], bound: usize, dictionary: Option<&Dictionary>) -> Outcome {
    let mut plain = Vec::new();
    let mut dictionary = dictionary;
    let end = loop {
        if plain.len() >= bound {
            break End::Bound;
        }
        plain.reserve(1 << 16);
        let (taken, made) = (inflate.total_in() as usize, plain.len());
        match inflate.decompress_vec(&wire[taken..], &mut plain, FlushDecompress::None) {
            Err(error) if error.needs_dictionary().is_some() => {
                let set = dictionary.take().map(|dictionary| inflate.set_dictionary(dictionary.bytes()));
                if !matches!(set, Some(Ok(_))) {
                    break End::Failed;
                }
            }
            Err(_) => break End::Failed,
            Ok(Status::StreamEnd) => break End::Over(Some(inflate.total_in() as usize)),
            Ok(_) if inflate.total_in() as usize == taken && plain.len() == made => break End::Hungry,
            Ok(_) => {}
        }
    };
    Outcome { plain, end }
}

fn read_out(decoder: &mut dyn Read, bound: usize) -> Outcome {
    let mut plain = Vec::new();
    let mut piece = vec![0; 1 << 16];
    let end = loop {
        if plain.len() >= bound {
            break End::Bound;
        }
        match decoder.read(&mut piece) {
            Ok(0) => break End::Over(None),
            Ok(count) => plain.extend_from_slice(&piece[..count]),
            Err(_) => break End::Hungry,
        }
    };
    Outcome { plain, end }
}

/// Writes a whole stream; in the deflate family with a partial flush after each of these lengths.
pub fn write(format: Format, level: u32, plain: &[u8], dictionary: Option<&Dictionary>, partial: Option<usize>) -> Vec<u8> {
    written(format, level, plain, dictionary, partial).expect("writing to memory never fails")
}

fn written(
    format: Format,
    level: u32,
    plain: &[u8],
    dictionary: Option<&Dictionary>,
    partial: Option<usize>,
) -> io::Result<Vec<u8>> {
    let level = level % 10;
    match format {
        Format::Lz4 => {
            let mut encoder = lz4_flex::frame::FrameEncoder::new(Vec::new());
            encoder.write_all(plain)?;
            Ok(encoder.finish()?)
        }
        Format::Zstd => {
            let known = dictionary.map_or(&[][..], Dictionary::bytes);
            let mut encoder = zstd::stream::write::Encoder::with_dictionary(Vec::new(), level as i32, known)?;
            encoder.include_checksum(true)?;
            encoder.write_all(plain)?;
            encoder.finish()
        }
        _ => {
            let level = Compression::new(level);
            let mut encoder = match format {
                Format::Gzip => Compress::new_gzip(level, 15),
                _ => Compress::new(level, format == Format::Deflate),
            };
            if let Some(dictionary) = dictionary.filter(|_| format != Format::Gzip) {
                encoder.set_dictionary(dictionary.bytes())?;
            }
            let mut wire = Vec::new();
            for piece in plain.chunks(partial.unwrap_or(usize::MAX)) {
                let flush = if partial.is_some() { FlushCompress::Partial } else { FlushCompress::None };
                deflate(&mut encoder, piece, &mut wire, flush)?;
            }
            deflate(&mut encoder, &[], &mut wire, FlushCompress::Finish)?;
            Ok(wire)
        }
    }
}

fn deflate(encoder: &mut Compress, plain: &[u8], wire: &mut Vec<u8>, flush: FlushCompress) -> io::Result<()> {
    let before = encoder.total_in();
    // In one call: a repeated flush writes its mark again.
    wire.reserve(plain.len() * 2 + (1 << 18));
    encoder.compress_vec(plain, wire, flush)?;
    assert_eq!(encoder.total_in() - before, plain.len() as u64);
    Ok(())
}

/// Puts Torsade's announcement into a stream that follows `passed` plain bytes, as the manual describes it.
pub fn announce(format: Format, passed: u32, stream: &mut Vec<u8>, dictionary: bool) {
    let (header, zlib_flags) = match format {
        Format::Deflate if dictionary => (6, Some(0xbb)),
        Format::Zstd if dictionary => (10, None),
        Format::Deflate => (2, Some(0x9c)),
        Format::DeflateRaw => (0, None),
        Format::Gzip => (10, None),
        Format::Lz4 => (7, None),
        _ => (6, None),
    };
    let empty_block = |free: u8| [free << 3, 0, 0, 0xff, 0xff];
    let mark = match format {
        Format::Lz4 => [0, 0, 0, 0x80].repeat(3),
        Format::Zstd => {
            let mut free = if passed == 0 { b"Trs0".to_vec() } else { b"Trs1\x01".to_vec() };
            if passed > 0 {
                free.extend_from_slice(&passed.to_le_bytes());
            }
            free.into_iter().flat_map(|free| [2, 0, 0, free]).collect()
        }
        _ => {
            let bits = (1 << 32) | u64::from(passed);
            let count = (0..7).map(|group| (bits >> (5 * group)) as u8 & 0x1f);
            let mut free = if passed == 0 { vec![0x14, 0x0a, 0x1b] } else { vec![0x14, 0x0a, 0x1d] };
            free.extend(count.filter(|_| passed > 0));
            free.into_iter().flat_map(empty_block).collect()
        }
    };
    if let (Some(flags), Some(place)) = (zlib_flags, stream.get_mut(1)) {
        *place = flags;
    }
    if format == Format::Gzip {
        stream[4..9].fill(0);
        stream[9] = 0xff;
    }
    stream.splice(header..header, mark);
}
