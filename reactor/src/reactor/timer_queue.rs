//! Delayed calls, ordered by deadline and then by when they were scheduled; cheap to cancel and to postpone.

use std::cell::{Cell, RefCell};
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::collections::binary_heap::PeekMut;
use std::panic::Location;
use std::rc::Rc;
use std::time::Duration;

use slab::Slab;

use crate::backend::Backend;
use crate::reactor::turn::InTurn;

/// A heap of at most this many items is never swept.
const SWEEP_FROM: usize = 64;

/// A timer queue and its clock.
///
/// Within a turn the time is fixed, from the reading at its start to the end of the wait, so that all callbacks of a turn see the
/// same time and the deadlines they set are comparable.
pub(crate) struct Timers {
    pub(crate) queue: RefCell<TimerQueue>,
    backend: Rc<dyn Backend>,
    /// The last reading of the clock, valid for the turn unless it has expired.
    now: Cell<Duration>,
    expired: Cell<bool>,
    pub(crate) in_turn: InTurn,
}

impl Timers {
    pub(crate) fn new(backend: Rc<dyn Backend>, in_turn: InTurn) -> Self {
        Self { queue: RefCell::default(), now: Cell::new(backend.now()), expired: Cell::new(false), in_turn, backend }
    }

    /// Reads the clock.
    pub(crate) fn refresh(&self) -> Duration {
        self.now.set(self.backend.now());
        self.expired.set(false);
        self.now.get()
    }

    /// Notes that time has passed: the clock is read again when the time is next needed.
    pub(crate) fn expire(&self) {
        self.expired.set(true);
    }

    /// Tells the backend that a call was moved.
    pub(crate) fn nudge(&self) {
        self.backend.nudge();
    }

    /// Within a turn the last reading, otherwise the current time.
    pub(crate) fn now(&self) -> Duration {
        if self.in_turn.get() && !self.expired.get() { self.now.get() } else { self.refresh() }
    }
}

/// Where a call was scheduled.
type Made = &'static Location<'static>;

type Run = Box<dyn FnOnce()>;

/// Identifies a call. The sequence number distinguishes it from later calls in the same slot.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CallId {
    key: usize,
    sequence: u64,
}

/// A timer's memory besides its closure and its heap item: 32 bytes, because a program may have a million timers.
struct Call {
    run: Run,
    /// In nanoseconds, as are all times in this file.
    deadline: u64,
    sequence: u64,
}

#[derive(Clone, Copy, Eq, Ord, PartialEq, PartialOrd)]
struct HeapItem {
    deadline: u64,
    sequence: u64,
    key: usize,
}

/// A binary heap whose items may be stale: the item of a cancelled or moved call is corrected when it reaches the top.
///
/// Guarantees: every call has an item that is due no later than the call, so none is missed; a call is made once, at its last
/// deadline; of two calls with the same deadline the one scheduled first is made first; stale items do not accumulate. Scheduling
/// and making a call cost O(log n), cancelling and postponing it amortised O(1).
#[derive(Default)]
pub(crate) struct TimerQueue {
    calls: Slab<Call>,
    heap: BinaryHeap<Reverse<HeapItem>>,
    /// Where the call in each slot was scheduled; kept separately, because only reports need it.
    made: Vec<&'static Location<'static>>,
    next_sequence: u64,
}

impl TimerQueue {
    pub(crate) fn insert(&mut self, deadline: Duration, made: &'static Location<'static>, run: Run) -> CallId {
        let (deadline, sequence) = (nanoseconds(deadline), self.next_sequence);
        self.next_sequence += 1;
        let key = self.calls.insert(Call { run, deadline, sequence });
        match self.made.get_mut(key) {
            Some(slot) => *slot = made,
            None => self.made.push(made),
        }
        self.heap.push(Reverse(HeapItem { deadline, sequence, key }));
        CallId { key, sequence }
    }

    /// Removes a call. The caller drops it outside the queue's borrow, because that may lead back here.
    pub(crate) fn remove(&mut self, id: CallId) -> Option<Run> {
        active(&self.calls, id.key, id.sequence)?;
        let call = self.calls.remove(id.key);
        self.sweep();
        Some(call.run)
    }

    pub(crate) fn deadline(&self, id: CallId) -> Option<Duration> {
        active(&self.calls, id.key, id.sequence).map(|call| Duration::from_nanos(call.deadline))
    }

    /// Moves a call. A later deadline costs nothing now: the item is corrected when it reaches the top.
    pub(crate) fn set_deadline(&mut self, id: CallId, deadline: Duration) -> bool {
        let Some(call) = self.calls.get_mut(id.key).filter(|call| call.sequence == id.sequence) else { return false };
        let deadline = nanoseconds(deadline);
        if deadline < std::mem::replace(&mut call.deadline, deadline) {
            self.heap.push(Reverse(HeapItem { deadline, sequence: id.sequence, key: id.key }));
            self.sweep();
        }
        true
    }

    pub(crate) fn len(&self) -> usize {
        self.calls.len()
    }

    /// When each call is due and where it was scheduled, in no particular order.
    pub(crate) fn calls(&self) -> impl Iterator<Item = (Duration, &'static Location<'static>)> + '_ {
        self.calls.iter().filter_map(|(key, call)| Some((Duration::from_nanos(call.deadline), *self.made.get(key)?)))
    }

    /// The functions of all calls.
    pub(crate) fn into_runs(self) -> impl Iterator<Item = Run> {
        self.calls.into_iter().map(|(_, call)| call.run)
    }

    /// The sequence number that the next call will get.
    pub(crate) fn next_sequence(&self) -> u64 {
        self.next_sequence
    }

    /// When to check the queue again: when the first call is due, or earlier if that call was postponed.
    ///
    /// Items of postponed calls are not corrected here. Finding the exact time in every turn would mean moving all idle timeouts
    /// that were postponed since the last turn.
    pub(crate) fn next_deadline(&mut self) -> Option<Duration> {
        loop {
            let Reverse(item) = *self.heap.peek()?;
            // The call may have other items, but none is due before this one.
            if active(&self.calls, item.key, item.sequence).is_some() {
                return Some(Duration::from_nanos(item.deadline));
            }
            self.heap.pop();
        }
    }

    /// Takes the first call that is due at `now` and was scheduled before sequence number `before`: its own number, where it was
    /// scheduled, and its function.
    pub(crate) fn pop_due(&mut self, now: Duration, before: u64) -> Option<(u64, Option<Made>, Run)> {
        let item = self.settle_due(nanoseconds(now)).filter(|item| item.sequence < before)?;
        self.heap.pop();
        Some((item.sequence, self.made.get(item.key).copied(), self.calls.remove(item.key).run))
    }

    /// Corrects items at the top of the heap until the first belongs to a call that is due, or nothing is due.
    fn settle_due(&mut self, now: u64) -> Option<HeapItem> {
        loop {
            let mut top = self.heap.peek_mut()?;
            let item = top.0;
            if item.deadline > now {
                return None;
            }
            match active(&self.calls, item.key, item.sequence) {
                Some(call) if call.deadline > item.deadline => top.0.deadline = call.deadline,
                Some(_) => return Some(item),
                None => {
                    PeekMut::pop(top);
                }
            }
        }
    }

    /// Rebuilds the heap once it has more than twice as many items as there are calls, so that stale ones do not accumulate.
    fn sweep(&mut self) {
        if self.heap.len() > SWEEP_FROM && self.heap.len() > 2 * self.calls.len() {
            let mut items = std::mem::take(&mut self.heap).into_vec();
            items.clear();
            let item = |(key, call): (usize, &Call)| Reverse(HeapItem { deadline: call.deadline, sequence: call.sequence, key });
            items.extend(self.calls.iter().map(item));
            self.heap = items.into();
        }
    }
}

/// The call of a handle or heap item, unless it was cancelled or made.
fn active(calls: &Slab<Call>, key: usize, sequence: u64) -> Option<&Call> {
    calls.get(key).filter(|call| call.sequence == sequence)
}

/// A time in nanoseconds; more than 584 years is the greatest number.
fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_that_was_postponed_is_checked_at_its_first_deadline_and_made_at_its_last() {
        let mut queue = TimerQueue::default();
        let seconds = Duration::from_secs;
        let first = queue.insert(seconds(10), Location::caller(), Box::new(|| ()));
        queue.insert(seconds(40), Location::caller(), Box::new(|| ()));
        assert!(queue.set_deadline(first, seconds(20)) && queue.set_deadline(first, seconds(30)));
        assert_eq!(queue.next_deadline(), Some(seconds(10)), "nothing is moved before it is due");
        assert!(queue.pop_due(seconds(10), u64::MAX).is_none());
        assert_eq!(queue.next_deadline(), Some(seconds(30)), "moved once, however often it was put off");
        assert_eq!(queue.pop_due(seconds(30), u64::MAX).map(|(sequence, ..)| sequence), Some(0));
        assert_eq!(queue.next_deadline(), Some(seconds(40)));
    }

    #[test]
    fn a_call_that_is_moved_back_and_forth_is_made_once_and_leaves_a_bounded_heap() {
        let mut queue = TimerQueue::default();
        let seconds = Duration::from_secs;
        let call = queue.insert(seconds(50), Location::caller(), Box::new(|| ()));
        for second in 0..1000 {
            assert!(queue.set_deadline(call, seconds(10 + second % 7)) && queue.set_deadline(call, seconds(20 + second % 5)));
        }
        assert!(queue.heap.len() <= SWEEP_FROM + 1);
        assert!(queue.pop_due(seconds(23), u64::MAX).is_none(), "it is due at 24 s");
        assert!(queue.pop_due(seconds(24), u64::MAX).is_some());
        assert_eq!((queue.pop_due(seconds(99), u64::MAX).map(|(sequence, ..)| sequence), queue.next_deadline()), (None, None));
    }
}
