//! What a program has left behind in its reactor: the check for dirty reactors.

use std::fmt;

use super::Reactor;
use crate::task::Tasks;

/// What is still going on in a reactor; made by [`Reactor::leftovers`], for tests that want to leave nothing behind.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct Leftovers {
    /// Delayed calls: where each was made, and when it is due.
    pub delayed_calls: Vec<String>,
    /// Thread-pool jobs without a result so far, and host names that somebody waits for.
    pub jobs: usize,
    /// Connections, ports, attempts to connect.
    pub sources: Vec<String>,
    /// Spawned tasks that are not done.
    pub tasks: usize,
}

impl Leftovers {
    /// Whether there is nothing.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        *self == Self::default()
    }
}

impl fmt::Display for Leftovers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_clean() {
            return f.write_str("nothing was left behind");
        }
        write!(
            f,
            "left behind: {} delayed calls, {} connections or ports, {} jobs, {} tasks",
            self.delayed_calls.len(),
            self.sources.len(),
            self.jobs,
            self.tasks
        )?;
        self.delayed_calls.iter().chain(&self.sources).try_for_each(|what| write!(f, "\n- {what}"))
    }
}

impl Reactor {
    /// Tells what is still going on: timers, connections, ports, jobs, tasks.
    ///
    /// # Examples
    /// ```
    /// use std::time::Duration;
    /// use torsade::Clock;
    ///
    /// let clock = Clock::new();
    /// clock.assert_clean();
    /// clock.call_later(Duration::from_secs(60), || ());
    /// let leftovers = clock.leftovers();
    /// assert_eq!(leftovers.delayed_calls.len(), 1);
    /// assert!(leftovers.to_string().contains("due at 60s"));
    /// ```
    #[doc(alias = "getReaders")]
    #[doc(alias = "getWriters")]
    #[doc(alias = "waitUntilAllDisconnected")]
    #[must_use]
    pub fn leftovers(&self) -> Leftovers {
        let mut calls: Vec<_> = self.0.timers.queue.borrow().calls().collect();
        calls.sort_by_key(|(deadline, _)| *deadline);
        let delayed_calls = calls.iter().map(|(due, made)| format!("a delayed call made at {made}, due at {due:?}")).collect();
        let sources = self.0.sources.borrow().all().iter().map(|(_, source)| source.describe()).collect();
        let jobs = self.0.awaited.borrow().len() + self.0.look_ups.asked_for();
        Leftovers { delayed_calls, jobs, sources, tasks: Tasks::of(self).len() }
    }

    /// Fails a test whose program leaves anything behind: Twisted's check for a dirty reactor.
    ///
    /// # Panics
    /// When there are [`leftovers`](Self::leftovers); the message lists them, with the places where timers were made.
    #[doc(alias = "DirtyReactorAggregateError")]
    #[track_caller]
    pub fn assert_clean(&self) {
        let leftovers = self.leftovers();
        assert!(leftovers.is_clean(), "{leftovers}");
    }
}
