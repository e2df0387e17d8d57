//! Sending files.

use std::any::Any;
use std::error::Error;
use std::fmt;
use std::fs::File;
use std::io::{self, Read};

use torsade_reactor::{Result, report_error};

use crate::producer::{Producer, ProducerError};
use crate::transport::Transport;

/// How many bytes are read and written at a time, as in Twisted.
const CHUNK_SIZE: usize = 16 << 10;

/// The same if the length is known.
const KNOWN_CHUNK_SIZE: u64 = 32 << 10;

/// Sends the bytes of a [`Read`], 16 KiB at a time and no faster than the peer takes them.
///
/// It is a pull producer: a piece is read once the one before has left; the first is read in time to leave with what was written
/// before it. Reading happens on the loop, so use it with files and memory, not with anything that may block for long. If the
/// [length](Self::length) is set, pieces are of 32 KiB.
///
/// On Linux a [`File`] is sent by the system itself (sendfile(2), at most 1 MiB a turn) from its second piece on, or from its
/// first byte if its length is set and over 16 KiB. That is much cheaper, and the peer gets the same bytes in the same order. The
/// only difference: if the file is overwritten meanwhile, old or new content may be sent. A piece is read and written instead if
/// - something has to see its bytes: a [`transform`](Self::transform), TLS, compression, or a policy around the protocol, even if
///   it is switched on or off in the middle of a file. A connection that we made looks for compression until the peer's first
///   bytes arrive;
/// - the stream is neither TCP nor a UNIX socket, the world is simulated, or the file is not on a disk;
/// - SIGPIPE would end the program, which in Rust it does only on request.
///
/// # Examples
/// A server that sends a file and keeps the connection. The function is called at the end of the file: here it goes on
/// reading requests, which waited for the file.
/// ```no_run
/// use std::fs::File;
/// use torsade::prelude::*;
///
/// struct Files;
///
/// impl LineProtocol for Files {
///     fn line_received(&mut self, transport: &LineTransport, _request: &[u8]) -> Result {
///         let file = File::open("index.html")?;
///         let length = file.metadata()?.len();
///         transport.send_line(length.to_string());
///         transport.pause_producing();
///         FileSender::new(file).length(length).begin_file_transfer(transport, |transport, sent| {
///             sent?; // if the file could not be read, the connection is closed
///             transport.resume_producing();
///             Ok(())
///         })?;
///         Ok(())
///     }
/// }
///
/// let reactor = Reactor::new()?;
/// reactor.listen_tcp("127.0.0.1:8000", |_peer| LineReceiver::new(Files))?;
/// reactor.run()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// In a test, with the transfer driven by hand:
/// ```
/// use torsade::{FileSender, testing::StringTransport};
///
/// let transport = StringTransport::new();
/// FileSender::new(&b"contents"[..]).begin_file_transfer(&transport, |transport, sent| {
///     assert_eq!(sent?, Some(b's'));
///     transport.lose_connection();
///     Ok(())
/// })?;
/// transport.resume_producer()?; // a connection does this by itself
/// transport.resume_producer()?;
/// assert_eq!(transport.value(), b"contents");
/// assert!(transport.is_closing());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[doc(alias = "CHUNK_SIZE")]
pub struct FileSender<R> {
    file: R,
    length: Option<u64>,
    transform: Option<Transform>,
}

type Transform = Box<dyn FnMut(Vec<u8>) -> Vec<u8>>;

/// Why a file was not sent completely.
#[non_exhaustive]
pub enum FileSenderError {
    /// Reading the file failed, or the file is shorter than the [length](FileSender::length) that was set (`UnexpectedEof`). What
    /// was read before that is sent.
    Read(io::Error),
    /// The connection was lost before everything was sent.
    Stopped,
}

impl<R: Read + 'static> FileSender<R> {
    /// Sends `file` from its current position to its end.
    #[must_use]
    pub const fn new(file: R) -> Self {
        Self { file, length: None, transform: None }
    }

    /// Sends exactly this many bytes, to match a length that the peer was told, even if the file changes meanwhile: no more, and
    /// fewer are an error. Bytes are counted before a [`transform`](Self::transform).
    #[must_use]
    pub const fn length(mut self, bytes: u64) -> Self {
        self.length = Some(bytes);
        self
    }

    /// Passes each piece through `transform` before it is sent.
    #[must_use]
    pub fn transform(mut self, transform: impl FnMut(Vec<u8>) -> Vec<u8> + 'static) -> Self {
        self.transform = Some(Box::new(transform));
        self
    }

    /// Registers with `consumer` and begins. `done` is called from the loop when the transfer ends.
    ///
    /// `done` is given the last byte sent, if any, as in Twisted: it tells whether the file ended with a line end. The transport
    /// may still have unsent bytes then, and sends them like any other output. An error returned by `done` closes the connection,
    /// so `?` on its argument closes it if the file could not be read.
    ///
    /// # Errors
    /// See [`Transport::register_producer`]: another producer is registered, or the connection is lost. `done` is then not
    /// called.
    #[doc(alias = "beginFileTransfer")]
    pub fn begin_file_transfer(
        self,
        consumer: &Transport,
        done: impl FnOnce(&Transport, Result<Option<u8>, FileSenderError>) -> Result + 'static,
    ) -> Result<(), ProducerError> {
        let sending = Sending {
            file: self.file,
            left: self.length,
            transform: self.transform,
            begun: false,
            last_sent: None,
            consumer: consumer.clone(),
            done: Some(Box::new(done)),
        };
        consumer.register_producer(sending, false)
    }
}

type Done = Box<dyn FnOnce(&Transport, Result<Option<u8>, FileSenderError>) -> Result>;

/// A transfer under way.
struct Sending<R> {
    file: R,
    /// Bytes still to be read, if known.
    left: Option<u64>,
    transform: Option<Transform>,
    /// Whether the first piece was written.
    begun: bool,
    last_sent: Option<u8>,
    consumer: Transport,
    done: Option<Done>,
}

impl<R: Read + 'static> Sending<R> {
    /// Lets the connection send the file by itself. Returns false if the next piece is to be read and written.
    fn send_directly(&mut self, consumer: &Transport) -> bool {
        // Reading a small file costs no more, and its bytes leave with what was written before them. A file of unknown length may
        // be small.
        let at_once = self.begun || self.left.is_some_and(|left| left > CHUNK_SIZE as u64);
        if !at_once || self.transform.is_some() {
            return false;
        }
        let Some(file) = (&self.file as &dyn Any).downcast_ref() else { return false };
        let Some(count) = consumer.connection().send_file(file, self.left.unwrap_or(u64::MAX)) else { return false };
        let last = if self.left.is_none_or(|left| left <= count) { last_byte_read(file, count) } else { None };
        self.begun = true;
        self.last_sent = last.or(self.last_sent);
        self.count_read(count);
        true
    }

    /// Reads the next piece; empty at the end of the file.
    fn read(&mut self) -> io::Result<Vec<u8>> {
        let size = self.left.map_or(CHUNK_SIZE, |left| left.min(KNOWN_CHUNK_SIZE) as usize);
        let mut chunk = vec![0; size];
        let count = loop {
            match self.file.read(&mut chunk) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                result => break result?,
            }
        };
        if count == 0 && size > 0 && self.left.is_some() {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the file became shorter"));
        }
        chunk.truncate(count);
        self.count_read(count as u64);
        Ok(chunk)
    }

    fn count_read(&mut self, count: u64) {
        self.left = self.left.map(|left| left.saturating_sub(count));
    }

    /// Finishes as soon as it is known that nothing is left.
    fn finish_if_over(&mut self, consumer: &Transport) -> Result {
        if self.left == Some(0) { self.finish(consumer, Ok(self.last_sent)) } else { Ok(()) }
    }

    fn finish(&mut self, consumer: &Transport, sent: Result<Option<u8>, FileSenderError>) -> Result {
        consumer.unregister_producer();
        self.done.take().map_or(Ok(()), |done| done(consumer, sent))
    }
}

impl<R: Read + 'static> Producer for Sending<R> {
    fn resume_producing(&mut self, consumer: &Transport) -> Result {
        if self.send_directly(consumer) {
            return self.finish_if_over(consumer);
        }
        // A transform may return nothing for a piece, and a producer that writes nothing is not called again.
        loop {
            let chunk = match self.read() {
                Ok(chunk) if chunk.is_empty() => return self.finish(consumer, Ok(self.last_sent)),
                Ok(chunk) => chunk,
                Err(error) => return self.finish(consumer, Err(FileSenderError::Read(error))),
            };
            let chunk = match &mut self.transform {
                Some(transform) => transform(chunk),
                None => chunk,
            };
            if let Some(last) = chunk.last() {
                self.last_sent = Some(*last);
                self.begun = true;
                consumer.write(chunk);
                return self.finish_if_over(consumer);
            }
        }
    }

    fn stop_producing(&mut self) {
        if let Some(done) = self.done.take()
            && let Err(error) = done(&self.consumer, Err(FileSenderError::Stopped))
        {
            let id = self.consumer.id();
            if error.is::<FileSenderError>() {
                log::debug!("connection {id}: a file was not sent completely: {error}");
            } else {
                report_error("FileSender", format_args!("connection {id}: the call after a file failed: {error}"));
            }
        }
    }
}

/// The last of the `count` bytes before the file's position; `None` if the file was truncated meanwhile.
#[cfg(unix)]
fn last_byte_read(mut file: &File, count: u64) -> Option<u8> {
    use std::io::Seek;
    use std::os::unix::fs::FileExt;

    if count == 0 {
        return None;
    }
    let mut byte = [0];
    let position = file.stream_position().ok()?;
    let count = file.read_at(&mut byte, position.checked_sub(1)?).ok()?;
    (count == 1).then_some(byte[0])
}

/// On these systems no connection sends files by itself.
#[cfg(not(unix))]
fn last_byte_read(_: &File, _: u64) -> Option<u8> {
    None
}

impl<R: fmt::Debug> fmt::Debug for FileSender<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FileSender").field("file", &self.file).finish_non_exhaustive()
    }
}

impl fmt::Display for FileSenderError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Read(error) => write!(f, "the file could not be read completely: {error}"),
            Self::Stopped => f.write_str("the connection was lost before the file was sent"),
        }
    }
}

torsade_reactor::debug_as_display!(FileSenderError);

impl Error for FileSenderError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Read(error) => Some(error),
            Self::Stopped => None,
        }
    }
}
