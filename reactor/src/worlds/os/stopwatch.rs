//! How long callbacks take.
//!
//! After each one the time is read, only to tell of those that take very long. On Linux the clock that goes on with the
//! kernel's tick, every 10 ms at most, costs a fraction of the exact one: with a limit of many ticks it is what is read.

use std::cell::Cell;
use std::time::Duration;

/// In nanoseconds: below this limit the exact clock is read, since it is only some ticks of the coarse one.
const EXACT_BELOW: u64 = 50_000_000;

pub(super) struct Stopwatch {
    /// When the present lap has begun, in nanoseconds on the clock's own scale, which both kinds of reading share.
    begun: Cell<u64>,
    exact: Cell<bool>,
}

impl Stopwatch {
    /// The first lap begins now.
    pub(super) fn new() -> Self {
        Self { begun: Cell::new(read(false)), exact: Cell::new(false) }
    }

    /// Begins a lap.
    pub(super) fn begin(&self) {
        self.begun.set(read(self.exact.get()));
    }

    /// Ends the lap and begins the next one; says how long it was, if that is more than `longest`. The limit decides by which
    /// clock, except for `Duration::MAX`, of which there is nothing to say: the coarse clock lags behind the exact one, so a lap that
    /// begins with it and ends with the other looks longer than it was.
    pub(super) fn lap(&self, longest: Duration) -> Option<Duration> {
        let longest = nanoseconds(longest.as_secs(), longest.subsec_nanos());
        if longest < u64::MAX {
            self.exact.set(longest < EXACT_BELOW);
        }
        let now = read(self.exact.get());
        // Begun with the exact clock and ended with the other, it may be less than none.
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
    fn a_long_lap_is_told_of_with_its_time_by_either_clock() {
        for longest in [Duration::from_millis(1), Duration::from_millis(60)] {
            let watch = Stopwatch::new();
            watch.lap(longest);
            // More than the limit by more than the coarse clock's tick.
            pass(longest + Duration::from_millis(25));
            let took = watch.lap(longest).expect("it was longer");
            assert!(took > longest, "{took:?}");
        }
    }

    #[test]
    fn a_lap_is_not_told_of_below_the_limit_nor_without_one() {
        let watch = Stopwatch::new();
        // Less than the machine has been up, most probably.
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
