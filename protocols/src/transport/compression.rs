//! Compression on a live connection.

use super::Transport;
use crate::compression::{Compression, CompressionError, CompressionStats, Decompression, Detect};

/// The compression of a [`Connection`](crate::spi::Connection). Each method is the one of the same name on [`Transport`].
pub trait ConnectionCompression {
    /// Compresses what is written from here on.
    ///
    /// # Errors
    /// As described at [`CompressionError`].
    fn set_compression(&self, compression: &Compression) -> Result<(), CompressionError>;

    /// Sends what the compressor holds, whatever its flush policy.
    fn flush_compression(&self);

    /// Separates what was written from what will be, for the compressor.
    fn compression_barrier(&self);

    /// Has what is written from here on stored uncompressed in the running stream, until it is turned off again: the first half
    /// of [`Transport::write_uncompressed`], and the last.
    fn set_uncompressed(&self, on: bool);

    /// Ends the outgoing compressed stream; what is written next leaves as it is.
    fn end_compression(&self);

    /// Decompresses what comes in from here on, `rest` before all else.
    ///
    /// # Errors
    /// As described at [`CompressionError`].
    fn expect_compression(&self, decompression: &Decompression, rest: &[u8]) -> Result<(), CompressionError>;

    /// Sets whether a peer's announcement is looked for.
    fn set_detection(&self, detect: Detect);

    /// Bounds the streams that a peer announces.
    fn set_decompression_limits(&self, limits: &Decompression);

    /// Takes the bytes that followed a compressed stream's end.
    fn take_trailing(&self) -> Vec<u8>;

    /// What compression did so far; none if it was never on.
    fn compression_stats(&self) -> Option<CompressionStats>;
}

/// # Compression
/// Switched on in either direction at any time; `manual::compression` of the `torsade` crate says when to, and when not.
impl Transport {
    /// Compresses everything written from here on; what was written before leaves as it is.
    ///
    /// Takes a name (`"deflate"`, `"deflate-raw"`, `"gzip"`, and `"zstd"` or `"lz4"` if built in) or a [`Compression`]
    /// with options. The stream is standard: any ordinary decoder reads it. Hidden inside is an announcement, by which
    /// a Torsade client notices it and decompresses without a call, if nothing was written before (in mid-stream it does
    /// only with [`Detect::Anywhere`]). Each turn's output is flushed once, so nothing
    /// waits in the compressor. Having called this, we also take the same announcement from this peer.
    ///
    /// Do not compress secrets together with text that an attacker can choose: lengths give the secret away. See
    /// [`write_uncompressed`](Self::write_uncompressed).
    ///
    /// # Errors
    /// [`CompressionError::UnknownFormat`] or `NotBuilt`, `Level`; `AlreadyOn` in another format (in the same one, nothing
    /// happens); `Closed` once the connection is lost or closing. Nothing is switched then.
    ///
    /// # Examples
    /// ```
    /// use torsade::prelude::*;
    ///
    /// struct Greeter;
    ///
    /// impl Protocol for Greeter {
    ///     fn connection_made(&mut self, transport: &Transport) -> Result {
    ///         transport.set_compression("deflate")?;
    ///         transport.write("hello, hello, hello\r\n");
    ///         Ok(())
    ///     }
    ///
    ///     fn data_received(&mut self, _: &Transport, _: &[u8]) -> Result {
    ///         Ok(())
    ///     }
    /// }
    /// ```
    #[doc(alias = "setCompression")]
    pub fn set_compression<C>(&self, compression: C) -> Result<(), CompressionError>
    where
        C: TryInto<Compression>,
        CompressionError: From<C::Error>,
    {
        self.compression()?.set_compression(&compression.try_into()?)
    }

    /// Sends all that the compressor holds at the end of this turn, whatever its flush policy; opens the stream if nothing was
    /// written yet.
    ///
    /// Call it right after [`set_compression`](Self::set_compression) where the peer has been told that a stream begins here
    /// (MCCP's `IAC SB 86 IAC SE`): then it gets one, even if nothing is written before it is ended.
    pub fn flush_compression(&self) {
        if let Some(compression) = self.0.compression() {
            compression.flush_compression();
        }
    }

    /// Forgets the compressor's history, so that what follows shares nothing with what was written before.
    ///
    /// Put it before and after a secret that travels with text an attacker may choose. A zstd stream goes on in a new frame,
    /// which a reader has to expect: one with [`AfterEnd::Plain`](crate::AfterEnd::Plain) takes it for plain bytes.
    pub fn compression_barrier(&self) {
        if let Some(compression) = self.0.compression() {
            compression.compression_barrier();
        }
    }

    /// Writes like [`write`](Self::write), but stores the bytes uncompressed in the running stream; without one, the same as
    /// `write`.
    ///
    /// For what is compressed already (a picture, an archive), and for a secret on a connection that also carries what an
    /// attacker may choose: no byte of `data` is compressed, and nothing is ever compressed by referring to it, so that lengths
    /// on the wire tell nothing of it but its own. The bytes keep their place among what is written. They leave with this turn's
    /// output, and so does what was written before, whatever the flush policy. To any reader it is still one stream, except that
    /// zstd goes on in a new frame, as after a [`compression_barrier`](Self::compression_barrier).
    ///
    /// What follows begins without a history, as after a barrier: a picture of 10 KB is well stored, but a stream of small
    /// messages that are stored in turn with compressed ones gains little. A message in a frame is written in two steps: the
    /// length by `write`, the rest by this.
    ///
    /// # Examples
    /// ```
    /// fn log_in(transport: &torsade::Transport, token: &str) {
    ///     transport.write("AUTH ");
    ///     transport.write_uncompressed(token);
    ///     transport.write("\r\n");
    /// }
    /// ```
    pub fn write_uncompressed(&self, data: impl AsRef<[u8]>) {
        let Some(compression) = self.0.compression() else { return self.write(data) };
        // A mode of the connection, not a way past `write`: wrappers in between see these bytes as they do all others.
        compression.set_uncompressed(true);
        self.write(data);
        compression.set_uncompressed(false);
    }

    /// Ends the compressed stream, trailer and all; what is written from here on leaves as it is.
    ///
    /// The end leaves with this turn's output, in its place among what is written. A later
    /// [`set_compression`](Self::set_compression) begins a new stream, in any format. Without a running stream nothing
    /// happens; a stream into which nothing was written leaves nothing. `lose_connection` and `lose_write_connection` end
    /// the stream by themselves.
    ///
    /// The peer must be known to take it: MCCP clients (`IAC DONT 86` asks for it) and gzip readers that look for a next
    /// member do, IMAP and XMPP have no such thing, and a Torsade peer that found the stream by its announcement ends the
    /// connection with `TrailingData` at the first byte after it, unless it set [`AfterEnd::Plain`](crate::AfterEnd::Plain)
    /// by [`set_decompression_limits`](Self::set_decompression_limits) or `expect_compression`.
    ///
    /// # Examples
    /// ```
    /// use torsade::prelude::*;
    ///
    /// struct Mud;
    ///
    /// impl LineProtocol for Mud {
    ///     fn line_received(&mut self, transport: &LineTransport, line: &[u8]) -> Result {
    ///         if line == b"\xff\xfe\x56" {
    ///             transport.end_compression(); // IAC DONT COMPRESS2
    ///             transport.send_line("compression is off");
    ///         }
    ///         Ok(())
    ///     }
    /// }
    /// ```
    #[doc(alias = "endCompression")]
    #[doc(alias = "stopCompression")]
    pub fn end_compression(&self) {
        if let Some(compression) = self.0.compression() {
            compression.end_compression();
        }
    }

    /// Decompresses everything that comes in from here on; for protocols that agree on it (IMAP COMPRESS, MCCP2).
    ///
    /// `rest` is what was already received of the compressed stream, after the command that switched; it is delivered
    /// decompressed, in a later turn. (A [`LineTransport`](crate::LineTransport) finds it by itself.)
    ///
    /// # Errors
    /// As [`set_compression`](Self::set_compression).
    pub fn expect_compression<D>(&self, decompression: D, rest: &[u8]) -> Result<(), CompressionError>
    where
        D: TryInto<Decompression>,
        CompressionError: From<D::Error>,
    {
        self.compression()?.expect_compression(&decompression.try_into()?, rest)
    }

    /// Sets whether a peer's announcement is looked for: `AtStart` where we connect and `Off` where we listen, unless set.
    ///
    /// [`set_compression`](Self::set_compression) has it looked for as well, since the peer may answer in kind: to forbid that,
    /// call this afterwards.
    pub fn set_detection(&self, detect: Detect) {
        if let Some(compression) = self.0.compression() {
            compression.set_detection(detect);
        }
    }

    /// Bounds the streams that a peer announces (total size, ratio, windows), and has the dictionaries that they may ask for; the
    /// format in `limits` does not matter.
    ///
    /// What is not set is, for each format, the default of its [`Decompression`].
    pub fn set_decompression_limits(&self, limits: &Decompression) {
        if let Some(compression) = self.0.compression() {
            compression.set_decompression_limits(limits);
        }
    }

    /// Takes the bytes that followed the end of the peer's compressed stream, where that was an error.
    ///
    /// The connection ends then with `Reason::Decompress`, kind `TrailingData`; in `connection_lost` they are still here.
    #[must_use]
    pub fn take_trailing(&self) -> Vec<u8> {
        self.0.compression().map_or_else(Vec::new, ConnectionCompression::take_trailing)
    }

    /// What compression did on this connection; none if it was never on, and the peer announced none.
    #[must_use]
    pub fn compression_stats(&self) -> Option<CompressionStats> {
        self.0.compression()?.compression_stats()
    }

    fn compression(&self) -> Result<&dyn ConnectionCompression, CompressionError> {
        self.0.compression().ok_or(CompressionError::Unsupported)
    }
}
