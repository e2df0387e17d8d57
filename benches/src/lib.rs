//! What the benchmarks share: the time and the memory of this process.

use rustix::time::{ClockId, clock_gettime};

/// The time that this thread has had a processor, in seconds.
pub fn cpu_seconds() -> f64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

/// How long it takes, in seconds of this thread.
pub fn time<T>(run: impl FnOnce() -> T) -> f64 {
    let begin = cpu_seconds();
    run();
    cpu_seconds() - begin
}

/// The shortest time of each in so many rounds, in each of which all run in turn: what disturbs one disturbs the others.
pub fn best<const N: usize>(rounds: usize, mut runs: [&mut dyn FnMut() -> f64; N]) -> [f64; N] {
    let mut shortest = [f64::MAX; N];
    for _ in 0..rounds {
        for (shortest, run) in shortest.iter_mut().zip(&mut runs) {
            *shortest = shortest.min(run());
        }
    }
    shortest
}

/// Memory that this process really has, in bytes.
pub fn resident() -> Option<usize> {
    let statm = std::fs::read_to_string("/proc/self/statm").ok()?;
    statm.split(' ').nth(1)?.parse::<usize>().ok().map(|pages| pages * 4096)
}
