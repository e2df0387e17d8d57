//! The trait behind a transport.

use std::fs::File;
use std::io;
use std::rc::Rc;

use torsade_reactor::spi::TcpOptions;
use torsade_reactor::{Descriptor, Reactor, TaskGroup};

use crate::address::Address;
use crate::delivery::Delivery;
use crate::producer::consumers::Registration;
use crate::producer::{Producer, ProducerError};
use crate::proxy_protocol::header::ProxyHeader;
use crate::reason::Reason;
use crate::shared_bytes::SharedBytes;
use crate::transport::compression::ConnectionCompression;
use crate::transport::limits::ConnectionLimits;
use crate::transport::tls::ConnectionTls;
use crate::transport::unix::ConnectionUnix;
use crate::work::Work;

/// What a [`Transport`](crate::Transport) is a handle to: a connection over a socket or pipe, a wrapper's layer, a test double.
///
/// Each method implements the method of the same name on `Transport`, which documents it. None may call a user's callback before
/// it returns. Features that not every connection has are in groups: [`limits`](Self::limits),
/// [`compression`](Self::compression), [`tls`](Self::tls), [`tcp`](Self::tcp), [`unix`](Self::unix). Neither the groups nor their
/// methods have defaults, so that a wrapper decides about each (most pass on the group of the transport below) and none is
/// forgotten.
pub trait Connection {
    /// The reactor it belongs to.
    fn reactor(&self) -> &Reactor;

    /// An id, unique among the connections of this reactor.
    fn id(&self) -> u64;

    /// The address of the peer.
    fn peer(&self) -> Address;

    /// The local address.
    fn host(&self) -> Address;

    /// Returns whether `connection_lost` is still to come.
    fn is_connected(&self) -> bool;

    /// Sends `data` after everything written before.
    fn write(&self, data: &[u8]);

    /// Sends each of `pieces`, in order.
    fn write_sequence(&self, pieces: &[&[u8]]) {
        for piece in pieces {
            self.write(piece);
        }
    }

    /// As [`write`](Self::write), but may keep a clone of `data` instead of a copy.
    fn write_shared(&self, data: &SharedBytes) {
        self.write(data);
    }

    /// Sends up to `limit` bytes of `file` from its current position, after everything written before, without copying them
    /// through this process. The position advances. Returns how many bytes will be sent; 0 if there is no room now. The caller is
    /// a pull producer, which is asked again when there is room.
    ///
    /// Returns `None` if this is not possible, now or ever, and at the end of the file. The caller then reads and
    /// [writes](Self::write) the next piece, and may try this again for the one after it.
    fn send_file(&self, file: &File, limit: u64) -> Option<u64> {
        let _ = (file, limit);
        None
    }

    /// Bytes written that the system has not taken yet.
    fn unsent(&self) -> usize;

    /// How much of what was written the peer has acknowledged.
    fn delivery(&self) -> Delivery;

    /// Attaches a producer.
    ///
    /// # Errors
    /// See [`ProducerError`].
    fn register_producer(&self, producer: Box<dyn Producer>, streaming: bool) -> Result<(), ProducerError>;

    /// Detaches the producer.
    fn unregister_producer(&self);

    /// Records that another transport has this connection as its producer. Such [`Consumers`](crate::spi::Consumers) have to be
    /// left when this connection is lost or closing, or when the peer has ended its stream.
    fn add_consumer(&self, registration: &Rc<Registration>);

    /// Closes gracefully.
    fn lose_connection(&self);

    /// Half-closes: ends our stream and keeps reading.
    fn lose_write_connection(&self);

    /// Closes at once.
    fn abort_connection(&self);

    /// Closes gracefully after an error, as after one in a callback: one of the connection's tasks has failed. Called from the
    /// loop.
    fn fail_with(&self, reason: Reason);

    /// Returns whether our side is closing the connection.
    fn is_closing(&self) -> bool;

    /// The tasks to cancel after `connection_lost`; `None` once that has been called.
    fn tasks(&self) -> Option<TaskGroup>;

    /// Pauses reading.
    fn pause_producing(&self);

    /// Resumes reading.
    fn resume_producing(&self);

    /// Returns whether reading is wanted now.
    fn is_reading(&self) -> bool;

    /// Returns whether an adapter may deliver a message: reading is wanted, no handshake is under way, and there is
    /// [work](Self::work) left in this turn. If so, this takes the work of one message. If only the work is missing,
    /// `reading_resumed` is called in the next turn.
    fn can_deliver(&self) -> bool;

    /// The work this connection may still do in this turn; `None` if nothing counts it. A caller that finds none left asks for
    /// `reading_resumed` with an empty [`unread`](Self::unread) and continues there.
    fn work(&self) -> Option<&Work>;

    /// Delivers bytes again, before all others.
    fn unread(&self, data: &[u8]);

    /// Records the addresses that a proxy has announced: they replace those of the connection. `rest` holds the bytes read after
    /// the header; they are read again as if they had just arrived, also by layers that are switched on meanwhile.
    fn accept_proxy_header(&self, header: ProxyHeader, rest: &[u8]);

    /// The PROXY header, if one was received.
    fn proxy_header(&self) -> Option<&ProxyHeader>;

    /// The limits of the connection.
    fn limits(&self) -> &dyn ConnectionLimits;

    /// Compression; `None` if it is not supported.
    fn compression(&self) -> Option<&dyn ConnectionCompression>;

    /// TLS; `None` if it is not supported.
    fn tls(&self) -> Option<&dyn ConnectionTls>;

    /// Duplicates the socket's descriptor.
    ///
    /// # Errors
    /// `Unsupported` if there is none; otherwise any system error.
    fn copy_descriptor(&self) -> io::Result<Descriptor>;

    /// The options of the TCP socket; `None` for other sockets.
    fn tcp(&self) -> Option<&dyn TcpOptions>;

    /// Features of UNIX sockets; `None` for other sockets.
    fn unix(&self) -> Option<&dyn ConnectionUnix>;
}
