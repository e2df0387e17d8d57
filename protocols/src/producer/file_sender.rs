//! Sends a file.

use std::error::Error;
use std::fmt;
use std::io::{self, Read};

use torsade_reactor::{Result, report_error};

use crate::producer::{Producer, ProducerError};
use crate::transport::Transport;

/// How many bytes are read and written at a time, as in Twisted.
const CHUNK_SIZE: usize = 1 << 14;

/// Sends what a [`Read`] gives, 16 KiB at a time and no faster than the peer takes it.
///
/// It is a pull producer: a piece is read when the one before has left. Reading happens on the loop, so it suits files
/// and memory, not what may block for long.
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
///         transport.send_line(file.metadata()?.len().to_string());
///         transport.pause_producing();
///         FileSender::new(file).begin_file_transfer(transport, |transport, sent| {
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
pub struct FileSender<R> {
    file: R,
    transform: Option<Transform>,
}

type Transform = Box<dyn FnMut(Vec<u8>) -> Vec<u8>>;

/// Why a file was not sent to its end.
#[non_exhaustive]
pub enum FileSenderError {
    /// Reading the file failed. What was read before is sent.
    Read(io::Error),
    /// The connection was lost before everything was sent.
    Stopped,
}

impl<R: Read + 'static> FileSender<R> {
    /// Sends what `file` gives, from its current position to its end.
    #[must_use]
    pub const fn new(file: R) -> Self {
        Self { file, transform: None }
    }

    /// Passes each piece through `transform` before it is sent.
    #[must_use]
    pub fn transform(mut self, transform: impl FnMut(Vec<u8>) -> Vec<u8> + 'static) -> Self {
        self.transform = Some(Box::new(transform));
        self
    }

    /// Registers with `consumer` and begins; `done` is called from the loop when it is over.
    ///
    /// `done` is given the last byte that was sent, if any, as in Twisted: it tells whether the file ended with a line end.
    /// The transport may not have sent everything by then; it sends the rest like any other output. An error that `done`
    /// returns closes the connection; so using `?` on its argument closes it when the file could not be read.
    ///
    /// # Errors
    /// As [`Transport::register_producer`]: another producer is registered, or the connection is lost. `done` is not
    /// called then.
    #[doc(alias = "beginFileTransfer")]
    pub fn begin_file_transfer(
        self,
        consumer: &Transport,
        done: impl FnOnce(&Transport, Result<Option<u8>, FileSenderError>) -> Result + 'static,
    ) -> Result<(), ProducerError> {
        let sending = Sending {
            file: self.file,
            transform: self.transform,
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
    transform: Option<Transform>,
    last_sent: Option<u8>,
    consumer: Transport,
    done: Option<Done>,
}

impl<R: Read> Sending<R> {
    /// The next piece; empty at the end of the file.
    fn read(&mut self) -> io::Result<Vec<u8>> {
        let mut chunk = vec![0; CHUNK_SIZE];
        let count = loop {
            match self.file.read(&mut chunk) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                result => break result?,
            }
        };
        chunk.truncate(count);
        Ok(chunk)
    }

    fn finish(&mut self, consumer: &Transport, sent: Result<Option<u8>, FileSenderError>) -> Result {
        consumer.unregister_producer();
        self.done.take().map_or(Ok(()), |done| done(consumer, sent))
    }
}

impl<R: Read> Producer for Sending<R> {
    fn resume_producing(&mut self, consumer: &Transport) -> Result {
        // A transform may turn a piece into nothing, and a producer that writes nothing is not called again.
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
                consumer.write(chunk);
                return Ok(());
            }
        }
    }

    fn stop_producing(&mut self) {
        if let Some(done) = self.done.take()
            && let Err(error) = done(&self.consumer, Err(FileSenderError::Stopped))
        {
            let id = self.consumer.id();
            if error.is::<FileSenderError>() {
                log::debug!("connection {id}: a file was not sent to its end: {error}");
            } else {
                report_error("FileSender", format_args!("connection {id}: what was to follow a file failed: {error}"));
            }
        }
    }
}

impl<R: fmt::Debug> fmt::Debug for FileSender<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FileSender").field("file", &self.file).finish_non_exhaustive()
    }
}

impl fmt::Display for FileSenderError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Read(error) => write!(f, "the file could not be read to its end: {error}"),
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
