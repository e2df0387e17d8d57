//! How many connections there may be before ports accept no more.

use std::cell::Cell;
use std::rc::Rc;

use torsade_reactor::Reactor;
use torsade_reactor::spi::Backend;

use crate::bound::Told;

/// Of the descriptors that the program may have, those that are left to its own files and outgoing connections: a tenth.
const LEFT: usize = 10;

/// The bound of one reactor, on the connections of its whole program.
#[derive(Default)]
pub(crate) struct AcceptBound {
    /// What was asked for, instead of nine tenths of the descriptors.
    set: Cell<Option<usize>>,
    /// Nine tenths of the descriptors, if it is known how many there may be.
    default: Cell<Option<usize>>,
    told: Told,
}

impl AcceptBound {
    /// The one of this reactor.
    pub(crate) fn of(reactor: &Reactor) -> Rc<Self> {
        reactor.local(|_| Self::default())
    }

    pub(crate) fn set(&self, limit: usize) {
        self.set.set(Some(limit));
    }

    /// Asks the system how many descriptors there may be now.
    pub(crate) fn read_descriptor_limit(&self, backend: &dyn Backend) {
        self.default.set(backend.descriptor_limit().map(|descriptors| (descriptors - descriptors / LEFT).max(1)));
    }

    /// Whether another connection may be accepted now.
    pub(crate) fn has_room(&self, backend: &dyn Backend) -> bool {
        let Some(limit) = self.set.get().or_else(|| self.default.get()) else { return true };
        let open = backend.open_streams();
        if self.told.is_news(open, limit) {
            let (cause, remedy) = match self.set.get() {
                Some(_) => ("as set", ""),
                None => ("nine tenths of its descriptors", ": allow more (ulimit -n), or set_accept_limit"),
            };
            log::warn!("this program has {open} connections, and accepts no more above {limit} ({cause}): others wait{remedy}");
        }
        open < limit
    }
}
