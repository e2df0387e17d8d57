//! LZ4 frames of linked blocks, which may refer to earlier blocks.

use std::hash::Hasher;
use std::time::Duration;

use torsade_protocols::{Compression, Dictionary, Format};
use twox_hash::XxHash32;

use super::lz4_block::{self, Table};
use super::{Codec, Failure, FlushForm};
use crate::compression::announcement::{self, Position};
use crate::compression::fragment::{Fragment, Kind};

/// The most plain bytes in a block. The header allows 64 KiB, but a block has to fit into a window with what it may refer to.
const BLOCK: usize = 16 << 10;
/// How far back blocks refer at most.
const KNOWN: usize = 32 << 10;
/// Set in a block's size when the block is not compressed.
const UNCOMPRESSED: u32 = 1 << 31;
/// How long after the last write the table is freed; it can be rebuilt.
const IDLE: Duration = Duration::from_secs(1);

const _: () = assert!(KNOWN + KNOWN / 4 + BLOCK <= lz4_block::WINDOW);

/// A stream of lz4: a window with what blocks may refer to and what is pending, and while it is in use the window's table.
pub(super) struct Lz4Encoder {
    /// When it was last written to.
    active: Duration,
    checksum: XxHash32,
    /// What precedes everything sent; `None` once that is more than the history.
    dictionary: Option<Dictionary>,
    history: usize,
    /// How many bytes at the beginning of the window belong to the dictionary.
    lent: usize,
    /// Where the unsent bytes begin in the window.
    pending: usize,
    table: Option<Table>,
    window: Vec<u8>,
}

impl Lz4Encoder {
    pub(super) fn new(options: &Compression) -> Self {
        Self {
            active: Duration::ZERO,
            checksum: XxHash32::with_seed(0),
            dictionary: options.dictionary.clone(),
            history: options.history.min(KNOWN),
            lent: 0,
            pending: 0,
            table: None,
            window: Vec::new(),
        }
    }

    /// Sends the pending bytes as a block, if there are any.
    fn block(&mut self, wire: &mut Vec<u8>) {
        let plain = self.window.len() - self.pending;
        if plain == 0 {
            return;
        }
        let mut table = self.table.take().unwrap_or_else(|| self.wake());
        let start = wire.len();
        let body = start + 4;
        // Incompressible data grows by a byte per 255, and a few.
        wire.reserve(4 + plain + plain / 255 + 16);
        wire.extend_from_slice(&[0; 4]);
        lz4_block::write(&self.window, self.pending, &mut table, wire);
        let mut size = (wire.len() - body) as u32; // hardly more than BLOCK
        if size as usize >= plain {
            wire.truncate(body);
            wire.extend_from_slice(&self.window[self.pending..]);
            size = plain as u32 | UNCOMPRESSED;
        }
        wire[start..body].copy_from_slice(&size.to_le_bytes());
        self.table = Some(table);
        self.pending = self.window.len();
        self.forget_oldest();
    }

    /// Puts the dictionary at the beginning of the window again, and builds the window's table.
    fn wake(&mut self) -> Table {
        if let Some(dictionary) = &self.dictionary {
            let bytes = dictionary.bytes();
            self.lent = bytes.len().min(KNOWN - self.pending);
            self.pending += self.lent;
            self.window.splice(..0, bytes[bytes.len() - self.lent..].iter().copied());
        }
        Table::new(&self.window[..self.pending])
    }

    /// Drops what blocks may not refer to, but not before it is a quarter, so that the rest is seldom moved.
    fn forget_oldest(&mut self) {
        if self.pending - self.lent > self.history {
            self.dictionary = None;
            self.lent = 0;
        }
        let keep = if self.dictionary.is_some() { KNOWN } else { self.history };
        if self.pending > keep + keep / 4 {
            self.drop_first(self.pending - keep);
        }
    }

    /// Adds bytes that were sent without this encoder to what blocks may refer to.
    fn record_sent(&mut self, plain: &[u8]) {
        if plain.len() >= KNOWN {
            self.clear();
        }
        for piece in plain[plain.len().saturating_sub(KNOWN)..].chunks(BLOCK) {
            self.window.extend_from_slice(piece);
            self.pending = self.window.len();
            self.forget_oldest();
        }
    }

    fn clear(&mut self) {
        self.dictionary = None;
        // The table too: the positions of forgotten bytes must not influence the output.
        self.table = None;
        self.window = Vec::new();
        (self.lent, self.pending) = (0, 0);
    }

    fn drop_first(&mut self, count: usize) {
        self.window.drain(..count);
        self.pending -= count;
        self.lent = self.lent.saturating_sub(count);
        if let Some(table) = &mut self.table {
            table.slide(count);
        }
    }
}

impl Codec for Lz4Encoder {
    fn open(&mut self, announce: Option<Position>, wire: &mut Vec<u8>) -> Result<(), Failure> {
        let dictionary = self.dictionary.as_ref().and_then(|dictionary| dictionary.id(Format::Lz4));
        announcement::write_header(Format::Lz4, 1, dictionary, wire);
        if let Some(position) = announce {
            announcement::write_mark(Format::Lz4, position, wire);
        }
        Ok(())
    }

    fn write(&mut self, plain: &[u8], wire: &mut Vec<u8>, now: Duration) -> Result<(), Failure> {
        self.checksum.write(plain);
        self.active = now;
        let mut rest = plain;
        while !rest.is_empty() {
            let room = BLOCK - (self.window.len() - self.pending);
            let (piece, after) = rest.split_at(rest.len().min(room));
            self.window.extend_from_slice(piece);
            if piece.len() == room {
                self.block(wire);
            }
            rest = after;
        }
        Ok(())
    }

    fn flush(&mut self, _form: FlushForm, wire: &mut Vec<u8>, _now: Duration) -> Result<(), Failure> {
        self.block(wire);
        Ok(())
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

    fn fragment_kind(&self) -> Option<Kind> {
        Some(Kind::Lz4)
    }

    fn make_fragment(&self, plain: &[u8], now: Duration) -> Result<Vec<u8>, Failure> {
        let mut alone = Self::new(&Compression::lz4());
        let mut wire = Vec::new();
        alone.write(plain, &mut wire, now)?;
        alone.block(&mut wire);
        Ok(wire)
    }

    /// Two XXH32 cannot be combined: each stream adds the bytes to its own.
    fn pass_fragment(&mut self, plain: &[u8], _fragment: &Fragment, _wire: &mut Vec<u8>) -> Result<(), Failure> {
        self.checksum.write(plain);
        self.record_sent(plain);
        Ok(())
    }

    fn forget(&mut self, _wire: &mut Vec<u8>) -> Result<(), Failure> {
        self.clear();
        Ok(())
    }

    fn finish(&mut self, wire: &mut Vec<u8>) -> Result<(), Failure> {
        self.block(wire);
        wire.extend_from_slice(&0u32.to_le_bytes());
        wire.extend_from_slice(&self.checksum.finish_32().to_le_bytes());
        self.forget(wire)
    }

    fn idle_at(&self) -> Option<Duration> {
        self.table.is_some().then(|| self.active.saturating_add(IDLE))
    }

    /// After a flush: frees the table and all memory that the history does not need.
    fn hibernate(&mut self) {
        self.table = None;
        let beyond = if self.dictionary.is_some() { self.lent } else { self.pending.saturating_sub(self.history) };
        self.drop_first(beyond);
        self.window.shrink_to_fit();
    }
}
