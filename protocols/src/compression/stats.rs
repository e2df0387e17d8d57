use std::fmt;

use super::Format;

/// Counts what compression did on one connection.
///
/// The byte counts cover the compressed streams only, not what passed before the switch. So `wire_out / plain_out` is the
/// ratio that was reached, and `messages / flushes` says how many messages shared a flush.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct CompressionStats {
    /// The incoming stream was found by its announcement, not expected.
    pub detected: bool,
    /// The id of the dictionary that the outgoing stream began with; none without one, or where the format names none.
    pub dictionary_out: Option<u32>,
    /// Bytes behind the end of the incoming stream that were dropped, with [`AfterEnd::Drop`](super::AfterEnd::Drop).
    pub dropped_in: u64,
    /// Flushes that produced bytes, the end of the stream not counted.
    pub flushes: u64,
    /// The format of the incoming stream, or of the last one; none if there was none.
    pub format_in: Option<Format>,
    /// The format of the outgoing stream, or of the last one; none if there was none.
    pub format_out: Option<Format>,
    /// How often the encoder was given back, or taken away, while the connection was idle.
    pub hibernations: u64,
    /// What is written now is stored, since compressing what came before it gained less than 3 %; after 256 KiB it is tried
    /// again.
    pub incompressible: bool,
    /// Writes into the outgoing stream that had bytes; one of several pieces is one.
    pub messages: u64,
    /// Those of the flushes that end within a byte, in the short form of deflate: [`Flush::Partial`](super::Flush::Partial).
    pub partial_flushes: u64,
    /// Plain bytes that came out of the decoder.
    pub plain_in: u64,
    /// Plain bytes that went into the encoder.
    pub plain_out: u64,
    /// Those of the messages that were [compressed once](crate::SharedBytes::compressed_once) for all connections that compress alike. Each counts as a
    /// flush.
    pub shared: u64,
    /// Those of the shared messages that this connection has compressed for the others.
    pub shared_made: u64,
    /// Plain bytes that were sent uncompressed inside the outgoing stream, and why.
    pub stored: StoredBytes,
    /// The incoming stream came to its regular end, checksum and all.
    pub stream_ended: bool,
    /// Those of the flushes that end at a byte boundary: [`Flush::Sync`](super::Flush::Sync), and all those of zstd and lz4.
    pub sync_flushes: u64,
    /// The format of a stream that the peer announced where nobody looked for one, so that its bytes were delivered as they came:
    /// the program lacks a call of [`set_detection`](crate::Transport::set_detection), as an error in the log says. None after
    /// [`Detect::Off`](super::Detect::Off).
    pub unsought: Option<Format>,
    /// Bytes that went into the decoder.
    pub wire_in: u64,
    /// Bytes that came out of the encoder, announcement and trailer included.
    pub wire_out: u64,
}

impl CompressionStats {
    /// Returns the size of what was sent as a share of what was written; none before anything was.
    pub fn ratio_out(&self) -> Option<f64> {
        ratio(self.wire_out, self.plain_out)
    }

    /// Returns the size of what was received as a share of what was read; none before anything was.
    pub fn ratio_in(&self) -> Option<f64> {
        ratio(self.wire_in, self.plain_in)
    }
}

/// One line: what each direction carried, and in which format.
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
                write!(f, ", gave the encoder away {} times", self.hibernations)?;
            }
        }
        let mut separator = if self.format_out.is_some() { "; " } else { "" };
        if let Some(format) = self.format_in {
            let how = if self.detected { "detected" } else { "expected" };
            let end = if self.stream_ended { "ended" } else { "not ended" };
            write!(f, "{separator}got {} bytes as {} of {format} ({how}, {end})", self.plain_in, self.wire_in)?;
            if self.dropped_in > 0 {
                write!(f, ", dropped {} behind it", self.dropped_in)?;
            }
            separator = "; ";
        }
        if let Some(format) = self.unsought {
            write!(f, "{separator}the peer announced {format}, which nobody looked for")?;
        }
        Ok(())
    }
}

/// Plain bytes that were stored in the outgoing stream instead of being compressed, by the reason.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct StoredBytes {
    /// The program asked for it, by [`write_uncompressed`](crate::Transport::write_uncompressed) or level 0.
    pub asked: u64,
    /// There were too few for a flush: see [`Compression::threshold`](super::Compression::threshold).
    pub below_threshold: u64,
    /// Compressing what came before them gained less than 3 %.
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
