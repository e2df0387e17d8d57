//! What stands behind a transport.

use std::io;
use std::rc::Rc;
use std::time::Duration;

use torsade_reactor::{Reactor, TaskGroup};

use crate::address::Address;
use crate::compression::{Compression, CompressionError, CompressionStats, Decompression, Detect};
use crate::delivery::Delivery;
use crate::producer::consumers::Registration;
use crate::producer::{Producer, ProducerError};
use crate::reason::Reason;
use crate::tls::{AlreadyReceived, StartTlsError, TlsConfig, TlsInfo};
use crate::work::{Work, weight};

/// What stands behind a [`Transport`](crate::Transport): a TCP connection, a wrapper's own layer, a test double.
///
/// Each method is the one of the same name on `Transport`, where it is described. None of them may call a user's
/// callback before it returns. The defaults are for connections that have no such thing.
pub trait Connection {
    /// The reactor it belongs to.
    fn reactor(&self) -> &Reactor;

    /// A number that no other connection of this reactor has had.
    fn id(&self) -> u64;

    /// The other end.
    fn peer(&self) -> Address;

    /// Our end.
    fn host(&self) -> Address;

    /// Sends `data` after everything written before.
    fn write(&self, data: &[u8]);

    /// Sends each of `pieces`, in order.
    fn write_sequence(&self, pieces: &[&[u8]]) {
        for piece in pieces {
            self.write(piece);
        }
    }

    /// Bytes written and not yet taken by the system.
    fn unsent(&self) -> usize;

    /// How much of what was written the peer has acknowledged.
    fn delivery(&self) -> Delivery;

    /// Closes in order.
    fn lose_connection(&self);

    /// Ends our stream and keeps reading.
    fn lose_write_connection(&self);

    /// Closes at once.
    fn abort_connection(&self);

    /// Closes in order, as after an error in a callback: one of its tasks has failed. Called from the loop.
    fn fail_with(&self, reason: Reason);

    /// The tasks that are cancelled after `connection_lost`; none once that has come.
    fn tasks(&self) -> Option<TaskGroup>;

    /// Whether `connection_lost` is still to come.
    fn is_connected(&self) -> bool;

    /// Whether it is being closed from our side.
    fn is_closing(&self) -> bool;

    /// Reads no more until resumed.
    fn pause_producing(&self);

    /// Reads again.
    fn resume_producing(&self);

    /// Whether data is wanted now.
    fn is_reading(&self) -> bool;

    /// The work that it may do in this turn; none where nobody counts. Who finds nothing left asks for `reading_resumed`
    /// with an empty [`unread`](Self::unread), and goes on then.
    fn work(&self) -> Option<&Work> {
        None
    }

    /// Whether an adapter may deliver a message: data is wanted, no handshake is under way, and there is work left in this
    /// turn, of which this takes what a message costs. If only that is missing, `reading_resumed` comes in the next turn.
    fn can_deliver(&self) -> bool {
        if !self.is_reading() || self.is_handshaking() {
            return false;
        }
        let Some(work) = self.work() else { return true };
        let goes_on = work.take(weight::MESSAGE);
        if !goes_on {
            self.unread(b"");
        }
        goes_on
    }

    /// Has bytes delivered again, first of all.
    fn unread(&self, data: &[u8]);

    /// Attaches a source of data.
    ///
    /// # Errors
    /// As described at [`ProducerError`].
    fn register_producer(&self, producer: Box<dyn Producer>, streaming: bool) -> Result<(), ProducerError>;

    /// Detaches it.
    fn unregister_producer(&self);

    /// Another transport has this connection as its producer: see [`Consumers`](crate::spi::Consumers), which are to be left
    /// when it is lost or closing, or its peer's stream has ended.
    fn add_consumer(&self, registration: &Rc<Registration>);

    /// Sets the watermarks of unsent bytes.
    fn set_write_buffer_limits(&self, low: usize, high: usize);

    /// Sets the bound of unsent bytes that ends the connection.
    fn set_write_buffer_cap(&self, cap: usize) {
        let _ = cap;
    }

    /// Reads even while the own output is above the high watermark.
    fn set_read_while_congested(&self, on: bool) {
        let _ = on;
    }

    /// Sets how long a close waits for the peer.
    fn set_close_timeout(&self, timeout: Duration) {
        let _ = timeout;
    }

    /// Whether Nagle's algorithm is off.
    ///
    /// # Errors
    /// As the system says.
    fn tcp_nodelay(&self) -> io::Result<bool> {
        Err(io::ErrorKind::Unsupported.into())
    }

    /// Turns Nagle's algorithm off or on.
    ///
    /// # Errors
    /// As the system says.
    fn set_tcp_nodelay(&self, on: bool) -> io::Result<()> {
        let _ = on;
        Err(io::ErrorKind::Unsupported.into())
    }

    /// Probing of an idle peer.
    ///
    /// # Errors
    /// As the system says.
    fn tcp_keepalive(&self) -> io::Result<bool> {
        Err(io::ErrorKind::Unsupported.into())
    }

    /// Turns probing of an idle peer on or off.
    ///
    /// # Errors
    /// As the system says.
    fn set_tcp_keepalive(&self, on: bool) -> io::Result<()> {
        let _ = on;
        Err(io::ErrorKind::Unsupported.into())
    }

    /// Compresses what is written from here on.
    ///
    /// # Errors
    /// As described at [`CompressionError`].
    fn set_compression(&self, compression: &Compression) -> Result<(), CompressionError> {
        let _ = compression;
        Err(CompressionError::Unsupported)
    }

    /// Decompresses what comes in from here on.
    ///
    /// # Errors
    /// As described at [`CompressionError`].
    fn expect_compression(&self, decompression: &Decompression, rest: &[u8]) -> Result<(), CompressionError> {
        let _ = (decompression, rest);
        Err(CompressionError::Unsupported)
    }

    /// Looks out for a peer's announcement, or does not.
    fn set_detection(&self, detect: Detect) {
        let _ = detect;
    }

    /// Bounds the streams that a peer announces.
    fn set_decompression_limits(&self, limits: &Decompression) {
        let _ = limits;
    }

    /// Sends what the compressor holds, whatever its flush policy.
    fn flush_compression(&self) {}

    /// Separates what was written from what will be, for the compressor.
    fn compression_barrier(&self) {}

    /// Ends the outgoing compressed stream; what is written next leaves as it is.
    fn end_compression(&self) {}

    /// Takes the bytes that followed a compressed stream's end.
    fn take_trailing(&self) -> Vec<u8> {
        Vec::new()
    }

    /// Switches TLS on; `rest` is what the protocol had been given already of what came after the switch.
    ///
    /// # Errors
    /// As described at [`StartTlsError`].
    fn start_tls(&self, config: &TlsConfig, rest: &[u8], already: AlreadyReceived) -> Result<(), StartTlsError> {
        let _ = (config, rest, already);
        Err(StartTlsError::Unsupported)
    }

    /// Whether a TLS handshake is under way.
    fn is_handshaking(&self) -> bool {
        false
    }

    /// What the TLS handshake agreed on.
    fn tls_info(&self) -> Option<TlsInfo> {
        None
    }

    /// Takes an end without close_notify for a proper one.
    fn set_tls_truncation_allowed(&self, allowed: bool) {
        let _ = allowed;
    }

    /// What compression did so far.
    fn compression_stats(&self) -> Option<CompressionStats> {
        None
    }
}
