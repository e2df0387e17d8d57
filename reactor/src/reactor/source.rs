//! What the loop calls, and the table that it is kept in.

use std::collections::VecDeque;
use std::rc::Rc;

use slab::Slab;

use crate::backend::{Ready, Token};
use crate::panic::Panic;
use crate::reactor::Reactor;

/// Something the loop calls when its descriptor is ready: a connection, a listening port.
///
/// The calls come from the loop only, never from inside a method of the reactor.
#[doc(alias = "IReadWriteDescriptor")]
pub trait Source {
    /// The descriptor is ready, or the source asked to be called with [`Reactor::requeue`](crate::Reactor::requeue).
    ///
    /// Readiness is edge-triggered: it is not reported again before it has been used up.
    fn ready(self: Rc<Self>, ready: Ready);

    /// The turn ends; called once after [`Reactor::at_end_of_turn`](crate::Reactor::at_end_of_turn).
    fn end_of_turn(self: Rc<Self>);

    /// The reactor is stopping: finish what was begun, then leave the table. A port stops accepting. The youngest source is
    /// called first, and so is it for [`abort`](Self::abort).
    fn shut_down(self: Rc<Self>);

    /// The time for finishing is up: leave the table now.
    fn abort(self: Rc<Self>);

    /// A call of the source panicked outside of what it catches itself, because something of the user's panicked when it was
    /// dropped: leave the table now. Unless there is more to say, that is an abort.
    fn panicked(self: Rc<Self>, panic: Panic) {
        drop(panic);
        self.abort();
    }

    /// A description for lists of what was left behind and for reports.
    fn describe(&self) -> String {
        "a source".to_owned()
    }
}

impl Reactor {
    /// Puts a source into the table; register its descriptor under the token.
    #[doc(alias = "addReader")]
    #[doc(alias = "addWriter")]
    pub fn add_source(&self, source: Rc<dyn Source>) -> Token {
        self.0.sources.borrow_mut().insert(source)
    }

    /// Replaces a source under the same token: an attempt to connect becomes a connection.
    pub fn replace_source(&self, token: Token, source: Rc<dyn Source>) {
        let replaced = self.0.sources.borrow_mut().replace(token, source);
        drop(replaced);
    }

    /// How many sources (connections, ports) there are; for tests that want to leave nothing behind.
    #[must_use]
    pub fn source_count(&self) -> usize {
        self.0.sources.borrow().len()
    }

    /// Calls the source as ready for `ready` in step 6 of the next turn; of this turn, if that step is still to come.
    pub fn requeue(&self, token: Token, ready: Ready) {
        self.0.sources.borrow_mut().mark_ready(token, ready);
        self.nudge();
    }

    /// Calls [`Source::end_of_turn`] in step 8, once, however often this is asked for.
    pub fn at_end_of_turn(&self, token: Token) {
        self.0.sources.borrow_mut().mark_ending(token);
        self.nudge();
    }
}

struct Slot {
    source: Rc<dyn Source>,
    /// The half of its token that tells it from an earlier source in the same place.
    generation: u32,
    ready: Ready,
    /// In `run_queue`.
    queued: bool,
    /// In `end_queue`.
    ending: bool,
}

/// The sources by token, and the two queues of those that are to be called.
///
/// A source is in each queue at most once, however often it is marked; what it is ready for is collected. The token of a source
/// that has left the table finds nothing, even when its place was given to another: so a late event reaches nobody.
#[derive(Default)]
pub(crate) struct SourceTable {
    slots: Slab<Slot>,
    generation: u32,
    run_queue: VecDeque<Token>,
    end_queue: Vec<Token>,
    /// An empty one, for those that come while the queue is called.
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

    /// Adds to what the source is ready for, and puts it into the queue unless it is there.
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

    /// Takes the queue of those that are to end the turn.
    pub(crate) fn take_ending(&mut self) -> Vec<Token> {
        std::mem::replace(&mut self.end_queue, std::mem::take(&mut self.next_end_queue))
    }

    /// Takes it back when it is empty.
    pub(crate) fn give_ending(&mut self, empty: Vec<Token>) {
        self.next_end_queue = empty;
    }

    /// One of those in it, if it is still there.
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

    /// The slot of a source that is still there.
    fn slot_mut(&mut self, token: Token) -> Option<&mut Slot> {
        self.slots.get_mut(token.index()).filter(|slot| slot.generation == token.generation())
    }
}
