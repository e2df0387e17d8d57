//! The limit on unfinished handshakes in which we are the server.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use torsade_reactor::Reactor;

use crate::bound::LimitReport;

/// The default limit.
const LIMIT: usize = 1000;

/// How long a handshake keeps its place while a new connection waits for one: long enough to retransmit a lost packet over a slow
/// path.
const PATIENCE: Duration = Duration::from_secs(3);

/// The unfinished handshakes of one reactor.
///
/// At the limit a port waits while all of them are young: they are then clients that came all at once, and each of
/// them gets its turn. A handshake that takes longer than [`PATIENCE`] gives its place to a new connection. So peers that open
/// connections and send nothing hold up others only for that time, and not until their own deadlines.
pub(crate) struct Handshakes {
    limit: Cell<usize>,
    /// By their numbers, so that the oldest comes first.
    unfinished: RefCell<BTreeMap<u64, Rc<Unfinished>>>,
    last: Cell<u64>,
    report: LimitReport,
}

struct Unfinished {
    began: Duration,
    cut_off: Cell<bool>,
    /// Makes the connection check its layer, which then finds that its time is over.
    wake: RefCell<Box<dyn Fn()>>,
}

/// The place of one unfinished handshake, which is free again when this is dropped.
pub(super) struct Place {
    handshakes: Rc<Handshakes>,
    number: u64,
    handshake: Rc<Unfinished>,
}

impl Handshakes {
    /// The unfinished handshakes of this reactor.
    pub(crate) fn of(reactor: &Reactor) -> Rc<Self> {
        reactor.local(|_| Self {
            limit: Cell::new(LIMIT),
            unfinished: RefCell::default(),
            last: Cell::new(0),
            report: LimitReport::default(),
        })
    }

    pub(crate) fn set_limit(&self, limit: usize) {
        self.limit.set(limit.max(1));
    }

    /// Whether a port may accept another connection now.
    pub(crate) fn has_room(&self, now: Duration) -> bool {
        let unfinished = self.unfinished.borrow();
        let (limit, count) = (self.limit.get(), unfinished.len());
        if self.report.is_due(count, limit) {
            log::warn!(
                "{count} TLS handshakes are unfinished, and {limit} are allowed (set_handshake_limit): new connections wait, \
                 and replace those that take longer than {PATIENCE:?}"
            );
        }
        let oldest = unfinished.first_key_value();
        count < limit || oldest.is_none_or(|(_, handshake)| now.saturating_sub(handshake.began) >= PATIENCE)
    }

    /// Takes a place. At the limit it is that of the oldest: a connection that is already accepted cannot wait.
    pub(super) fn enter(self: &Rc<Self>, now: Duration) -> Place {
        self.has_room(now);
        while self.unfinished.borrow().len() >= self.limit.get() {
            let oldest = self.unfinished.borrow_mut().pop_first();
            if let Some((_, handshake)) = oldest {
                handshake.cut_off.set(true);
                (handshake.wake.borrow())();
            }
        }
        self.last.set(self.last.get() + 1);
        let (number, wake) = (self.last.get(), RefCell::new(Box::new(|| {}) as Box<dyn Fn()>));
        let handshake = Rc::new(Unfinished { began: now, cut_off: Cell::new(false), wake });
        self.unfinished.borrow_mut().insert(number, Rc::clone(&handshake));
        Place { handshakes: Rc::clone(self), number, handshake }
    }
}

impl Place {
    /// Whether it was given to another handshake.
    pub(super) fn is_cut_off(&self) -> bool {
        self.handshake.cut_off.get()
    }

    /// Sets the function that makes the connection check its layer once the place is given away.
    pub(super) fn set_wake(&self, wake: impl Fn() + 'static) {
        *self.handshake.wake.borrow_mut() = Box::new(wake);
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.handshakes.unfinished.borrow_mut().remove(&self.number);
    }
}
