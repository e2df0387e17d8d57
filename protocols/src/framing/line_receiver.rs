//! A protocol for lines.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::ops::Deref;
use std::rc::Rc;

use torsade_reactor::Result;

use crate::framing::callbacks::{call_back, connection_callbacks};
use crate::framing::frame_transport::FrameTransport;
use crate::framing::line_decoder::{self, Delimiter, Limit, LineRun, LineTooLong};
use crate::framing::receiver::{Messages, Receiver, Run, receiver};
use crate::protocol::Callback;

/// The callbacks of a connection that exchanges lines. Run by a [`LineReceiver`], which has an example.
pub trait LineProtocol {
    /// A line arrived, without its delimiter.
    ///
    /// # Errors
    /// Any error closes the connection, with that reason.
    #[doc(alias = "lineReceived")]
    fn line_received(&mut self, transport: &LineTransport, line: &[u8]) -> Result;

    /// Bytes arrived in raw mode, split anywhere.
    ///
    /// # Errors
    /// Any error closes the connection, with that reason. The default returns an error.
    #[doc(alias = "rawDataReceived")]
    fn raw_data_received(&mut self, transport: &LineTransport, data: &[u8]) -> Result {
        let _ = (transport, data);
        Err("raw mode was set, but raw_data_received is not implemented".into())
    }

    /// A line is too long. The default closes the connection, as in Twisted.
    ///
    /// # Errors
    /// Any error closes the connection, with that reason.
    #[doc(alias = "lineLengthExceeded")]
    fn line_length_exceeded(&mut self, transport: &LineTransport, line: LineTooLong<'_>) -> Result {
        log::info!("closing connection {} from {}: {line}", transport.id(), transport.peer());
        transport.lose_connection();
        Ok(())
    }

    connection_callbacks!(LineTransport);
}

/// A [`FrameTransport`] with the methods that line protocols need; a cheap handle.
#[derive(Clone)]
pub struct LineTransport {
    frames: FrameTransport,
    mode: Rc<Mode>,
}

/// Line mode or raw mode, and the delimiter.
struct Mode {
    raw: Cell<bool>,
    delimiter: RefCell<Rc<[u8]>>,
}

impl Mode {
    fn set_delimiter(&self, delimiter: &[u8]) {
        if !delimiter.is_empty() {
            self.delimiter.replace(delimiter.into());
        }
    }
}

impl LineTransport {
    /// Sends `line` and the delimiter.
    #[doc(alias = "sendLine")]
    pub fn send_line(&self, line: impl AsRef<[u8]>) {
        self.write_sequence(&[line.as_ref(), &self.mode.delimiter.borrow()]);
    }

    /// Delivers everything after this line to `raw_data_received`.
    #[doc(alias = "setRawMode")]
    pub fn set_raw_mode(&self) {
        self.mode.raw.set(true);
        self.inbox.touch();
    }

    /// Delivers lines again. `extra` is the part of the raw data that already belongs to them; it goes before all other bytes.
    #[doc(alias = "setLineMode")]
    pub fn set_line_mode(&self, extra: &[u8]) {
        self.mode.raw.set(false);
        self.inbox.touch();
        // The end of what `raw_data_received` was given need not be copied, so many short blocks in one read stay cheap.
        if !self.inbox.take_back(extra) {
            self.unread_frames(extra);
        }
    }

    /// Sets the delimiter, for receiving and sending; default CR LF. An empty one is ignored.
    #[doc(alias = "delimiter")]
    pub fn set_delimiter(&self, delimiter: &[u8]) {
        self.mode.set_delimiter(delimiter);
        self.inbox.reopen();
    }

    /// Takes out everything received and not yet delivered, as [`take_remaining`](FrameTransport::take_remaining) does.
    #[doc(alias = "clearLineBuffer")]
    #[must_use]
    pub fn clear_line_buffer(&self) -> Vec<u8> {
        self.take_remaining()
    }
}

impl Deref for LineTransport {
    type Target = FrameTransport;

    fn deref(&self) -> &FrameTransport {
        &self.frames
    }
}

impl fmt::Debug for LineTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LineTransport").field("frames", &self.frames).field("raw", &self.mode.raw.get()).finish_non_exhaustive()
    }
}

/// A protocol that splits its input into lines and passes them to a [`LineProtocol`].
///
/// Between two lines it checks [`Transport::is_reading`](crate::Transport::is_reading): while the connection is paused, closing
/// or congested it keeps the rest, and continues when reading is resumed. The work is linear in the input, however it is split,
/// and at most the maximum length and one read are kept.
///
/// # Examples
/// ```no_run
/// use torsade::prelude::*;
///
/// struct Upper;
///
/// impl LineProtocol for Upper {
///     fn line_received(&mut self, transport: &LineTransport, line: &[u8]) -> Result {
///         transport.send_line(line.to_ascii_uppercase());
///         Ok(())
///     }
/// }
///
/// let reactor = Reactor::new()?;
/// reactor.listen_tcp("127.0.0.1:8000", |_peer| LineReceiver::new(Upper).max_length(1000))?;
/// reactor.run()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct LineReceiver<L>(Receiver<Lines<L>, LineTransport>);

impl<L: LineProtocol> LineReceiver<L> {
    /// Runs `protocol` on lines that end in CR LF, of at most 16,384 bytes.
    #[must_use]
    pub fn new(protocol: L) -> Self {
        Self::with_rules(protocol, false)
    }

    pub(crate) fn with_rules(protocol: L, lines_only: bool) -> Self {
        let mode = Mode { raw: Cell::new(false), delimiter: RefCell::new(b"\r\n"[..].into()) };
        Self(Receiver::new(Lines { protocol, mode: Rc::new(mode), lines_only }))
    }

    /// The same with another delimiter. An empty one is ignored.
    #[must_use]
    pub fn delimiter(self, delimiter: &[u8]) -> Self {
        self.0.messages().mode.set_delimiter(delimiter);
        self
    }
}

receiver!(LineReceiver, L: LineProtocol);

/// Lines as [`Messages`]; in raw mode, whatever has arrived.
struct Lines<L> {
    protocol: L,
    mode: Rc<Mode>,
    lines_only: bool,
}

impl<L: LineProtocol> Lines<L> {
    #[cold]
    fn deliver_long(&mut self, transport: &LineTransport, line: LineTooLong<'_>) -> Result {
        self.protocol.line_length_exceeded(transport, line)
    }

    fn deliver_raw(&mut self, transport: &LineTransport, run: &Run<'_>) -> Result<Option<usize>> {
        let data = run.buffer.take(usize::MAX);
        if data.is_empty() {
            return Ok(Some(0));
        }
        self.protocol.raw_data_received(transport, data)?;
        run.record_delivery();
        Ok(None)
    }
}

impl<L: LineProtocol> Messages for Lines<L> {
    type Transport = LineTransport;

    const MAX_LENGTH: usize = line_decoder::MAX_LENGTH;

    fn transport(&self, frames: FrameTransport) -> LineTransport {
        LineTransport { frames, mode: Rc::clone(&self.mode) }
    }

    #[inline]
    fn deliver(&mut self, transport: &LineTransport, run: &Run<'_>) -> Result<Option<usize>> {
        if self.mode.raw.get() {
            return self.deliver_raw(transport, run);
        }
        let delimiter = Rc::clone(&self.mode.delimiter.borrow());
        let limit = Limit { max_length: run.inbox.max_length.get(), lines_only: self.lines_only };
        let Some(delimiter) = Delimiter::new(&delimiter) else { return Ok(Some(0)) };
        let mut lines = LineRun::new(&run.buffer, &run.inbox.gate.needed, delimiter, limit);
        while let Some(line) = lines.next_line() {
            match line {
                Ok(line) => self.protocol.line_received(transport, line)?,
                Err(line) => self.deliver_long(transport, line)?,
            }
            if !run.goes_on() {
                return Ok(None);
            }
        }
        Ok(Some(run.buffer.len()))
    }

    fn call_back(&mut self, transport: &LineTransport, callback: Callback<'_>) -> Result {
        call_back!(self.protocol, transport, callback)
    }
}

impl<L: fmt::Debug> fmt::Debug for Lines<L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.protocol.fmt(f)
    }
}
