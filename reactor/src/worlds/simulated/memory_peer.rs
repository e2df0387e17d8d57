//! The other end of a connection in a memory reactor, played by the test.

use std::fmt;
use std::rc::Rc;

use crate::address::Address;

use super::link::{End, LinkId, Side, Stage};
use super::world::World;

/// The peer of a connection in a [`MemoryReactor`](crate::MemoryReactor), played by the test; a cheap handle.
///
/// Its methods only queue; the program sees the effect when the clock is advanced. Dropping it has no effect. A graceful close
/// waits for both ends, so if the peer never [ends](Self::end), the program's close times out.
#[doc(alias = "AccumulatingProtocol")]
#[doc(alias = "LineSendingProtocol")]
#[derive(Clone)]
pub struct MemoryPeer {
    world: Rc<World>,
    link: LinkId,
    side: Side,
    address: Address,
}

impl MemoryPeer {
    pub(super) fn new(world: Rc<World>, link: LinkId, side: Side) -> Self {
        let address = world.network.borrow().links.get(&link).map(|link| link.end(side).local.clone());
        Self { world, link, side, address: address.unwrap_or(Address::Unnamed) }
    }

    /// Sends `data` to the program; does nothing once either side has ended this direction.
    pub fn send(&self, data: &[u8]) {
        if self.is_open() && !self.with_end(|end| end.shut) {
            // It has unlimited room, and the program's socket exists.
            self.world.network.borrow_mut().write(self.link, self.side, data).ok();
        }
    }

    /// Ends the peer's stream (FIN), after what was sent; the program's stream stays open.
    pub fn end(&self) {
        if self.is_open() {
            // This fails only if both streams have ended.
            self.world.network.borrow_mut().shutdown_write(self.link, self.side).ok();
        }
    }

    /// Resets the connection: the program sees the reset after what was sent.
    pub fn reset(&self) {
        if self.is_open() {
            self.world.network.borrow_mut().reset(self.link, self.side);
        }
    }

    /// Takes what the program has sent since the last call, which makes room for more.
    #[must_use]
    pub fn take_received(&self) -> Vec<u8> {
        self.with_end(|end| std::mem::take(&mut end.received)).into()
    }

    /// Sets how many bytes the program can send before the peer takes them; default 1 MiB; with 0 nothing is read.
    pub fn set_room(&self, room: usize) {
        self.with_end(|end| end.set_room(room));
    }

    /// Returns whether the program has ended its stream, by a half-close, a close or a reset.
    #[must_use]
    pub fn has_end(&self) -> bool {
        self.with_end(|end| end.ended || end.error.is_some())
    }

    /// Returns whether the program reset the connection.
    #[must_use]
    pub fn is_reset(&self) -> bool {
        self.with_end(|end| end.error.is_some())
    }

    /// The peer's address.
    #[must_use]
    pub fn address(&self) -> Address {
        self.address.clone()
    }

    fn is_open(&self) -> bool {
        let network = self.world.network.borrow();
        let link = network.links.get(&self.link);
        link.is_some_and(|link| link.end(self.side).stage == Stage::Open && !link.end(self.side.other()).released)
    }

    /// The peer's socket. It stays in the network, because it is never released.
    fn with_end<T: Default>(&self, look: impl FnOnce(&mut End) -> T) -> T {
        self.world.network.borrow_mut().with_peer(self.link, self.side, look).unwrap_or_default()
    }
}

impl fmt::Debug for MemoryPeer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryPeer").field("address", &self.address).finish_non_exhaustive()
    }
}
