//! Calls by time: ordered by (deadline, order of making), cheap to cancel and to put off.

use std::cell::{Cell, RefCell};
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::panic::Location;
use std::rc::Rc;
use std::time::Duration;

use slab::Slab;

use crate::backend::Backend;

/// Below this many stale heap items a sweep is not worth its cost.
const SWEEP_FROM: usize = 64;

/// A timer queue and the clock it goes by.
pub(crate) struct Timers {
    pub(crate) queue: RefCell<TimerQueue>,
    backend: Rc<dyn Backend>,
    /// The time at the last reading; what a turn goes by.
    now: Cell<Duration>,
}

impl Timers {
    pub(crate) fn new(backend: Rc<dyn Backend>) -> Self {
        Self { queue: RefCell::default(), now: Cell::new(backend.now()), backend }
    }

    /// Reads the clock.
    pub(crate) fn refresh(&self) -> Duration {
        self.now.set(self.backend.now());
        self.now.get()
    }

    /// Tells the backend that a call was moved.
    pub(crate) fn nudge(&self) {
        self.backend.nudge();
    }

    /// The time at the last reading.
    pub(crate) fn now(&self) -> Duration {
        self.now.get()
    }
}

/// Where a call stands in the queue. The sequence number tells a call from a later one in the same place.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CallId {
    key: usize,
    sequence: u64,
}

struct Call {
    run: Box<dyn FnOnce()>,
    deadline: Duration,
    /// Where it was scheduled.
    made: &'static Location<'static>,
    /// The deadline under which the heap holds this call: never later than `deadline`.
    queued: Duration,
    sequence: u64,
}

#[derive(Clone, Copy, Eq, Ord, PartialEq, PartialOrd)]
struct HeapItem {
    deadline: Duration,
    sequence: u64,
    key: usize,
}

/// A binary heap whose items may be stale: a call that was cancelled or moved is put right when its item comes up.
#[derive(Default)]
pub(crate) struct TimerQueue {
    calls: Slab<Call>,
    heap: BinaryHeap<Reverse<HeapItem>>,
    next_sequence: u64,
}

impl TimerQueue {
    pub(crate) fn insert(&mut self, deadline: Duration, made: &'static Location<'static>, run: Box<dyn FnOnce()>) -> CallId {
        let sequence = self.next_sequence;
        self.next_sequence += 1;
        let key = self.calls.insert(Call { run, deadline, made, queued: deadline, sequence });
        self.heap.push(Reverse(HeapItem { deadline, sequence, key }));
        CallId { key, sequence }
    }

    /// Takes a call out. The caller drops it outside the queue's borrow, since that may come back here.
    pub(crate) fn remove(&mut self, id: CallId) -> Option<Box<dyn FnOnce()>> {
        self.deadline(id)?;
        let call = self.calls.remove(id.key);
        self.sweep();
        Some(call.run)
    }

    pub(crate) fn contains(&self, id: CallId) -> bool {
        self.deadline(id).is_some()
    }

    pub(crate) fn deadline(&self, id: CallId) -> Option<Duration> {
        self.calls.get(id.key).filter(|call| call.sequence == id.sequence).map(|call| call.deadline)
    }

    /// Moves a call. A later deadline costs nothing now: the heap's item is put right when it comes up.
    pub(crate) fn set_deadline(&mut self, id: CallId, deadline: Duration) -> bool {
        let Some(call) = self.calls.get_mut(id.key).filter(|call| call.sequence == id.sequence) else { return false };
        call.deadline = deadline;
        if deadline < call.queued {
            call.queued = deadline;
            self.heap.push(Reverse(HeapItem { deadline, sequence: id.sequence, key: id.key }));
            self.sweep();
        }
        true
    }

    pub(crate) fn len(&self) -> usize {
        self.calls.len()
    }

    /// When each call is due and where it was scheduled, in no order.
    pub(crate) fn calls(&self) -> impl Iterator<Item = (Duration, &'static Location<'static>)> + '_ {
        self.calls.iter().map(|(_, call)| (call.deadline, call.made))
    }

    /// The sequence number that the next call will get.
    pub(crate) fn next_sequence(&self) -> u64 {
        self.next_sequence
    }

    /// When to look at the queue again: when the first call is due, or before that if it was put off meanwhile.
    ///
    /// Calls that were put off stay where they are until their first deadline. To find the true one in every turn would
    /// move all idle timeouts that were put off since the turn before.
    pub(crate) fn next_deadline(&mut self) -> Option<Duration> {
        loop {
            let Reverse(item) = *self.heap.peek()?;
            if self.call_of(item).is_some() {
                return Some(item.deadline);
            }
            self.heap.pop();
        }
    }

    /// Takes the first call that is due at `now` and was made before sequence number `before`, with its own number.
    pub(crate) fn pop_due(&mut self, now: Duration, before: u64) -> Option<(u64, Box<dyn FnOnce()>)> {
        let item = self.settle_due(now).filter(|item| item.sequence < before)?;
        self.heap.pop();
        Some((item.sequence, self.calls.remove(item.key).run))
    }

    /// Throws stale items off the heap's top and moves put-off ones down, until the top is truly due, or nothing is.
    fn settle_due(&mut self, now: Duration) -> Option<HeapItem> {
        loop {
            let Reverse(item) = *self.heap.peek()?;
            if item.deadline > now {
                return None;
            }
            match self.call_of(item) {
                Some(call) if call.deadline == item.deadline => return Some(item),
                Some(call) => {
                    call.queued = call.deadline;
                    let deadline = call.deadline;
                    if let Some(mut top) = self.heap.peek_mut() {
                        top.0.deadline = deadline;
                    }
                }
                None => {
                    self.heap.pop();
                }
            }
        }
    }

    /// The call that a heap's item stands for; none if it was cancelled or has another item.
    fn call_of(&mut self, item: HeapItem) -> Option<&mut Call> {
        self.calls.get_mut(item.key).filter(|call| call.sequence == item.sequence && call.queued == item.deadline)
    }

    /// Keeps the heap's size within twice the number of calls, so that cancelled ones do not pile up.
    fn sweep(&mut self) {
        if self.heap.len() > SWEEP_FROM && self.heap.len() > 2 * self.calls.len() {
            let calls = &self.calls;
            self.heap.retain(|Reverse(item)| {
                calls.get(item.key).is_some_and(|call| call.sequence == item.sequence && call.queued == item.deadline)
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_that_was_put_off_is_looked_at_at_its_first_deadline_and_made_at_its_last() {
        let mut queue = TimerQueue::default();
        let seconds = Duration::from_secs;
        let first = queue.insert(seconds(10), Location::caller(), Box::new(|| ()));
        queue.insert(seconds(40), Location::caller(), Box::new(|| ()));
        assert!(queue.set_deadline(first, seconds(20)) && queue.set_deadline(first, seconds(30)));
        assert_eq!(queue.next_deadline(), Some(seconds(10)), "nothing is moved while it is not due");
        assert!(queue.pop_due(seconds(10), u64::MAX).is_none());
        assert_eq!(queue.next_deadline(), Some(seconds(30)), "moved once, however often it was put off");
        assert_eq!(queue.pop_due(seconds(30), u64::MAX).map(|(sequence, _)| sequence), Some(0));
        assert_eq!(queue.next_deadline(), Some(seconds(40)));
    }
}
