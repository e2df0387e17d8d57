//! What the benchmarks share: the time and the memory of this process.

use rustix::time::{ClockId, clock_gettime};

/// The time that this thread has had a processor, in seconds.
pub fn cpu_seconds() -> f64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

/// The shortest of so many runs, in seconds of this thread.
pub fn best<T>(runs: usize, mut run: impl FnMut() -> T) -> f64 {
    let once = |_| {
        let begin = cpu_seconds();
        run();
        cpu_seconds() - begin
    };
    (0..runs).map(once).fold(f64::MAX, f64::min)
}

/// Memory that this process really has, in bytes.
pub fn resident() -> Option<usize> {
    let statm = std::fs::read_to_string("/proc/self/statm").ok()?;
    statm.split(' ').nth(1)?.parse::<usize>().ok().map(|pages| pages * 4096)
}
