//! The other end of a connection in a memory reactor: the test's.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::rc::Rc;

use crate::backend::Ready;

use super::network::{Link, Network, Stage};

/// What a peer takes unless told otherwise, in bytes.
pub(super) const ROOM: usize = 1024 * 1024;

/// The peer of a connection in a [`MemoryReactor`](crate::MemoryReactor), played by the test; a cheap handle.
///
/// Its methods only queue, and the program sees what it did when the clock is moved. Dropping it changes nothing. A close
/// in order waits for both ends, so a peer that never [ends](Self::end) lets the program's close time out.
#[derive(Clone, Debug)]
pub struct MemoryPeer {
    network: Rc<Network>,
    link: Rc<Link>,
}

impl MemoryPeer {
    pub(super) fn new(network: &Rc<Network>, link: Rc<Link>) -> Self {
        Self { network: Rc::clone(network), link }
    }

    /// Sends `data` to the program; does nothing once either side has ended this direction.
    pub fn send(&self, data: &[u8]) {
        if self.is_open() && !self.link.input_ended.get() && !data.is_empty() {
            self.link.input.borrow_mut().extend(data);
            self.network.wake(self.link.token.get(), Ready::READABLE);
        }
    }

    /// Ends the peer's stream (FIN), after what was sent; the program's goes on.
    pub fn end(&self) {
        if self.is_open() && !self.link.input_ended.replace(true) {
            self.network.wake(self.link.token.get(), Ready::READABLE | Ready::READ_CLOSED);
        }
    }

    /// Breaks the connection off: the program sees a reset, after what was sent.
    pub fn reset(&self) {
        if self.is_open() {
            self.link.stage.set(Stage::Failed(ErrorKind::ConnectionReset));
            self.network.wake(self.link.token.get(), self.link.readiness());
        }
    }

    /// Takes what the program has sent since the last time, and so makes room for more.
    #[must_use]
    pub fn take_received(&self) -> Vec<u8> {
        let received = self.link.output.take();
        if received.len() >= self.link.room.get() && self.is_open() {
            self.network.wake(self.link.token.get(), Ready::WRITABLE);
        }
        received
    }

    /// Sets how much the program can send before the peer takes it, in bytes; 1 MiB unless set, and 0 reads nothing.
    pub fn set_room(&self, room: usize) {
        let more = self.link.room.replace(room) < room;
        if more && self.is_open() {
            self.network.wake(self.link.token.get(), Ready::WRITABLE);
        }
    }

    /// Whether the program has ended its stream: a half-close, a close, or a reset.
    #[must_use]
    pub fn has_end(&self) -> bool {
        self.link.output_ended.get()
    }

    /// Whether the program broke the connection off, so that the peer would see a reset.
    #[must_use]
    pub fn is_reset(&self) -> bool {
        self.link.reset.get()
    }

    /// The peer's address.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.link.remote
    }

    fn is_open(&self) -> bool {
        self.link.stage.get() == Stage::Open
    }
}
