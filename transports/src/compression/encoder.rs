//! The outgoing stream: opened by its first byte, flushed by its policy, ended once.

mod deflate;
#[cfg(feature = "lz4")]
mod lz4;
#[cfg(feature = "lz4")]
mod lz4_block;
#[cfg(feature = "zstd")]
mod zstd;

use std::time::Duration;

use torsade_protocols::{Compression, CompressionError, CompressionStats, Flush, Format, SharedBytes};

use super::announcement::Position;
use super::fragment::{Fragment, Kind};
use super::pool::SharedPool;
pub(super) use deflate::DeflateEncoder;

/// The error of a codec, which a peer never causes.
pub(super) type Failure = String;

/// Room made before a flush begins. With less than six bytes zlib repeats the marker (madler/zlib#149).
const FLUSH_ROOM: usize = 64;

/// How long after the last write a stream with [`Flush::Manual`] holds unflushed bytes back.
const MANUAL_IDLE: Duration = Duration::from_secs(1);

/// One outgoing stream.
///
/// Guaranteed for every format: nothing is sent before the first byte is written or a flush is requested, and then header and
/// announcement come first; after a flush the peer can read everything written so far; the end is written at most once, and only
/// to a stream that was opened; nothing is written after it.
pub(super) struct Encoder {
    codec: AnyCodec,
    announce: bool,
    /// Plain bytes that were stored because the program asked for it.
    asked: u64,
    dictionary: Option<u32>,
    ended: bool,
    flush: Flush,
    /// When the flush of [`Flush::After`] is due, or that of [`Flush::Manual`] after a silence.
    flush_at: Option<Duration>,
    flushes: u64,
    format: Format,
    messages: u64,
    opened: bool,
    /// Plain bytes of this direction that preceded the stream.
    passed: u64,
    plain_out: u64,
    /// The peer is Torsade, whose inflater outputs everything after a partial flush.
    reads_partial: bool,
    /// Messages that were inserted as fragments, and how many of those were made here.
    shared: u32,
    shared_made: u32,
    /// What is written is stored.
    uncompressed: bool,
    /// Plain bytes written since the last flush.
    unflushed: usize,
    wire_out: u64,
}

/// How a deflate stream is flushed; other formats know one form only.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum FlushForm {
    /// An empty block with fixed codes, ten bits: most inflaters then output everything, although it ends within a byte.
    Partial,
    /// An empty stored block, which ends at a byte boundary with `00 00 ff ff`.
    Sync,
}

/// The encoder of one format. Each method appends to `wire` what has become ready to send, which may be nothing.
pub(super) trait Codec {
    /// Writes the stream's header, and the announcement if a place for it is given.
    fn open(&mut self, announce: Option<Position>, wire: &mut Vec<u8>) -> Result<(), Failure>;
    fn write(&mut self, plain: &[u8], wire: &mut Vec<u8>, now: Duration) -> Result<(), Failure>;
    /// Appends what the peer needs to read everything. After the sync form the stream is at a byte boundary. If there is
    /// nothing to flush, it appends nothing, except what reaches that boundary.
    fn flush(&mut self, form: FlushForm, wire: &mut Vec<u8>, now: Duration) -> Result<(), Failure>;
    /// After a sync flush: stores `plain` in the stream. What follows will not refer to it, nor to earlier bytes.
    fn store(&mut self, plain: &[u8], wire: &mut Vec<u8>) -> Result<(), Failure>;
    /// The kind of its fragments; `None` if it does not support fragments.
    fn fragment_kind(&self) -> Option<Kind>;
    /// Compresses `plain` alone, for any stream of this kind.
    fn make_fragment(&self, plain: &[u8], now: Duration) -> Result<Vec<u8>, Failure>;
    /// After a sync flush: prepares for a fragment of `plain`, which the caller appends. What follows may refer to `plain`.
    fn pass_fragment(&mut self, plain: &[u8], fragment: &Fragment, wire: &mut Vec<u8>) -> Result<(), Failure>;
    /// After a sync flush: what follows will not refer to earlier bytes.
    fn forget(&mut self, wire: &mut Vec<u8>) -> Result<(), Failure>;
    fn finish(&mut self, wire: &mut Vec<u8>) -> Result<(), Failure>;

    /// After a sync flush: begins a block that never comes, so that no reader takes the stream for complete. In every format a
    /// zero does.
    fn break_off(&mut self, wire: &mut Vec<u8>) {
        wire.push(0);
    }

    /// When it should [`hibernate`](Self::hibernate) if it stays idle; `None` if that would free nothing.
    fn idle_at(&self) -> Option<Duration> {
        None
    }

    /// After a flush: gives back what it has borrowed, or frees what it can rebuild, until the next write.
    fn hibernate(&mut self) {}

    /// Adds the counts that only this format has.
    fn count(&self, _stats: &mut CompressionStats) {}
}

/// The codecs; not boxed, to keep idle connections small.
enum AnyCodec {
    Deflate(DeflateEncoder),
    #[cfg(feature = "lz4")]
    Lz4(lz4::Lz4Encoder),
    #[cfg(feature = "zstd")]
    Zstd(zstd::ZstdEncoder),
}

impl Encoder {
    /// An encoder for a direction that has carried `passed` plain bytes so far. It writes nothing yet.
    pub(super) fn new(options: &Compression, passed: u64, pool: &SharedPool) -> Result<Self, CompressionError> {
        options.check()?;
        let format = options.format;
        super::check_built(format)?;
        Ok(Self {
            codec: AnyCodec::new(options, pool)?,
            announce: options.announce,
            asked: 0,
            dictionary: options.dictionary.as_ref().and_then(|dictionary| dictionary.id(format)),
            ended: false,
            flush: options.flush,
            flush_at: None,
            flushes: 0,
            format,
            messages: 0,
            opened: false,
            passed,
            plain_out: 0,
            reads_partial: false,
            shared: 0,
            shared_made: 0,
            uncompressed: false,
            unflushed: 0,
            wire_out: 0,
        })
    }

    pub(super) const fn format(&self) -> Format {
        self.format
    }

    pub(super) const fn ended(&self) -> bool {
        self.ended
    }

    /// Plain bytes of this direction so far, including those of the stream.
    pub(super) const fn passed(&self) -> u64 {
        self.passed + self.plain_out
    }

    /// Sets whether what is written is stored.
    pub(super) const fn set_uncompressed(&mut self, on: bool) {
        self.uncompressed = on;
    }

    /// Counts one message, of any number of writes.
    pub(super) const fn count_message(&mut self) {
        self.messages += 1;
    }

    /// Compresses plain bytes and appends the result, which may be nothing yet.
    pub(super) fn write(&mut self, plain: &[u8], wire: &mut Vec<u8>, now: Duration) -> Result<(), Failure> {
        if plain.is_empty() || self.ended {
            return Ok(());
        }
        if self.uncompressed {
            return self.store(plain, wire, now);
        }
        self.open(wire)?;
        self.plain_out += plain.len() as u64;
        self.unflushed += plain.len();
        match (self.flush, self.flush_at) {
            (Flush::After { delay, .. }, None) => self.flush_at = Some(now.saturating_add(delay)),
            // In every format and mode, even without an encoder that others may be waiting for.
            (Flush::Manual, _) => self.flush_at = Some(now.saturating_add(MANUAL_IDLE)),
            _ => {}
        }
        self.append(wire, |codec, wire| codec.write(plain, wire, now))
    }

    /// Called at the end of a turn: flushes if the policy says so.
    pub(super) fn turn_ends(&mut self, wire: &mut Vec<u8>, now: Duration) -> Result<(), Failure> {
        let due = match self.flush {
            Flush::Manual => false,
            Flush::After { bytes, .. } => self.unflushed >= bytes || self.flush_at.is_some_and(|at| at <= now),
            _ => true,
        };
        if due && self.unflushed > 0 { self.force_flush(wire, now) } else { Ok(()) }
    }

    /// Notes that the peer is Torsade.
    pub(super) const fn peer_reads_partial_flushes(&mut self) {
        self.reads_partial = true;
    }

    /// Appends what the peer needs to read everything written so far. Opens the stream if nothing was written.
    pub(super) fn force_flush(&mut self, wire: &mut Vec<u8>, now: Duration) -> Result<(), Failure> {
        let form = match self.flush {
            Flush::Partial => FlushForm::Partial,
            Flush::Sync => FlushForm::Sync,
            _ if self.reads_partial => FlushForm::Partial,
            _ => FlushForm::Sync,
        };
        self.flush_as(form, wire, now)
    }

    fn flush_as(&mut self, form: FlushForm, wire: &mut Vec<u8>, now: Duration) -> Result<(), Failure> {
        if self.ended {
            return Ok(());
        }
        let before = wire.len();
        self.open(wire)?;
        self.flush_at = None;
        let flushed = self.append(wire, |codec, wire| codec.flush(form, wire, now));
        self.unflushed = 0;
        self.flushes += u64::from(wire.len() > before);
        flushed
    }

    /// Flushes and stores `plain`, so that the peer can read it at once.
    fn store(&mut self, plain: &[u8], wire: &mut Vec<u8>, now: Duration) -> Result<(), Failure> {
        self.flush_as(FlushForm::Sync, wire, now)?;
        self.plain_out += plain.len() as u64;
        self.asked += plain.len() as u64;
        self.append(wire, |codec, wire| codec.store(plain, wire))
    }

    /// Takes a message that is compressed once for many streams: flushes, and returns what to send after `wire`. The
    /// peer can read it at once, whatever the policy.
    ///
    /// Returns `None`, and does nothing, if the message has to be written in the ordinary way.
    pub(super) fn write_shared(
        &mut self,
        plain: &SharedBytes,
        wire: &mut Vec<u8>,
        now: Duration,
    ) -> Result<Option<SharedBytes>, Failure> {
        if plain.is_empty() || self.ended || self.uncompressed {
            return Ok(None);
        }
        let codec = self.codec.get();
        let Some(kind) = codec.fragment_kind() else { return Ok(None) };
        let Some((fragment, made)) = Fragment::of(plain, &kind, || codec.make_fragment(plain, now))? else { return Ok(None) };
        self.flush_as(FlushForm::Sync, wire, now)?;
        self.append(wire, |codec, wire| codec.pass_fragment(plain, &fragment, wire))?;
        self.plain_out += plain.len() as u64;
        self.wire_out += fragment.wire.len() as u64;
        self.flushes += 1;
        self.messages += 1;
        self.shared = self.shared.saturating_add(1);
        self.shared_made = self.shared_made.saturating_add(made.into());
        Ok(Some(fragment.wire.clone()))
    }

    /// Flushes, and makes what follows independent of earlier bytes.
    pub(super) fn barrier(&mut self, wire: &mut Vec<u8>, now: Duration) -> Result<(), Failure> {
        if self.ended || !self.opened {
            return Ok(());
        }
        self.flush_as(FlushForm::Sync, wire, now)?;
        self.append(wire, |codec, wire| codec.forget(wire))
    }

    /// Ends the stream. One that was never opened leaves no byte.
    pub(super) fn finish(&mut self, wire: &mut Vec<u8>) -> Result<(), Failure> {
        let must_end = self.opened && !self.ended;
        self.ended = true;
        self.flush_at = None;
        if must_end { self.append(wire, |codec, wire| codec.finish(wire)) } else { Ok(()) }
    }

    /// Flushes, and then cuts the stream inside a block: a reader that accepts a stop at a flush as the end does not accept this.
    pub(super) fn break_off(&mut self, wire: &mut Vec<u8>, now: Duration) -> Result<(), Failure> {
        if self.opened && !self.ended {
            self.flush_as(FlushForm::Sync, wire, now)?;
            self.append(wire, |codec, wire| {
                codec.break_off(wire);
                Ok(())
            })?;
        }
        self.ended = true;
        self.flush_at = None;
        Ok(())
    }

    /// When [`Encoder::expire`] has to be called.
    pub(super) fn deadline(&self) -> Option<Duration> {
        [self.flush_at, self.codec.get().idle_at()].into_iter().flatten().min()
    }

    /// Does what has become due; does nothing if called early.
    pub(super) fn expire(&mut self, wire: &mut Vec<u8>, now: Duration) -> Result<(), Failure> {
        let due = |at: Option<Duration>| at.is_some_and(|at| at <= now);
        // Checked before the flush, which restarts the wait. A stream with `Flush::Manual` has been silent for as long.
        let silent = self.flush == Flush::Manual && due(self.flush_at);
        let idle = silent || due(self.codec.get().idle_at());
        if due(self.flush_at) {
            self.force_flush(wire, now)?;
        }
        if idle {
            // Whatever the policy: an encoder with bytes in it cannot be given back.
            if self.unflushed > 0 {
                self.force_flush(wire, now)?;
            }
            self.codec.get_mut().hibernate();
        }
        Ok(())
    }

    /// Adds this stream's counts.
    pub(super) fn count(&self, stats: &mut CompressionStats) {
        stats.format_out = Some(self.format);
        stats.dictionary_out = self.dictionary;
        stats.plain_out += self.plain_out;
        stats.wire_out += self.wire_out;
        stats.flushes += self.flushes;
        stats.messages += self.messages;
        stats.shared += u64::from(self.shared);
        stats.shared_made += u64::from(self.shared_made);
        stats.stored.asked += self.asked;
        let partial = stats.partial_flushes;
        self.codec.get().count(stats);
        stats.sync_flushes += self.flushes.saturating_sub(stats.partial_flushes - partial);
    }

    /// Appends the stream's beginning, once.
    pub(super) fn open(&mut self, wire: &mut Vec<u8>) -> Result<(), Failure> {
        if self.opened {
            return Ok(());
        }
        self.opened = true;
        let announce = self.announce.then(|| Position::after(self.passed));
        self.append(wire, |codec, wire| codec.open(announce, wire))
    }

    /// Lets the codec append something, and counts it.
    fn append(
        &mut self,
        wire: &mut Vec<u8>,
        step: impl FnOnce(&mut dyn Codec, &mut Vec<u8>) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let before = wire.len();
        let done = step(self.codec.get_mut(), wire);
        self.wire_out += (wire.len() - before) as u64;
        done
    }
}

impl AnyCodec {
    fn new(options: &Compression, pool: &SharedPool) -> Result<Self, CompressionError> {
        match options.format {
            #[cfg(feature = "lz4")]
            Format::Lz4 => Ok(Self::Lz4(lz4::Lz4Encoder::new(options))),
            #[cfg(feature = "zstd")]
            Format::Zstd => Ok(Self::Zstd(zstd::ZstdEncoder::new(options, pool)?)),
            Format::Deflate | Format::DeflateRaw | Format::Gzip => Ok(Self::Deflate(DeflateEncoder::new(options, pool))),
            // A format that was added to the enum, but not here.
            _ => Err(CompressionError::Unsupported),
        }
    }

    fn get(&self) -> &dyn Codec {
        match self {
            Self::Deflate(deflate) => deflate,
            #[cfg(feature = "lz4")]
            Self::Lz4(lz4) => lz4,
            #[cfg(feature = "zstd")]
            Self::Zstd(zstd) => zstd,
        }
    }

    fn get_mut(&mut self) -> &mut dyn Codec {
        match self {
            Self::Deflate(deflate) => deflate,
            #[cfg(feature = "lz4")]
            Self::Lz4(lz4) => lz4,
            #[cfg(feature = "zstd")]
            Self::Zstd(zstd) => zstd,
        }
    }
}
