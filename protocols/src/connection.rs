//! What is behind a transport.

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

/// What is behind a [`Transport`](crate::Transport): a connection over a socket or pipe, a wrapper's own layer, a test double.
///
/// Each method is the one of the same name on `Transport`, where it is described; none of them may call a user's callback
/// before it returns. What not every connection has is in groups: [`limits`](Self::limits), [`compression`](Self::compression),
/// [`tls`](Self::tls), [`tcp`](Self::tcp), [`unix`](Self::unix). Neither they nor anything in them has a default, so a wrapper says once for
/// each group what it does with it (most often it passes on the group of the transport below), and nothing is forgotten.
pub trait Connection {
    /// The reactor it belongs to.
    fn reactor(&self) -> &Reactor;

    /// A number that no other connection of this reactor has had.
    fn id(&self) -> u64;

    /// The other end.
    fn peer(&self) -> Address;

    /// Our end.
    fn host(&self) -> Address;

    /// Whether `connection_lost` is still to come.
    fn is_connected(&self) -> bool;

    /// Sends `data` after everything written before.
    fn write(&self, data: &[u8]);

    /// Sends each of `pieces`, in order.
    fn write_sequence(&self, pieces: &[&[u8]]) {
        for piece in pieces {
            self.write(piece);
        }
    }

    /// Sends `data` after everything written before, and may keep a clone of it instead of a copy.
    fn write_shared(&self, data: &SharedBytes) {
        self.write(data);
    }

    /// Sends at most `limit` bytes of `file` after everything written before, from its position, which moves on, without taking
    /// them through this process. It says how many are sent; none if there is no room now: a pull producer, which is who asks for
    /// this, is asked again when there is.
    ///
    /// `None` where that cannot be done, now or ever, and at the end of the file: then the next piece is to be read and
    /// [written](Self::write), and this may be tried again for the one after it.
    fn send_file(&self, file: &File, limit: u64) -> Option<u64> {
        let _ = (file, limit);
        None
    }

    /// Bytes written and not yet taken by the system.
    fn unsent(&self) -> usize;

    /// How much of what was written the peer has acknowledged.
    fn delivery(&self) -> Delivery;

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

    /// Closes gracefully.
    fn lose_connection(&self);

    /// Ends our stream and keeps reading.
    fn lose_write_connection(&self);

    /// Closes at once.
    fn abort_connection(&self);

    /// Closes gracefully, as after an error in a callback: one of its tasks has failed. Called from the loop.
    fn fail_with(&self, reason: Reason);

    /// Whether it is being closed from our side.
    fn is_closing(&self) -> bool;

    /// The tasks that are cancelled after `connection_lost`; none once that has come.
    fn tasks(&self) -> Option<TaskGroup>;

    /// Reads no more until resumed.
    fn pause_producing(&self);

    /// Reads again.
    fn resume_producing(&self);

    /// Whether data is wanted now.
    fn is_reading(&self) -> bool;

    /// Whether an adapter may deliver a message: data is wanted, no handshake is under way, and there is [work](Self::work)
    /// left in this turn, of which this takes what a message costs. If only that is missing, `reading_resumed` comes in the
    /// next turn.
    fn can_deliver(&self) -> bool;

    /// The work that it may do in this turn; none where nothing counts it. Whoever finds nothing left asks for `reading_resumed`
    /// with an empty [`unread`](Self::unread), and goes on then.
    fn work(&self) -> Option<&Work>;

    /// Has bytes delivered again, first of all.
    fn unread(&self, data: &[u8]);

    /// A proxy has said whose connection this is: from now on its ends are those. `rest` is what was read behind that; it is read
    /// again as if it had come just now, also by layers that are switched on meanwhile.
    fn accept_proxy_header(&self, header: ProxyHeader, rest: &[u8]);

    /// What a proxy has said.
    fn proxy_header(&self) -> Option<&ProxyHeader>;

    /// What bounds it.
    fn limits(&self) -> &dyn ConnectionLimits;

    /// Its compression; none if it cannot be compressed.
    fn compression(&self) -> Option<&dyn ConnectionCompression>;

    /// Its TLS; none if it cannot be encrypted.
    fn tls(&self) -> Option<&dyn ConnectionTls>;

    /// A copy of its socket's descriptor.
    ///
    /// # Errors
    /// `Unsupported` if it has none; otherwise as the system says.
    fn copy_descriptor(&self) -> io::Result<Descriptor>;

    /// The options of its socket; none if that is not a TCP socket.
    fn tcp(&self) -> Option<&dyn TcpOptions>;

    /// What a UNIX socket can do besides; none if its socket is something else.
    fn unix(&self) -> Option<&dyn ConnectionUnix>;
}
