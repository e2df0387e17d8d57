//! Times that the processes of one machine can compare, and their percentiles.

use rustix::time::{ClockId, clock_gettime};

/// Nanoseconds on a clock that all processes share.
pub fn nanoseconds() -> u64 {
    let time = clock_gettime(ClockId::Monotonic);
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

/// The time that this percentage of them do not exceed; zero if there are none.
pub fn percentile(times: &mut [u64], part: f64) -> u64 {
    times.sort_unstable();
    let last = times.len().saturating_sub(1);
    times.get((last as f64 * part / 100.0).round() as usize).copied().unwrap_or(0)
}

pub fn microseconds(time: u64) -> f64 {
    time as f64 / 1e3
}
