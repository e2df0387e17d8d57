use std::fmt;

use super::Format;

/// Statistics of compression on one connection.
///
/// The byte counts cover the compressed streams only, not what passed before the switch. `wire_out / plain_out` is the
/// compression ratio, and `messages / flushes` is the average number of messages per flush.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct CompressionStats {
    /// Whether the incoming stream was detected by its announcement rather than expected.
    pub detected: bool,
    /// The id of the dictionary that the outgoing stream began with; `None` without one, or if the format has no id for it.
    pub dictionary_out: Option<u32>,
    /// Bytes after the end of the incoming stream that were dropped because of [`AfterEnd::Drop`](super::AfterEnd::Drop).
    pub dropped_in: u64,
    /// Flushes that produced bytes, without the end of the stream.
    pub flushes: u64,
    /// The format of the current or last incoming stream; `None` if there was none.
    pub format_in: Option<Format>,
    /// The format of the current or last outgoing stream; `None` if there was none.
    pub format_out: Option<Format>,
    /// How often the encoder was given back, or taken away, while the connection was idle.
    pub hibernations: u64,
    /// Whether data is currently stored uncompressed, because compressing the data before it gained less than 3 %. Compression is
    /// tried again after 256 KiB.
    pub incompressible: bool,
    /// Non-empty writes into the outgoing stream; a write of several pieces counts once.
    pub messages: u64,
    /// How many of the flushes were partial, as in [`Flush::Partial`](super::Flush::Partial).
    pub partial_flushes: u64,
    /// Plain bytes that came out of the decoder.
    pub plain_in: u64,
    /// Plain bytes that went into the encoder.
    pub plain_out: u64,
    /// How many of the messages were [compressed once](crate::SharedBytes::compressed_once) for all connections that compress
    /// alike. Each counts as a flush.
    pub shared: u64,
    /// How many of the shared messages this connection compressed for the others.
    pub shared_made: u64,
    /// Plain bytes that were sent uncompressed inside the outgoing stream, by reason.
    pub stored: StoredBytes,
    /// Whether the incoming stream ended regularly, with a valid checksum.
    pub stream_ended: bool,
    /// How many of the flushes ended at a byte boundary: [`Flush::Sync`](super::Flush::Sync), and all those of zstd and lz4.
    pub sync_flushes: u64,
    /// The format of a stream that the peer announced while nothing looked for one, so that its bytes were delivered undecoded.
    /// The program lacks a call of [`set_detection`](crate::Transport::set_detection), as an error in the log says. `None` after
    /// [`Detect::Off`](super::Detect::Off) was set.
    pub unsought: Option<Format>,
    /// Bytes that went into the decoder.
    pub wire_in: u64,
    /// Bytes that came out of the encoder, announcement and trailer included.
    pub wire_out: u64,
}

impl CompressionStats {
    /// Returns the ratio of bytes sent to plain bytes written; `None` before anything was written.
    pub fn ratio_out(&self) -> Option<f64> {
        ratio(self.wire_out, self.plain_out)
    }

    /// Returns the ratio of bytes received to plain bytes read; `None` before anything was read.
    pub fn ratio_in(&self) -> Option<f64> {
        ratio(self.wire_in, self.plain_in)
    }
}

/// One line: the bytes and the format of each direction.
impl fmt::Display for CompressionStats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(format) = self.format_out {
            write!(f, "sent {} bytes as {} of {format}", self.plain_out, self.wire_out)?;
            if let Some(id) = self.dictionary_out {
                write!(f, " with dictionary {id:#x}")?;
            }
            write!(f, " in {} messages and {} flushes", self.messages, self.flushes)?;
            if self.partial_flushes > 0 {
                write!(f, " ({} partial)", self.partial_flushes)?;
            }
            if self.shared > 0 {
                write!(f, ", {} of them shared ({} compressed here)", self.shared, self.shared_made)?;
            }
            let StoredBytes { asked, below_threshold, incompressible, no_encoder } = self.stored;
            for (bytes, why) in [
                (asked, "stored as asked"),
                (below_threshold, "below the threshold"),
                (incompressible, "not worth compressing"),
                (no_encoder, "without a free encoder"),
            ] {
                if bytes > 0 {
                    write!(f, ", {bytes} {why}")?;
                }
            }
            if self.incompressible {
                write!(f, ", storing")?;
            }
            if self.hibernations > 0 {
                write!(f, ", released the encoder {} times", self.hibernations)?;
            }
        }
        let mut separator = if self.format_out.is_some() { "; " } else { "" };
        if let Some(format) = self.format_in {
            let how = if self.detected { "detected" } else { "expected" };
            let end = if self.stream_ended { "ended" } else { "not ended" };
            write!(f, "{separator}received {} bytes as {} of {format} ({how}, {end})", self.plain_in, self.wire_in)?;
            if self.dropped_in > 0 {
                write!(f, ", dropped {} after it", self.dropped_in)?;
            }
            separator = "; ";
        }
        if let Some(format) = self.unsought {
            write!(f, "{separator}the peer announced {format}, which was not expected")?;
        }
        Ok(())
    }
}

/// Plain bytes that were stored in the outgoing stream instead of being compressed, by reason.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct StoredBytes {
    /// The program asked for it with [`write_uncompressed`](crate::Transport::write_uncompressed) or level 0.
    pub asked: u64,
    /// The flush was below the [`Compression::threshold`](super::Compression::threshold).
    pub below_threshold: u64,
    /// Compressing the data before them gained less than 3 %.
    pub incompressible: u64,
    /// All encoders were lent to streams that could not give them back.
    pub no_encoder: u64,
}

impl StoredBytes {
    /// Returns the sum.
    #[must_use]
    pub const fn total(&self) -> u64 {
        self.asked + self.below_threshold + self.incompressible + self.no_encoder
    }
}

fn ratio(wire: u64, plain: u64) -> Option<f64> {
    (plain > 0).then(|| wire as f64 / plain as f64)
}
