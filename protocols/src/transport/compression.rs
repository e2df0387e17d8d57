//! Compression on a live connection.

use super::Transport;
use crate::compression::{Compression, CompressionError, CompressionStats, Decompression, Detect};

/// The compression of a [`Connection`](crate::spi::Connection). Each method implements the one of the same name on [`Transport`].
pub trait ConnectionCompression {
    /// Compresses what is written from here on.
    ///
    /// # Errors
    /// See [`CompressionError`].
    fn set_compression(&self, compression: &Compression) -> Result<(), CompressionError>;

    /// Sends what the compressor holds, whatever its flush policy.
    fn flush_compression(&self);

    /// Makes the compressor forget what was written before.
    fn compression_barrier(&self);

    /// Sets whether what is written from here on is stored uncompressed in the running stream. [`Transport::write_uncompressed`]
    /// turns it on before the write and off after it.
    fn set_uncompressed(&self, on: bool);

    /// Ends the outgoing compressed stream; what is written next is sent uncompressed.
    fn end_compression(&self);

    /// Decompresses what arrives from here on, beginning with `rest`.
    ///
    /// # Errors
    /// See [`CompressionError`].
    fn expect_compression(&self, decompression: &Decompression, rest: &[u8]) -> Result<(), CompressionError>;

    /// Sets whether to look for a peer's announcement.
    fn set_detection(&self, detect: Detect);

    /// Limits the streams that a peer announces.
    fn set_decompression_limits(&self, limits: &Decompression);

    /// Takes the bytes after the end of a compressed stream.
    fn take_trailing(&self) -> Vec<u8>;

    /// Statistics; `None` if compression was never on.
    fn compression_stats(&self) -> Option<CompressionStats>;
}

/// # Compression
/// Each direction can be switched on at any time; `manual::compression` of the `torsade` crate says when to, and when not.
impl Transport {
    /// Compresses everything written from here on; what was written before is not compressed.
    ///
    /// Takes a name (`"deflate"`, `"deflate-raw"`, `"gzip"`, and `"zstd"` or `"lz4"` if compiled in) or a [`Compression`] with
    /// options. The stream is standard: any decoder reads it. It contains an announcement that other decoders ignore. A Torsade
    /// client recognizes it and decompresses without a call, provided nothing was written before (in mid-stream only with
    /// [`Detect::Anywhere`]). Output is flushed once a turn, so nothing waits in the compressor. After this call we also
    /// recognize an announcement from this peer.
    ///
    /// Do not compress secrets together with text that an attacker can choose: the lengths reveal the secret. See
    /// [`write_uncompressed`](Self::write_uncompressed).
    ///
    /// # Errors
    /// [`CompressionError::UnknownFormat`], `NotBuilt` or `Level`; `AlreadyOn` if on in another format (in the same one, nothing
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

    /// Sends everything the compressor holds at the end of this turn, whatever its flush policy; opens the stream if nothing was
    /// written yet.
    ///
    /// Call it right after [`set_compression`](Self::set_compression) if the peer was told that a stream begins here (in MCCP by
    /// `IAC SB 86 IAC SE`): then there is one, even if nothing is written before it ends.
    pub fn flush_compression(&self) {
        if let Some(compression) = self.0.compression() {
            compression.flush_compression();
        }
    }

    /// Makes the compressor forget its history, so that what follows does not refer to what was written before.
    ///
    /// Call it before and after a secret that is sent along with text an attacker may choose. A zstd stream continues in a new
    /// frame, which the reader has to expect: a reader with [`AfterEnd::Plain`](crate::AfterEnd::Plain) takes it for plain bytes.
    pub fn compression_barrier(&self) {
        if let Some(compression) = self.0.compression() {
            compression.compression_barrier();
        }
    }

    /// Writes like [`write`](Self::write), but stores the bytes uncompressed in the running stream; without a stream, the same as
    /// `write`.
    ///
    /// Use it for data that is already compressed (a picture, an archive), and for a secret on a connection that also carries
    /// text an attacker may choose: no byte of `data` is compressed and nothing is ever compressed by referring to it, so lengths
    /// on the wire reveal nothing but its own length. The bytes keep their place among other writes. They leave with this turn's
    /// output, as does everything written before, whatever the flush policy. For any reader it is still one stream, except that
    /// zstd continues in a new frame, as after a [`compression_barrier`](Self::compression_barrier).
    ///
    /// What follows starts without history, as after a barrier: storing a picture of 10 KB pays off, but alternating stored and
    /// compressed small messages gains little. To write a framed message, write its length with `write` and the rest with this.
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
        // A mode of the connection rather than another way to write, so that wrappers in between see these bytes like all others.
        compression.set_uncompressed(true);
        self.write(data);
        compression.set_uncompressed(false);
    }

    /// Ends the compressed stream with its trailer; what is written from here on is not compressed.
    ///
    /// The end leaves with this turn's output, in its place among the writes. A later [`set_compression`](Self::set_compression)
    /// begins a new stream, in any format. Without a running stream nothing happens; a stream into which nothing was written
    /// leaves no bytes. `lose_connection` and `lose_write_connection` end the stream by themselves.
    ///
    /// The peer has to support it. MCCP clients (`IAC DONT 86` asks for it) and gzip readers that expect further members do; IMAP
    /// and XMPP have no such thing. A Torsade peer that found the stream by its announcement ends the connection with
    /// `TrailingData` at the first byte after it, unless it set [`AfterEnd::Plain`](crate::AfterEnd::Plain) with
    /// [`set_decompression_limits`](Self::set_decompression_limits) or `expect_compression`.
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

    /// Decompresses everything that arrives from here on; for protocols that negotiate compression (IMAP COMPRESS, MCCP2).
    ///
    /// `rest` is what already arrived of the compressed stream, after the command that switched. It is delivered decompressed, in
    /// a later turn. (A [`LineTransport`](crate::LineTransport) passes it by itself.)
    ///
    /// # Errors
    /// See [`set_compression`](Self::set_compression).
    pub fn expect_compression<D>(&self, decompression: D, rest: &[u8]) -> Result<(), CompressionError>
    where
        D: TryInto<Decompression>,
        CompressionError: From<D::Error>,
    {
        self.compression()?.expect_compression(&decompression.try_into()?, rest)
    }

    /// Sets whether to look for a peer's announcement; default `AtStart` for connections we make and `Off` for those we accept.
    ///
    /// [`set_compression`](Self::set_compression) also starts looking for it, since the peer may answer in kind. To prevent that,
    /// call this afterwards.
    pub fn set_detection(&self, detect: Detect) {
        if let Some(compression) = self.0.compression() {
            compression.set_detection(detect);
        }
    }

    /// Sets the limits of streams that a peer announces (total size, ratio, windows), and the dictionaries they may ask for. The
    /// format in `limits` is ignored.
    ///
    /// Limits that are not set are the defaults of the announced format's [`Decompression`].
    pub fn set_decompression_limits(&self, limits: &Decompression) {
        if let Some(compression) = self.0.compression() {
            compression.set_decompression_limits(limits);
        }
    }

    /// Takes the bytes that followed the end of the peer's compressed stream, if that was an error.
    ///
    /// The connection then ends with `Reason::Decompress` of kind `TrailingData`, and the bytes are still available in
    /// `connection_lost`.
    #[must_use]
    pub fn take_trailing(&self) -> Vec<u8> {
        self.0.compression().map_or_else(Vec::new, ConnectionCompression::take_trailing)
    }

    /// Statistics of compression on this connection; `None` if it was never on and the peer announced none.
    #[must_use]
    pub fn compression_stats(&self) -> Option<CompressionStats> {
        self.0.compression()?.compression_stats()
    }

    fn compression(&self) -> Result<&dyn ConnectionCompression, CompressionError> {
        self.0.compression().ok_or(CompressionError::Unsupported)
    }
}
