use std::fmt;

use super::Format;

/// Counts what compression did on one connection.
///
/// The byte counts cover the compressed streams only, not what passed before the switch. So `wire_out / plain_out` is the
/// ratio that was reached.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct CompressionStats {
    /// The incoming stream was found by its announcement, not expected.
    pub detected: bool,
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
    /// Those of the flushes that end within a byte, in the short form of deflate: [`Flush::Partial`](super::Flush::Partial).
    pub partial_flushes: u64,
    /// Plain bytes that came out of the decoder.
    pub plain_in: u64,
    /// Plain bytes that went into the encoder.
    pub plain_out: u64,
    /// Plain bytes that were sent uncompressed inside the stream, since compressing them gained nothing.
    pub stored_bytes: u64,
    /// The incoming stream came to its regular end, checksum and all.
    pub stream_ended: bool,
    /// Those of the flushes that end at a byte boundary: [`Flush::Sync`](super::Flush::Sync), and all those of zstd and lz4.
    pub sync_flushes: u64,
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
            write!(f, "sent {} bytes as {} of {format} in {} flushes", self.plain_out, self.wire_out, self.flushes)?;
            if self.stored_bytes > 0 {
                write!(f, ", {} not worth compressing", self.stored_bytes)?;
            }
            if self.hibernations > 0 {
                write!(f, ", gave the encoder away {} times", self.hibernations)?;
            }
        }
        if let Some(format) = self.format_in {
            let separator = if self.format_out.is_some() { "; " } else { "" };
            let how = if self.detected { "detected" } else { "expected" };
            let end = if self.stream_ended { "ended" } else { "not ended" };
            write!(f, "{separator}got {} bytes as {} of {format} ({how}, {end})", self.plain_in, self.wire_in)?;
            if self.dropped_in > 0 {
                write!(f, ", dropped {} behind it", self.dropped_in)?;
            }
        }
        Ok(())
    }
}

fn ratio(wire: u64, plain: u64) -> Option<f64> {
    (plain > 0).then(|| wire as f64 / plain as f64)
}
