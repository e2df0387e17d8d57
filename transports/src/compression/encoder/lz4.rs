//! LZ4 frames of linked blocks. Between two flushes only the history is kept, to which the next block may refer.

use std::borrow::Cow;
use std::hash::Hasher;
use std::time::Duration;

use lz4_flex::block::{compress_into_with_dict, get_maximum_output_size};
use torsade_protocols::{Compression, Dictionary, Format};
use twox_hash::XxHash32;

use super::{Codec, Failure, FlushForm};
use crate::compression::announcement::{self, Place};
use crate::compression::history::History;

/// The longest block, as the header says.
const BLOCK: usize = 64 << 10;
/// The largest buffer for pending bytes that an idle connection keeps.
const KEEP: usize = 4 << 10;
/// Set in a block's size when the block is not compressed.
const UNCOMPRESSED: u32 = 1 << 31;

pub(super) struct Lz4Encoder {
    checksum: XxHash32,
    /// What came before the history; none once that no longer has all that the stream has carried.
    dictionary: Option<Dictionary>,
    history: History,
    pending: Vec<u8>,
}

impl Lz4Encoder {
    pub(super) fn new(options: &Compression) -> Self {
        Self {
            checksum: XxHash32::with_seed(0),
            dictionary: options.dictionary.clone(),
            history: History::new(options.history),
            pending: Vec::new(),
        }
    }

    fn write_pending(&mut self, wire: &mut Vec<u8>) -> Result<(), Failure> {
        let mut pending = std::mem::take(&mut self.pending);
        if !pending.is_empty() {
            self.block(&pending, wire)?;
        }
        if pending.capacity() <= KEEP {
            pending.clear();
            self.pending = pending;
        }
        Ok(())
    }

    fn block(&mut self, plain: &[u8], wire: &mut Vec<u8>) -> Result<(), Failure> {
        let start = wire.len();
        let body = start + 4;
        wire.resize(body + get_maximum_output_size(plain.len()), 0);
        let history = self.history.oldest_first();
        let known = match &self.dictionary {
            Some(dictionary) => Cow::Owned([dictionary.bytes(), history].concat()),
            None => Cow::Borrowed(history),
        };
        let made = compress_into_with_dict(plain, &mut wire[body..], &known).map_err(|error| error.to_string())?;
        let size = if made < plain.len() {
            wire.truncate(body + made);
            made as u32 // less than BLOCK
        } else {
            wire.truncate(body);
            wire.extend_from_slice(plain);
            plain.len() as u32 | UNCOMPRESSED
        };
        wire[start..body].copy_from_slice(&size.to_le_bytes());
        if !self.history.has_room(plain.len()) {
            self.dictionary = None;
        }
        self.history.push(plain);
        Ok(())
    }
}

impl Codec for Lz4Encoder {
    fn open(&mut self, announce: Option<Place>, wire: &mut Vec<u8>) -> Result<(), Failure> {
        let dictionary = self.dictionary.as_ref().and_then(|dictionary| dictionary.id(Format::Lz4));
        announcement::write_header(Format::Lz4, 1, dictionary, wire);
        if let Some(place) = announce {
            announcement::write_mark(Format::Lz4, place, wire);
        }
        Ok(())
    }

    fn write(&mut self, plain: &[u8], wire: &mut Vec<u8>, _now: Duration) -> Result<(), Failure> {
        self.checksum.write(plain);
        let mut rest = plain;
        while self.pending.len() + rest.len() >= BLOCK {
            let (piece, after) = rest.split_at(BLOCK - self.pending.len());
            rest = after;
            if self.pending.is_empty() {
                self.block(piece, wire)?;
            } else {
                self.pending.extend_from_slice(piece);
                self.write_pending(wire)?;
            }
        }
        self.pending.extend_from_slice(rest);
        Ok(())
    }

    fn flush(&mut self, _form: FlushForm, wire: &mut Vec<u8>, _now: Duration) -> Result<(), Failure> {
        self.write_pending(wire)
    }

    fn store(&mut self, plain: &[u8], wire: &mut Vec<u8>) -> Result<(), Failure> {
        self.checksum.write(plain);
        for block in plain.chunks(BLOCK) {
            let size = block.len() as u32 | UNCOMPRESSED; // at most BLOCK
            wire.extend_from_slice(&size.to_le_bytes());
            wire.extend_from_slice(block);
        }
        self.forget(wire)
    }

    fn forget(&mut self, _wire: &mut Vec<u8>) -> Result<(), Failure> {
        self.dictionary = None;
        self.history.clear();
        Ok(())
    }

    fn finish(&mut self, wire: &mut Vec<u8>) -> Result<(), Failure> {
        self.write_pending(wire)?;
        self.history.clear();
        wire.extend_from_slice(&0u32.to_le_bytes());
        wire.extend_from_slice(&self.checksum.finish_32().to_le_bytes());
        Ok(())
    }
}
