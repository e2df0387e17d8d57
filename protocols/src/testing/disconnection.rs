//! A recording transport together with its protocol.

use std::ops::Deref;
use std::rc::Rc;

use torsade_reactor::{Clock, Result, report_error};

use crate::protocol::Protocol;
use crate::reason::Reason;
use crate::testing::string_transport::{ProducerState, StringTransport};

/// The most bytes in one `data_received`, as on a real connection.
const CHUNK: usize = 64 * 1024;

/// A [`StringTransport`] that owns its protocol and calls it as a connection would.
///
/// Bytes that arrive while reading is paused wait until it is resumed; those that arrive while it is closing are dropped. What a
/// callback asks for (a close, a resumed reading, bytes given back) is done after the callback has returned and before the method
/// that led to the call returns. An `Err` of a callback ends the connection with that reason; a panic propagates to the test. The
/// connection ends once both streams have.
///
/// # Examples
/// ```
/// use torsade::prelude::*;
/// use torsade::testing::StringTransportWithDisconnection;
///
/// struct Quit;
///
/// impl LineProtocol for Quit {
///     fn line_received(&mut self, transport: &LineTransport, line: &[u8]) -> Result {
///         transport.send_line([b"bye, ", line].concat());
///         transport.lose_connection();
///         Ok(())
///     }
/// }
///
/// let mut connection = StringTransportWithDisconnection::new(LineReceiver::new(Quit));
/// connection.make_connection();
/// connection.deliver(b"one\r\ntwo\r\n");
/// assert_eq!(connection.value(), b"bye, one\r\n");
/// assert!(connection.reason().is_some_and(|reason| reason.is_clean()));
/// ```
#[derive(Debug)]
pub struct StringTransportWithDisconnection<P> {
    transport: StringTransport,
    protocol: P,
    /// What the peer sent and was not delivered yet.
    arrived: Vec<u8>,
    peer_ended: bool,
    told_read_end: bool,
    told_write_end: bool,
    /// Whether a close waits for the peer's stream to end, as on a real connection.
    lingers: bool,
    reason: Option<Reason>,
}

impl<P: Protocol> StringTransportWithDisconnection<P> {
    /// Joins `protocol` with a new transport.
    #[must_use]
    pub fn new(protocol: P) -> Self {
        Self::with_transport(StringTransport::new(), protocol)
    }

    /// Joins `protocol` with `transport`.
    #[must_use]
    pub const fn with_transport(transport: StringTransport, protocol: P) -> Self {
        Self {
            transport,
            protocol,
            arrived: Vec::new(),
            peer_ended: false,
            told_read_end: false,
            told_write_end: false,
            lingers: false,
            reason: None,
        }
    }

    /// Makes a close wait until the peer has ended its stream, too.
    pub(super) const fn set_lingering(&mut self) {
        self.lingers = true;
    }

    /// Calls the protocol's `connection_made`.
    #[doc(alias = "makeConnection")]
    pub fn make_connection(&mut self) {
        let result = self.protocol.connection_made(&self.transport);
        self.finish(result);
    }

    /// Delivers `data` from the peer.
    pub fn deliver(&mut self, data: &[u8]) {
        if self.reason.is_none() {
            self.arrived.extend_from_slice(data);
        }
        self.settle();
    }

    /// Ends the peer's stream. The protocol is told after all data, so not while reading is paused.
    pub fn end(&mut self) {
        self.peer_ended = true;
        self.settle();
    }

    /// Asks a pull producer for more, as a connection with no unsent bytes does.
    pub(super) fn pull(&mut self) {
        if self.reason.is_none() && self.transport.producer() == Some(false) {
            let result = self.transport.resume_producer();
            self.finish(result);
        }
    }

    /// Calls methods of the transport from outside the protocol, and carries out what they ask for.
    pub fn call(&mut self, call: impl FnOnce(&StringTransport)) {
        call(&self.transport);
        self.settle();
    }

    /// Advances the clock, and carries out what the due calls ask for.
    pub fn advance(&mut self, by: std::time::Duration) {
        let clock: Rc<Clock> = Rc::clone(self.transport.clock());
        clock.advance(by);
        self.settle();
    }

    /// Ends the connection from outside; does nothing once it has ended.
    pub fn lose(&mut self, reason: Reason) {
        if self.reason.is_some() {
            return;
        }
        self.transport.stop_producer();
        self.transport.mark_lost();
        self.arrived.clear();
        if let Err(error) = self.protocol.connection_lost(&self.transport, &reason) {
            report_error("connection_lost", format_args!("connection_lost failed: {error}"));
        }
        self.transport.cancel_tasks();
        self.reason = Some(reason);
    }

    /// Why it ended; `None` while it has not.
    #[must_use]
    pub const fn reason(&self) -> Option<&Reason> {
        self.reason.as_ref()
    }

    /// The protocol.
    pub const fn protocol(&mut self) -> &mut P {
        &mut self.protocol
    }

    /// Carries out everything that was asked for.
    pub fn settle(&mut self) {
        while self.reason.is_none() {
            let transport = self.transport.clone();
            let result = if transport.is_aborted() {
                return self.lose(Reason::ConnectionAborted);
            } else if transport.is_closing() {
                self.arrived.clear();
                if !transport.waits_for_producer() && (self.peer_ended || !self.lingers) {
                    self.lose(transport.take_failure().unwrap_or(Reason::ConnectionDone));
                }
                return;
            } else if transport.is_write_closed() && !self.told_write_end {
                self.told_write_end = true;
                self.protocol.write_connection_lost(&transport)
            } else if self.told_write_end && self.told_read_end {
                return self.lose(Reason::ConnectionDone);
            } else if transport.take_resumed() {
                let unread = transport.take_unread();
                self.arrived.splice(..0, unread);
                self.protocol.reading_resumed(&transport)
            } else if transport.is_reading() && !self.arrived.is_empty() {
                let rest = self.arrived.split_off(self.arrived.len().min(CHUNK));
                let chunk = std::mem::replace(&mut self.arrived, rest);
                self.protocol.data_received(&transport, &chunk)
            } else if transport.is_reading() && self.peer_ended && !self.told_read_end {
                self.told_read_end = true;
                self.protocol.read_connection_lost(&transport)
            } else {
                return;
            };
            self.fail(result);
        }
    }

    fn finish(&mut self, result: Result) {
        self.fail(result);
        self.settle();
    }

    fn fail(&mut self, result: Result) {
        if let Err(error) = result {
            self.lose(Reason::Protocol(error.into()));
        }
    }
}

impl<P> StringTransportWithDisconnection<P> {
    /// Returns whether reading is paused: see [`StringTransport::producer_state`].
    #[must_use]
    pub fn is_paused(&self) -> bool {
        self.transport.producer_state() == ProducerState::Paused
    }
}

impl<P> Deref for StringTransportWithDisconnection<P> {
    type Target = StringTransport;

    fn deref(&self) -> &StringTransport {
        &self.transport
    }
}
