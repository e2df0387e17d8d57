//! A producer that a connection has, and what it was told.

use std::cell::RefCell;
use std::rc::Rc;

use torsade_protocols::Producer;

/// Shared so that a producer may be unregistered while it is being called.
pub(super) type SharedProducer = Rc<RefCell<Box<dyn Producer>>>;

/// A producer and what it was last told.
pub(super) struct RegisteredProducer {
    pub(super) producer: SharedProducer,
    pub(super) streaming: bool,
    pub(super) paused: bool,
    /// How many bytes had been written when a pull producer was asked and added nothing: it is asked again once there are
    /// more. (Not once something was sent: a handshake sends, too.)
    pub(super) dry_at: Option<u64>,
    /// It has not been asked yet, so what it gives first may leave with what was written before it.
    pub(super) fresh: bool,
    /// It sends a file, for which the socket had no room: it is asked again when there is.
    pub(super) waits_for_room: bool,
    /// The connection that it is, if it is one.
    pub(super) transport: Option<u64>,
    /// It was one half of a relay, of which this is the other: it will not say when it has no more, and is not waited for.
    pub(super) relayed: bool,
}
