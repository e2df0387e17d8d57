//! Zstandard frames, RFC 8878. The encoder writes blocks; the frame header and the announcement are ours.

use std::num::NonZeroU32;
use std::rc::Rc;
use std::time::Duration;

use torsade_protocols::{Compression, CompressionError, Format};
use twox_hash::XxHash64;
use zstd::zstd_safe::zstd_sys::ZSTD_EndDirective as Directive;
use zstd::zstd_safe::{CCtx, CDict, CParameter, InBuffer, OutBuffer, get_error_name};

use super::{Codec, FLUSH_ROOM, Failure, FlushForm};
use crate::compression::announcement::{self, Position};
use crate::compression::fragment::{Fragment, Kind};
use crate::compression::pool::SharedPool;

/// The length of magic number, descriptor and window. Only the dictionary's id may follow: ours has no size.
const HEADER: usize = 6;
const MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];
/// A content checksum, and neither a size nor a dictionary.
const DESCRIPTOR: u8 = 0x04;
/// Bits of the descriptor that say how long the dictionary's id is: 0, 1, 2 or 4 bytes.
const DICTIONARY_LEN: u8 = 0b11;
/// The rest of a frame in which nothing was written: an empty last block, and the low half of the XXH64 of nothing.
const END_OF_NOTHING: [u8; 7] = [0x01, 0, 0, 0x99, 0xe9, 0xd8, 0x51];
/// The longest block, RFC 8878, 3.1.1.2.4.
const BLOCK: usize = 128 << 10;

self_cell::self_cell!(
    /// The codec, which refers to its dictionary.
    struct Context {
        owner: Option<Rc<CDict<'static>>>,
        #[covariant]
        dependent: CCtx,
    }
);

pub(super) struct ZstdEncoder {
    /// `None` before anything is compressed and after the end: it takes one to many megabytes.
    context: Option<Context>,
    dictionary: Option<Rc<CDict<'static>>>,
    /// A frame has begun and not ended.
    in_frame: bool,
    level: u32,
    /// The encoder has not written its own header yet, which will be removed: ours is there already.
    own_header: bool,
}

impl ZstdEncoder {
    pub(super) fn new(options: &Compression, pool: &SharedPool) -> Result<Self, CompressionError> {
        let level = options.level.unwrap_or(Format::Zstd.default_level());
        let dictionary = match &options.dictionary {
            Some(dictionary) => Some(pool.borrow_mut().digests().for_encoder(dictionary, level)?),
            None => None,
        };
        Ok(Self { context: None, dictionary, in_frame: false, level, own_header: false })
    }

    fn drive(&mut self, plain: &[u8], wire: &mut Vec<u8>, directive: Directive) -> Result<(), Failure> {
        let context = match &mut self.context {
            Some(context) => context,
            none => none.insert(context(self.level, self.dictionary.clone())?),
        };
        let mut input = InBuffer::around(plain);
        loop {
            let before = (input.pos(), wire.len());
            wire.reserve(FLUSH_ROOM + (plain.len() - input.pos()) / 2);
            let start = wire.len();
            let left = {
                let mut output = OutBuffer::around_pos(wire, start);
                context
                    .with_dependent_mut(|_, context| context.compress_stream2(&mut output, &mut input, directive))
                    .map_err(failure)?
            };
            if self.own_header && wire.len() > start {
                drop_own_header(wire, start)?;
                self.own_header = false;
            }
            let all_taken = input.pos() == plain.len();
            let over = directive == Directive::ZSTD_e_continue || left == 0;
            if all_taken && over {
                return Ok(());
            }
            if before == (input.pos(), start) && wire.len() == start {
                return Err("the zstd encoder makes no progress although it has room".to_owned());
            }
        }
    }
}

impl Codec for ZstdEncoder {
    fn open(&mut self, announce: Option<Position>, wire: &mut Vec<u8>) -> Result<(), Failure> {
        self.in_frame = true;
        self.own_header = true;
        write_header(window_log(self.level), self.dictionary.as_ref().and_then(|dictionary| dictionary.get_dict_id()), wire);
        if let Some(position) = announce {
            announcement::write_mark(Format::Zstd, position, wire);
        }
        Ok(())
    }

    fn write(&mut self, plain: &[u8], wire: &mut Vec<u8>, _now: Duration) -> Result<(), Failure> {
        self.in_frame = true;
        self.drive(plain, wire, Directive::ZSTD_e_continue)
    }

    fn flush(&mut self, _form: FlushForm, wire: &mut Vec<u8>, _now: Duration) -> Result<(), Failure> {
        if self.context.is_some() { self.drive(&[], wire, Directive::ZSTD_e_flush) } else { Ok(()) }
    }

    /// Ends the frame and writes one of raw blocks: the encoder would not know of raw blocks inside its frame.
    fn store(&mut self, plain: &[u8], wire: &mut Vec<u8>) -> Result<(), Failure> {
        self.forget(wire)?;
        write_header(window_log(self.level), None, wire);
        let mut blocks = plain.chunks(BLOCK).peekable();
        while let Some(block) = blocks.next() {
            let last = u32::from(blocks.peek().is_none());
            let header = (block.len() as u32) << 3 | last; // type 0, raw, RFC 8878, 3.1.1.2
            wire.extend_from_slice(&header.to_le_bytes()[..3]);
            wire.extend_from_slice(block);
        }
        let checksum = XxHash64::oneshot(0, plain) as u32; // its low half, 3.1.1
        wire.extend_from_slice(&checksum.to_le_bytes());
        Ok(())
    }

    /// Ends the frame, since zstd cannot discard history inside one. The next write begins another.
    fn forget(&mut self, wire: &mut Vec<u8>) -> Result<(), Failure> {
        if std::mem::take(&mut self.in_frame) {
            if self.context.is_none() {
                self.own_header = false;
                wire.extend_from_slice(&END_OF_NOTHING);
            } else {
                self.drive(&[], wire, Directive::ZSTD_e_end)?;
            }
        }
        Ok(())
    }

    fn fragment_kind(&self) -> Option<Kind> {
        Some(Kind::Zstd { level: self.level, dictionary: self.dictionary.clone() })
    }

    /// A frame of its own: an encoder does not know of foreign blocks between its own.
    fn make_fragment(&self, plain: &[u8], _now: Duration) -> Result<Vec<u8>, Failure> {
        let mut context = context(self.level, self.dictionary.clone())?;
        let mut wire = Vec::with_capacity(zstd::zstd_safe::compress_bound(plain.len()));
        context.with_dependent_mut(|_, context| {
            context.set_parameter(CParameter::ContentSizeFlag(true)).map_err(failure)?;
            context.compress2(&mut wire, plain).map_err(failure)
        })?;
        Ok(wire)
    }

    fn pass_fragment(&mut self, _plain: &[u8], _fragment: &Fragment, wire: &mut Vec<u8>) -> Result<(), Failure> {
        self.forget(wire)
    }

    fn finish(&mut self, wire: &mut Vec<u8>) -> Result<(), Failure> {
        self.forget(wire)?;
        self.context = None;
        Ok(())
    }

    /// Between frames, where a zero would not belong to the stream, begins the header of another frame.
    fn break_off(&mut self, wire: &mut Vec<u8>) {
        if self.in_frame { wire.push(0) } else { wire.extend_from_slice(&MAGIC) }
    }
}

/// An encoder for frames of unknown size.
fn context(level: u32, dictionary: Option<Rc<CDict<'static>>>) -> Result<Context, Failure> {
    let parameters = [
        CParameter::CompressionLevel(level as i32), // at most 22
        CParameter::WindowLog(window_log(level)),
        CParameter::ContentSizeFlag(false),
        CParameter::ChecksumFlag(true),
    ];
    Context::try_new(dictionary, |dictionary| {
        let mut context = CCtx::try_create().ok_or("no memory for a zstd encoder")?;
        for parameter in parameters {
            context.set_parameter(parameter).map_err(failure)?;
        }
        if let Some(dictionary) = dictionary {
            context.ref_cdict(dictionary).map_err(failure)?;
        }
        Ok::<_, Failure>(context)
    })
}

fn write_header(window_log: u32, dictionary: Option<NonZeroU32>, wire: &mut Vec<u8>) {
    wire.extend_from_slice(&MAGIC);
    let descriptor = DESCRIPTOR | if dictionary.is_some() { DICTIONARY_LEN } else { 0 };
    wire.extend_from_slice(&[descriptor, ((window_log - 10) << 3) as u8]);
    if let Some(id) = dictionary {
        wire.extend_from_slice(&id.get().to_le_bytes());
    }
}

/// The window by level. Zstd's own windows are not used: above level 19 they exceed the 8 MiB that RFC 8878 asks every reader to
/// accept, and below they take megabytes per connection.
const fn window_log(level: u32) -> u32 {
    match level {
        0..=4 => 19,
        5..=12 => 21,
        _ => 23,
    }
}

/// Removes the header that the encoder wrote at `start`. It may state a smaller window than ours, which does no harm.
fn drop_own_header(wire: &mut Vec<u8>, start: usize) -> Result<(), Failure> {
    let header = wire.get(start..start + HEADER).ok_or("the zstd encoder wrote less than a header")?;
    if header[..4] != MAGIC || header[4] & !DICTIONARY_LEN != DESCRIPTOR {
        return Err("the zstd encoder wrote an unexpected frame header".to_owned());
    }
    let id_len = [0, 1, 2, 4][usize::from(header[4] & DICTIONARY_LEN)];
    wire.drain(start..start + HEADER + id_len);
    Ok(())
}

fn failure(code: usize) -> Failure {
    get_error_name(code).to_owned()
}
