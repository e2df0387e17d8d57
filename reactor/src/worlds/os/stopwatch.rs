//! Measures how long callbacks take.
//!
//! The time is read after each callback, only to report very long ones. On Linux the coarse clock, which advances by the kernel's
//! tick of at most 10 ms, costs a fraction of the exact one; it is used if the limit is many ticks.

use std::cell::Cell;
use std::time::Duration;

/// In nanoseconds. Below this limit the exact clock is used, since the limit is only a few ticks of the coarse one.
const EXACT_BELOW: u64 = 50_000_000;

pub(super) struct Stopwatch {
    /// The start of the current lap, in nanoseconds on the scale that both clocks share.
    begun: Cell<u64>,
    exact: Cell<bool>,
}

impl Stopwatch {
    pub(super) fn new() -> Self {
        Self { begun: Cell::new(read(false)), exact: Cell::new(false) }
    }

    pub(super) fn begin(&self) {
        self.begun.set(read(self.exact.get()));
    }

    /// Ends the lap and starts the next. Returns the lap's length if it exceeds `longest`. The limit decides which clock is used,
    /// except `Duration::MAX`, which reports nothing. The coarse clock lags behind the exact one, so a lap that starts with it
    /// and ends with the other looks longer than it was.
    pub(super) fn lap(&self, longest: Duration) -> Option<Duration> {
        let longest = nanoseconds(longest.as_secs(), longest.subsec_nanos());
        if longest < u64::MAX {
            self.exact.set(longest < EXACT_BELOW);
        }
        let now = read(self.exact.get());
        // Started with the exact clock and ended with the coarse one, it may be negative.
        let took = now.saturating_sub(self.begun.replace(now));
        (took > longest).then(|| Duration::from_nanos(took))
    }
}

fn nanoseconds(seconds: u64, rest: u32) -> u64 {
    seconds.saturating_mul(1_000_000_000).saturating_add(rest.into())
}

#[cfg(any(target_os = "linux", target_os = "android"))]
fn read(exact: bool) -> u64 {
    use rustix::time::{ClockId, clock_gettime};

    let time = clock_gettime(if exact { ClockId::Monotonic } else { ClockId::MonotonicCoarse });
    // Neither is negative: the clock counts from the start of the machine.
    nanoseconds(time.tv_sec as u64, time.tv_nsec as u32)
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn read(_: bool) -> u64 {
    use std::sync::LazyLock;
    use std::time::Instant;

    static BEGIN: LazyLock<Instant> = LazyLock::new(Instant::now);
    let time = BEGIN.elapsed();
    nanoseconds(time.as_secs(), time.subsec_nanos())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pass(time: Duration) {
        let begin = std::time::Instant::now();
        while begin.elapsed() < time {
            std::hint::spin_loop();
        }
    }

    #[test]
    fn a_long_lap_is_reported_with_its_time_by_either_clock() {
        for longest in [Duration::from_millis(1), Duration::from_millis(60)] {
            let watch = Stopwatch::new();
            watch.lap(longest);
            // Exceeds the limit by more than a tick of the coarse clock.
            pass(longest + Duration::from_millis(25));
            let took = watch.lap(longest).expect("it was longer");
            assert!(took > longest, "{took:?}");
        }
    }

    #[test]
    fn a_lap_is_not_reported_below_the_limit_nor_without_one() {
        let watch = Stopwatch::new();
        // Most probably less than the machine's uptime.
        assert_eq!(watch.lap(Duration::from_secs(30)), None);
        watch.begin();
        assert_eq!(watch.lap(Duration::from_secs(3600)), None);
        assert_eq!(watch.lap(Duration::MAX), None);
    }

    #[test]
    fn a_lap_that_only_begins_the_next_one_leaves_the_clock_to_it() {
        let watch = Stopwatch::new();
        watch.lap(Duration::from_millis(1));
        watch.lap(Duration::MAX);
        assert!(watch.exact.get(), "the next one would end by the exact clock, and look as much longer as the other one lags");
    }
}
