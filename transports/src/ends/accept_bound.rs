//! The number of connections above which ports accept no more.

use std::cell::Cell;
use std::rc::Rc;

use torsade_reactor::Reactor;
use torsade_reactor::spi::Backend;

use crate::bound::LimitReport;

/// One in this many of the process's descriptors is left to the program's own files and outgoing connections.
const LEFT: usize = 10;

/// The limit of one reactor, which counts the connections of the whole process.
#[derive(Default)]
pub(crate) struct AcceptBound {
    /// The limit that the program has set, instead of nine tenths of the descriptors.
    set: Cell<Option<usize>>,
    /// Nine tenths of the descriptors, if the system says how many there may be.
    default: Cell<Option<usize>>,
    report: LimitReport,
}

impl AcceptBound {
    /// The limit of this reactor.
    pub(crate) fn of(reactor: &Reactor) -> Rc<Self> {
        reactor.local(|_| Self::default())
    }

    pub(crate) fn set(&self, limit: usize) {
        self.set.set(Some(limit));
    }

    /// Asks the system for the present limit on descriptors.
    pub(crate) fn read_descriptor_limit(&self, backend: &dyn Backend) {
        self.default.set(backend.descriptor_limit().map(|descriptors| (descriptors - descriptors / LEFT).max(1)));
    }

    /// Whether another connection may be accepted now.
    pub(crate) fn has_room(&self, backend: &dyn Backend) -> bool {
        let Some(limit) = self.set.get().or_else(|| self.default.get()) else { return true };
        let open = backend.open_streams();
        if self.report.is_due(open, limit) {
            let (cause, remedy) = match self.set.get() {
                Some(_) => ("as set", ""),
                None => ("nine tenths of its descriptors", ": allow more (ulimit -n), or set_accept_limit"),
            };
            log::warn!("this program has {open} connections, and accepts no more than {limit} ({cause}): others wait{remedy}");
        }
        open < limit
    }
}
