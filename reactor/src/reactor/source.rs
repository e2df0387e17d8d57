//! What the loop calls, and the table of it.

use std::collections::VecDeque;
use std::rc::Rc;

use slab::Slab;

use crate::backend::{Ready, Token};
use crate::panic::Panic;
use crate::reactor::Reactor;

/// Something that the loop calls when its descriptor is ready: a connection, a listening port.
///
/// Calls come from the loop only, never from inside a method of the reactor.
#[doc(alias = "IReadWriteDescriptor")]
pub trait Source {
    /// The descriptor is ready, or the source requested the call with [`Reactor::requeue`](crate::Reactor::requeue).
    ///
    /// Readiness is edge-triggered: it is not reported again until it has been used up.
    fn ready(self: Rc<Self>, ready: Ready);

    /// The turn ends. Called once after [`Reactor::at_end_of_turn`](crate::Reactor::at_end_of_turn).
    fn end_of_turn(self: Rc<Self>);

    /// The reactor is stopping: finish what was begun, then leave the table. A port stops accepting. Sources are called from
    /// youngest to oldest, here and in [`abort`](Self::abort).
    fn shut_down(self: Rc<Self>);

    /// The time for finishing is over: leave the table now.
    fn abort(self: Rc<Self>);

    /// A call of the source panicked outside what it catches itself, because some user value panicked when dropped: leave the
    /// table now. The default aborts.
    fn panicked(self: Rc<Self>, panic: Panic) {
        drop(panic);
        self.abort();
    }

    /// A description for reports and lists of leftovers.
    fn describe(&self) -> String {
        "a source".to_owned()
    }
}

impl Reactor {
    /// Adds a source to the table; register its descriptor under the returned token.
    #[doc(alias = "addReader")]
    #[doc(alias = "addWriter")]
    pub fn add_source(&self, source: Rc<dyn Source>) -> Token {
        self.0.sources.borrow_mut().insert(source)
    }

    /// Replaces a source under the same token, as when a connection attempt becomes a connection.
    pub fn replace_source(&self, token: Token, source: Rc<dyn Source>) {
        let replaced = self.0.sources.borrow_mut().replace(token, source);
        drop(replaced);
    }

    /// The number of sources (connections, ports); for tests that check that nothing is left over.
    #[must_use]
    pub fn source_count(&self) -> usize {
        self.0.sources.borrow().len()
    }

    /// Calls the source as ready for `ready` in step 6 of the next turn, or of this turn if that step is still to come.
    pub fn requeue(&self, token: Token, ready: Ready) {
        self.0.sources.borrow_mut().mark_ready(token, ready);
        self.nudge();
    }

    /// Calls [`Source::end_of_turn`] in step 8, once, however often this is called.
    pub fn at_end_of_turn(&self, token: Token) {
        self.0.sources.borrow_mut().mark_ending(token);
        self.nudge();
    }
}

struct Slot {
    source: Rc<dyn Source>,
    /// The part of its token that distinguishes it from earlier sources at the same index.
    generation: u32,
    ready: Ready,
    /// Whether it is in `run_queue`.
    queued: bool,
    /// Whether it is in `end_queue`.
    ending: bool,
}

/// The sources by token, and the two queues of sources to call.
///
/// A source is in each queue at most once, however often it is marked; its readiness is accumulated. The token of a source that
/// has left the table matches nothing, even if its index is reused, so late events are ignored.
#[derive(Default)]
pub(crate) struct SourceTable {
    slots: Slab<Slot>,
    generation: u32,
    run_queue: VecDeque<Token>,
    end_queue: Vec<Token>,
    /// An empty queue, for sources that are queued while `end_queue` is processed.
    next_end_queue: Vec<Token>,
}

impl SourceTable {
    pub(crate) fn insert(&mut self, source: Rc<dyn Source>) -> Token {
        let entry = self.slots.vacant_entry();
        self.generation = self.generation.wrapping_add(1);
        let token = Token::new(self.generation, entry.key());
        entry.insert(Slot { source, generation: token.generation(), ready: Ready::NONE, queued: false, ending: false });
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
        self.slots.iter().map(|(index, slot)| (Token::new(slot.generation, index), Rc::clone(&slot.source))).collect()
    }

    pub(crate) fn get(&self, token: Token) -> Option<Rc<dyn Source>> {
        let slot = self.slots.get(token.index()).filter(|slot| slot.generation == token.generation());
        slot.map(|slot| Rc::clone(&slot.source))
    }

    /// Adds to what the source is ready for, and queues it unless it is queued.
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
            self.end_queue.push(token);
        }
    }

    pub(crate) fn next_ready(&mut self) -> Option<(Token, Rc<dyn Source>, Ready)> {
        let token = self.run_queue.pop_front()?;
        let slot = self.slot_mut(token)?;
        slot.queued = false;
        Some((token, Rc::clone(&slot.source), std::mem::take(&mut slot.ready)))
    }

    /// Takes the queue of sources that end the turn.
    pub(crate) fn take_ending(&mut self) -> Vec<Token> {
        std::mem::replace(&mut self.end_queue, std::mem::take(&mut self.next_end_queue))
    }

    /// Returns the queue, now empty, for reuse.
    pub(crate) fn give_ending(&mut self, empty: Vec<Token>) {
        self.next_end_queue = empty;
    }

    /// Takes one source from the queue that was taken, if it is still in the table.
    pub(crate) fn next_ending(&mut self, token: Token) -> Option<Rc<dyn Source>> {
        let slot = self.slot_mut(token)?;
        slot.ending = false;
        Some(Rc::clone(&slot.source))
    }

    pub(crate) fn ready_count(&self) -> usize {
        self.run_queue.len()
    }

    pub(crate) fn ending_count(&self) -> usize {
        self.end_queue.len()
    }

    /// The slot of a source that is still in the table.
    fn slot_mut(&mut self, token: Token) -> Option<&mut Slot> {
        self.slots.get_mut(token.index()).filter(|slot| slot.generation == token.generation())
    }
}
