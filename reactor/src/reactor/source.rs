//! What the loop dispatches to, and the table it is kept in.

use std::collections::VecDeque;
use std::fmt;
use std::ops::{BitOr, BitOrAssign};
use std::rc::Rc;

use slab::Slab;

use crate::panic::Panic;

/// What a source can do without waiting; a set of flags.
#[derive(Clone, Copy, Default, Eq, PartialEq)]
pub struct Ready(u8);

impl Ready {
    /// The descriptor has failed; `Stream::take_error` says why.
    pub const ERROR: Self = Self(8);
    /// Nothing; a source woken with it was queued by itself.
    pub const NONE: Self = Self(0);
    /// There may be bytes to read, or connections to accept.
    pub const READABLE: Self = Self(1);
    /// The peer has ended its stream: whatever is read last, the end follows.
    pub const READ_CLOSED: Self = Self(4);
    /// There is room to write.
    pub const WRITABLE: Self = Self(2);

    /// Whether all flags of `other` are set.
    #[must_use]
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Whether any flag of `other` is set.
    #[must_use]
    pub const fn intersects(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }
}

impl BitOr for Ready {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl BitOrAssign for Ready {
    fn bitor_assign(&mut self, other: Self) {
        self.0 |= other.0;
    }
}

impl fmt::Debug for Ready {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = [
            (Self::READABLE, "READABLE"),
            (Self::WRITABLE, "WRITABLE"),
            (Self::READ_CLOSED, "READ_CLOSED"),
            (Self::ERROR, "ERROR"),
        ];
        let set = names.iter().filter(|(flag, _)| self.contains(*flag)).map(|(_, name)| name);
        f.debug_set().entries(set).finish()
    }
}

/// Something the loop calls when its descriptor is ready: a connection, a listening port.
///
/// The calls come from the loop only, never from inside a method of the reactor.
#[doc(alias = "IReadWriteDescriptor")]
pub trait Source {
    /// The descriptor is ready, or the source asked to be called with [`Reactor::requeue`](crate::Reactor::requeue).
    ///
    /// Readiness is edge-triggered: what is not used now is not told again.
    fn ready(self: Rc<Self>, ready: Ready);

    /// The turn ends; comes once after [`Reactor::at_end_of_turn`](crate::Reactor::at_end_of_turn).
    fn end_of_turn(self: Rc<Self>);

    /// The reactor is stopping: finish what was begun, then leave the table. A port stops accepting.
    fn shut_down(self: Rc<Self>);

    /// The time for finishing is up: leave the table now.
    fn abort(self: Rc<Self>);

    /// A call to it has panicked where it catches nothing, since something of the user's panicked when it was dropped: leave
    /// the table now, as for an abort unless there is more to say.
    fn panicked(self: Rc<Self>, panic: Panic) {
        drop(panic);
        self.abort();
    }

    /// What it is, for lists of what was left behind and for reports.
    fn describe(&self) -> String {
        "a source".to_owned()
    }
}

/// Names a source in the reactor's table; stale ones reach nobody, since the generation is part of it.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Token(usize);

/// Half of the bits for the place in the table, half for the generation.
const INDEX_BITS: u32 = usize::BITS / 2;
const INDEX_MASK: usize = (1 << INDEX_BITS) - 1;

impl Token {
    /// The token as the number that the system's poll hands back.
    #[must_use]
    pub const fn to_usize(self) -> usize {
        self.0
    }

    /// The token that [`Token::to_usize`] came from.
    #[must_use]
    pub const fn from_usize(number: usize) -> Self {
        Self(number)
    }

    const fn index(self) -> usize {
        self.0 & INDEX_MASK
    }
}

struct Slot {
    source: Rc<dyn Source>,
    token: Token,
    ready: Ready,
    /// In `run_queue`.
    queued: bool,
    /// In `end_queue`.
    ending: bool,
}

/// The sources by token, and the two queues of those that want to be called.
#[derive(Default)]
pub(crate) struct SourceTable {
    slots: Slab<Slot>,
    generation: usize,
    run_queue: VecDeque<Token>,
    end_queue: VecDeque<Token>,
}

impl SourceTable {
    pub(crate) fn insert(&mut self, source: Rc<dyn Source>) -> Token {
        let entry = self.slots.vacant_entry();
        // The upper half of the generations is left out: with its highest a token could equal the one kept for the waker.
        self.generation = (self.generation + 1) & (INDEX_MASK >> 1);
        let token = Token(self.generation << INDEX_BITS | entry.key());
        entry.insert(Slot { source, token, ready: Ready::NONE, queued: false, ending: false });
        token
    }

    pub(crate) fn remove(&mut self, token: Token) -> Option<Rc<dyn Source>> {
        self.slot_mut(token)?;
        Some(self.slots.remove(token.index()).source)
    }

    pub(crate) fn replace(&mut self, token: Token, source: Rc<dyn Source>) -> Option<Rc<dyn Source>> {
        let slot = self.slot_mut(token)?;
        Some(std::mem::replace(&mut slot.source, source))
    }

    pub(crate) fn len(&self) -> usize {
        self.slots.len()
    }

    pub(crate) fn all(&self) -> Vec<(Token, Rc<dyn Source>)> {
        self.slots.iter().map(|(_, slot)| (slot.token, Rc::clone(&slot.source))).collect()
    }

    pub(crate) fn get(&self, token: Token) -> Option<Rc<dyn Source>> {
        let slot = self.slots.get(token.index()).filter(|slot| slot.token == token);
        slot.map(|slot| Rc::clone(&slot.source))
    }

    /// Adds to what the source is ready for and puts it into this turn's or the next turn's queue, once.
    pub(crate) fn mark_ready(&mut self, token: Token, ready: Ready) {
        let Some(slot) = self.slot_mut(token) else { return };
        slot.ready |= ready;
        if !slot.queued {
            slot.queued = true;
            self.run_queue.push_back(token);
        }
    }

    pub(crate) fn mark_ending(&mut self, token: Token) {
        let Some(slot) = self.slot_mut(token) else { return };
        if !slot.ending {
            slot.ending = true;
            self.end_queue.push_back(token);
        }
    }

    pub(crate) fn next_ready(&mut self) -> Option<(Token, Rc<dyn Source>, Ready)> {
        let token = self.run_queue.pop_front()?;
        let slot = self.slot_mut(token)?;
        slot.queued = false;
        Some((token, Rc::clone(&slot.source), std::mem::take(&mut slot.ready)))
    }

    pub(crate) fn next_ending(&mut self) -> Option<(Token, Rc<dyn Source>)> {
        let token = self.end_queue.pop_front()?;
        let slot = self.slot_mut(token)?;
        slot.ending = false;
        Some((token, Rc::clone(&slot.source)))
    }

    pub(crate) fn ready_count(&self) -> usize {
        self.run_queue.len()
    }

    pub(crate) fn ending_count(&self) -> usize {
        self.end_queue.len()
    }

    /// The place of a source that is still there.
    fn slot_mut(&mut self, token: Token) -> Option<&mut Slot> {
        self.slots.get_mut(token.index()).filter(|slot| slot.token == token)
    }
}
