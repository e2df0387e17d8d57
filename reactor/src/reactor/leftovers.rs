//! What a program has left behind in its reactor: the check for a dirty reactor.

use std::fmt;

use super::Reactor;
use crate::task::Tasks;

/// What is still active in a reactor, as returned by [`Reactor::leftovers`]; for tests that check that nothing is left over.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct Leftovers {
    /// Delayed calls: where each was scheduled, and when it is due.
    pub delayed_calls: Vec<String>,
    /// Thread-pool jobs without a result yet, and host names that are being waited for.
    pub jobs: usize,
    /// Connections, ports, connection attempts.
    pub sources: Vec<String>,
    /// Spawned tasks that are not done.
    pub tasks: usize,
}

impl Leftovers {
    /// Returns whether nothing is left over.
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
    /// Returns what is still active: timers, connections, ports, jobs, tasks.
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
    /// If there are [`leftovers`](Self::leftovers); the message lists them, with the locations where timers were scheduled.
    #[doc(alias = "DirtyReactorAggregateError")]
    #[track_caller]
    pub fn assert_clean(&self) {
        let leftovers = self.leftovers();
        assert!(leftovers.is_clean(), "{leftovers}");
    }
}
