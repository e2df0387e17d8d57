//! A connection's producer, and what it was last told.

use std::cell::RefCell;
use std::rc::Rc;

use torsade_protocols::Producer;

/// Shared, so that a producer may be unregistered during a call to it.
pub(super) type SharedProducer = Rc<RefCell<Box<dyn Producer>>>;

/// A producer and what it was last told.
pub(super) struct RegisteredProducer {
    pub(super) producer: SharedProducer,
    pub(super) streaming: bool,
    pub(super) paused: bool,
    /// How many bytes had been written when a pull producer was asked and added nothing: it is asked again once more were
    /// written. (Not once something was sent: a handshake sends too.)
    pub(super) dry_at: Option<u64>,
    /// It was not asked yet, so its first output may leave together with earlier writes.
    pub(super) fresh: bool,
    /// It sends a file, for which the socket had no room: it is asked again when there is room.
    pub(super) waits_for_room: bool,
    /// The number of the connection that it is, if it is one.
    pub(super) transport: Option<u64>,
    /// It is the other half of a relay: it will not say when it has no more, so nothing waits for it.
    pub(super) relayed: bool,
}
