//! Streams as flate2, zstd and lz4_flex write and read them, without the engine.

use std::io::{self, Read, Write};

use flate2::{Compression, Decompress, FlushDecompress, GzBuilder, Status};
use torsade::Format;

/// What a library made of a stream.
#[derive(Debug)]
pub struct Outcome {
    /// What it gave until it ended, failed or reached the bound.
    pub plain: Vec<u8>,
    /// Why it gave no more.
    pub end: End,
}

/// Why a library gave no more.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum End {
    /// It had given as much as was asked for.
    Bound,
    /// The stream is over, after so many of its bytes; the libraries of zstd and lz4 do not tell.
    Over(Option<usize>),
    /// It is no such stream.
    Failed,
    /// It wants more input; of zstd and lz4 also: it is no such stream.
    Hungry,
}

/// Reads one stream, until it has given `bound` bytes or a little more.
pub fn read(format: Format, wire: &[u8], bound: usize) -> Outcome {
    match format {
        Format::Deflate => inflate(Decompress::new(true), wire, bound),
        Format::DeflateRaw => inflate(Decompress::new(false), wire, bound),
        Format::Gzip => inflate(Decompress::new_gzip(15), wire, bound),
        Format::Lz4 => read_out(&mut lz4_flex::frame::FrameDecoder::new(wire), bound),
        _ => match zstd::stream::read::Decoder::with_buffer(wire) {
            Ok(decoder) => read_out(&mut decoder.single_frame(), bound),
            Err(_) => Outcome { plain: Vec::new(), end: End::Failed },
        },
    }
}

fn inflate(mut inflate: Decompress, wire: &[u8], bound: usize) -> Outcome {
    let mut plain = Vec::new();
    let end = loop {
        if plain.len() >= bound {
            break End::Bound;
        }
        plain.reserve(1 << 16);
        let (taken, made) = (inflate.total_in() as usize, plain.len());
        match inflate.decompress_vec(&wire[taken..], &mut plain, FlushDecompress::None) {
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

/// Writes a whole stream.
pub fn write(format: Format, level: u32, plain: &[u8]) -> Vec<u8> {
    written(format, level, plain).expect("memory never fails to be written to")
}

fn written(format: Format, level: u32, plain: &[u8]) -> io::Result<Vec<u8>> {
    let deflate = Compression::new(level % 10);
    match format {
        Format::Deflate => {
            let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), deflate);
            encoder.write_all(plain)?;
            encoder.finish()
        }
        Format::DeflateRaw => {
            let mut encoder = flate2::write::DeflateEncoder::new(Vec::new(), deflate);
            encoder.write_all(plain)?;
            encoder.finish()
        }
        Format::Gzip => {
            let mut encoder = GzBuilder::new().operating_system(255).write(Vec::new(), deflate);
            encoder.write_all(plain)?;
            encoder.finish()
        }
        Format::Lz4 => {
            let mut encoder = lz4_flex::frame::FrameEncoder::new(Vec::new());
            encoder.write_all(plain)?;
            Ok(encoder.finish()?)
        }
        _ => {
            let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), (level % 10) as i32)?;
            encoder.include_checksum(true)?;
            encoder.write_all(plain)?;
            encoder.finish()
        }
    }
}

/// Puts Torsade's announcement into a stream that follows `passed` plain bytes, as its manual describes it.
pub fn announce(format: Format, passed: u32, stream: &mut Vec<u8>) {
    let (header, zlib_flags) = match format {
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
    }
    stream.splice(header..header, mark);
}
