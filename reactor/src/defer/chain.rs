//! The links of a chain of callbacks, and how a result moves along them.
//!
//! What is one Deferred in Twisted is a [`Chain`] here: a list of [`Link`]s, one for each callback, each with the type of the
//! result that arrives at it. Guarantees:
//!
//! - A chain fires once. Later attempts are dropped.
//! - A result arrives at one link after the other, in the order in which callbacks were added, and is taken once.
//! - While a callback's Deferred has no result, or the chain is paused, the result stays where it is.
//! - A result moves from link to link in a loop ([`run`]), never by recursion, so a chain can have any length. For the same
//!   reason no chain is dropped with callbacks in it: dropping the firer fires it, and dropping the last handle ends a pause.
//! - A panic in a callback is an error for the next one; a panic in the drop of a value is reported.

use std::cell::{Cell, RefCell};
use std::mem;
use std::panic::Location;
use std::rc::{Rc, Weak};
use std::task::Waker;

use super::deferred::Deferred;
use super::error::DeferredError;
use super::failure::Failure;
use super::parcel::Parcel;
use super::settled::Settled;
use crate::panic::catch;
use crate::report::{drop_quietly, report_error};

/// The name of a dropped result in a report. Dropping it may panic, which must not keep other results from arriving.
const RESULT: &str = "the result of a Deferred";

pub(super) type Outcome<T> = Result<Parcel<T>, Failure>;

/// What a callback returns: the next result, or a Deferred to wait for.
pub(super) enum Answer<T: 'static> {
    Later(Deferred<T>),
    Now(Outcome<T>),
}

impl<T: 'static> From<Settled<T>> for Answer<T> {
    fn from(settled: Settled<T>) -> Self {
        match settled {
            Settled::Later(deferred) => Self::Later(deferred),
            Settled::Now(result) => Self::Now(result.map(Parcel::new)),
        }
    }
}

/// Takes a result and returns the link it has arrived at.
type Continuation<T> = Box<dyn FnOnce(Outcome<T>) -> Option<Rc<dyn Hop>>>;

/// A link of any type, which may have a result to pass on.
pub(super) trait Hop {
    /// Passes on the result, if there is one and the chain is not paused, and returns the link that has it now.
    fn hop(self: Rc<Self>) -> Option<Rc<dyn Hop>>;

    /// Fires the chain with an error; for the first link only.
    fn fail(self: Rc<Self>, failure: Failure);

    /// Calls the canceller; for the first link only.
    fn cancel(self: Rc<Self>);
}

/// Moves a result along its chain, and along the chains that wait for it, as far as possible.
pub(super) fn run(mut link: Option<Rc<dyn Hop>>) {
    while let Some(next) = link {
        link = next.hop();
    }
}

/// State shared by the links of one chain.
pub(super) struct Chain {
    made: &'static Location<'static>,
    called: Cell<bool>,
    cancelling: Cell<bool>,
    paused: Cell<u32>,
    /// The number of handles that can end a pause.
    handles: Cell<usize>,
    first: RefCell<Option<Weak<dyn Hop>>>,
    /// The chain of the Deferred that a callback of this one returned.
    waiting_for: RefCell<Option<Rc<Self>>>,
    /// The link whose result waits for the end of a pause.
    stalled: RefCell<Option<Rc<dyn Hop>>>,
}

impl Chain {
    pub(super) fn new(made: &'static Location<'static>) -> Rc<Self> {
        Rc::new(Self {
            made,
            called: Cell::new(false),
            cancelling: Cell::new(false),
            paused: Cell::new(0),
            handles: Cell::new(0),
            first: RefCell::default(),
            waiting_for: RefCell::default(),
            stalled: RefCell::default(),
        })
    }

    pub(super) const fn made(&self) -> &'static Location<'static> {
        self.made
    }

    pub(super) const fn called(&self) -> bool {
        self.called.get()
    }

    pub(super) const fn paused(&self) -> bool {
        self.paused.get() > 0
    }

    pub(super) const fn cancelling(&self) -> bool {
        self.cancelling.get()
    }

    pub(super) fn pause(&self) {
        self.paused.set(self.paused.get() + 1);
    }

    pub(super) fn unpause(&self) {
        self.paused.set(self.paused.get().saturating_sub(1));
        if !self.paused() {
            let stalled = self.stalled.take();
            run(stalled);
        }
    }

    pub(super) fn add_handle(&self) {
        self.handles.set(self.handles.get() + 1);
    }

    pub(super) fn remove_handle(&self) {
        self.handles.set(self.handles.get() - 1);
        if self.handles.get() == 0 && self.paused() {
            // No handle is left to end the pause, so the chain would never continue.
            self.paused.set(1);
            self.unpause();
        }
    }

    /// Cancels this chain, or the innermost chain that it waits for.
    pub(super) fn cancel(self: &Rc<Self>) {
        let mut chain = Rc::clone(self);
        while chain.called() {
            let inner = chain.waiting_for.borrow().clone();
            let Some(inner) = inner else { return };
            chain = inner;
        }
        let first = chain.first.borrow().as_ref().and_then(Weak::upgrade);
        let Some(first) = first.filter(|_| !chain.cancelling.replace(true)) else { return };
        if let Err(panic) = catch(|| Rc::clone(&first).cancel()) {
            report_error("canceller", format_args!("the canceller of the Deferred made at {} {panic}", chain.made));
        }
        chain.cancelling.set(false);
        if !chain.called() {
            first.fail(Failure::new(DeferredError::Cancelled));
        }
    }

    fn report(&self, failure: &Failure) {
        if matches!(failure.downcast_ref(), Some(DeferredError::Abandoned)) {
            // Expected when a reactor stops while work is under way.
            log::debug!("the Deferred made at {} was abandoned", self.made);
        } else {
            report_error("Deferred", format_args!("unhandled error in the Deferred made at {}: {failure}", self.made));
        }
    }
}

/// One link: where a result of type `T` arrives, and where it goes from there.
pub(super) struct Link<T: 'static> {
    chain: Rc<Chain>,
    outcome: RefCell<Option<Outcome<T>>>,
    next: RefCell<Next<T>>,
    canceller: RefCell<Option<Canceller<T>>>,
    /// Whether its Deferred is cancelled when dropped before it has fired, even if it was not awaited. That is so for a wait in a
    /// queue, whose next value would otherwise be lost.
    lapses: bool,
}

pub(super) type Canceller<T> = Box<dyn FnOnce(Rc<Link<T>>)>;

/// Where the result of a link goes.
enum Next<T: 'static> {
    /// To a future, which is woken.
    Awaited(Option<Waker>),
    Callback(Continuation<T>),
    /// To nobody any more; an error is logged.
    Detached,
    /// To nobody yet: the Deferred is held, and a callback may still be added.
    Held,
    /// To nobody; an error is not logged.
    Ignored,
    /// It was already taken.
    Taken,
}

impl<T: 'static> Link<T> {
    /// The first link of a new chain.
    pub(super) fn first(made: &'static Location<'static>, canceller: Option<Canceller<T>>, lapses: bool) -> Rc<Self> {
        let link = Self::following(Chain::new(made), lapses);
        let weak: Weak<dyn Hop> = Rc::downgrade(&(Rc::clone(&link) as Rc<dyn Hop>));
        link.chain.first.replace(Some(weak));
        link.canceller.replace(canceller);
        link
    }

    fn following(chain: Rc<Chain>, lapses: bool) -> Rc<Self> {
        let next = RefCell::new(Next::Held);
        Rc::new(Self { chain, outcome: RefCell::default(), next, canceller: RefCell::default(), lapses })
    }

    pub(super) const fn chain(&self) -> &Rc<Chain> {
        &self.chain
    }

    /// Fires the chain; does nothing the second time.
    pub(super) fn fire(self: Rc<Self>, outcome: Outcome<T>) {
        if self.chain.called.replace(true) {
            return drop_quietly(RESULT, outcome);
        }
        drop_quietly("the canceller of a Deferred", self.canceller.take());
        self.outcome.replace(Some(outcome));
        run(Some(self));
    }

    /// Adds a callback and returns the link where its result arrives. If this link's result is here, the callback runs now.
    pub(super) fn then<U: 'static>(self: &Rc<Self>, callback: impl FnOnce(Outcome<T>) -> Answer<U> + 'static) -> Rc<Link<U>> {
        self.followed_by(Link::following(Rc::clone(&self.chain), false), callback)
    }

    /// As [`then`](Self::then), for internal callbacks: the new link lapses if this one does.
    pub(super) fn pass(self: &Rc<Self>, filter: impl FnOnce(Outcome<T>) -> Outcome<T> + 'static) -> Rc<Self> {
        self.followed_by(Self::following(Rc::clone(&self.chain), self.lapses), |outcome| Answer::Now(filter(outcome)))
    }

    fn followed_by<U: 'static>(
        self: &Rc<Self>,
        next: Rc<Link<U>>,
        callback: impl FnOnce(Outcome<T>) -> Answer<U> + 'static,
    ) -> Rc<Link<U>> {
        let target = Rc::clone(&next);
        self.next.replace(Next::Callback(Box::new(move |outcome| match catch(|| callback(outcome)) {
            Ok(Answer::Now(outcome)) => target.arrived(outcome),
            Ok(Answer::Later(inner)) => inner.feed(target),
            Err(panic) => target.arrived(Err(Failure::new(panic))),
        })));
        run(Some(Rc::clone(self) as Rc<dyn Hop>));
        next
    }

    /// Makes the result of this link arrive at a link of another chain, which then waits for this one.
    pub(super) fn feed(self: &Rc<Self>, target: Rc<Self>) -> Option<Rc<dyn Hop>> {
        target.chain.waiting_for.replace(Some(Rc::clone(&self.chain)));
        self.next.replace(Next::Callback(Box::new(move |outcome| {
            let inner = target.chain.waiting_for.take();
            drop(inner);
            target.arrived(outcome)
        })));
        Some(Rc::clone(self) as Rc<dyn Hop>)
    }

    #[expect(clippy::unnecessary_wraps, reason = "it is what a continuation returns")]
    fn arrived(self: Rc<Self>, outcome: Outcome<T>) -> Option<Rc<dyn Hop>> {
        self.outcome.replace(Some(outcome));
        Some(self)
    }

    /// Takes the result, if it is here and the chain is not paused.
    pub(super) fn take(&self) -> Option<Outcome<T>> {
        if self.chain.paused() {
            return None;
        }
        let outcome = self.outcome.take()?;
        self.next.replace(Next::Taken);
        Some(outcome)
    }

    pub(super) fn taken(&self) -> bool {
        matches!(*self.next.borrow(), Next::Taken)
    }

    /// Wakes a future once the result is here.
    pub(super) fn await_with(self: &Rc<Self>, waker: &Waker) {
        self.next.replace(Next::Awaited(Some(waker.clone())));
        // The result may already be here, waiting for the end of a pause.
        run(Some(Rc::clone(self) as Rc<dyn Hop>));
    }

    /// The Deferred was dropped. If it was awaited it is cancelled, as dropped futures are.
    pub(super) fn detach(self: &Rc<Self>) {
        let next = mem::replace(&mut *self.next.borrow_mut(), Next::Taken);
        match next {
            Next::Awaited(_) => self.ignore(),
            Next::Held if self.lapses && !self.chain.called() => self.ignore(),
            Next::Held => {
                self.next.replace(Next::Detached);
                run(Some(Rc::clone(self) as Rc<dyn Hop>));
            }
            other => drop(self.next.replace(other)),
        }
    }

    /// Nobody wants the result: cancels the chain, and returns a value that is already here to its origin.
    pub(super) fn ignore(self: &Rc<Self>) {
        self.next.replace(Next::Ignored);
        self.chain.cancel();
        run(Some(Rc::clone(self) as Rc<dyn Hop>));
    }

    fn report(&self) {
        let outcome = self.outcome.take();
        if let Some(Err(failure)) = &outcome {
            self.chain.report(failure);
        }
        drop_quietly(RESULT, outcome);
    }
}

impl<T: 'static> Drop for Link<T> {
    fn drop(&mut self) {
        if let Some(outcome) = self.outcome.take() {
            drop_quietly(RESULT, outcome);
        }
    }
}

impl<T: 'static> Hop for Link<T> {
    fn hop(self: Rc<Self>) -> Option<Rc<dyn Hop>> {
        if self.outcome.borrow().is_none() {
            return None;
        }
        if self.chain.paused() {
            let chain = Rc::clone(&self.chain);
            chain.stalled.replace(Some(self));
            return None;
        }
        let next = mem::replace(&mut *self.next.borrow_mut(), Next::Taken);
        match next {
            Next::Callback(continuation) => {
                let outcome = self.outcome.take()?;
                drop(self);
                return continuation(outcome);
            }
            Next::Awaited(waker) => {
                self.next.replace(Next::Awaited(None));
                if let Some(waker) = waker {
                    waker.wake();
                }
            }
            Next::Detached => self.report(),
            Next::Ignored => drop_quietly(RESULT, self.outcome.take()),
            Next::Held | Next::Taken => drop(self.next.replace(next)),
        }
        None
    }

    fn fail(self: Rc<Self>, failure: Failure) {
        self.fire(Err(failure));
    }

    fn cancel(self: Rc<Self>) {
        let canceller = self.canceller.take();
        if let Some(canceller) = canceller {
            canceller(self);
        }
    }
}
