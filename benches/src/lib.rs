//! What the benchmarks share: this thread's processor time, random numbers, and a text.

use rustix::time::{ClockId, clock_gettime};

/// The processor time of this thread, in seconds.
pub fn cpu_seconds() -> f64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

/// How long a call takes, in seconds of this thread's processor time.
pub fn time<T>(run: impl FnOnce() -> T) -> f64 {
    let begin = cpu_seconds();
    run();
    cpu_seconds() - begin
}

/// The shortest time of each over this many rounds. Each round runs all in turn, so that a disturbance affects all of them.
pub fn best<const N: usize>(rounds: usize, mut runs: [&mut dyn FnMut() -> f64; N]) -> [f64; N] {
    let mut shortest = [f64::MAX; N];
    for _ in 0..rounds {
        for (shortest, run) in shortest.iter_mut().zip(&mut runs) {
            *shortest = shortest.min(run());
        }
    }
    shortest
}

/// Random numbers, the same in every run: Marsaglia's xorshift64.
pub fn numbers() -> impl FnMut() -> usize {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 20) as usize
    }
}

/// 16 MB of events like those of a service, the same in every run.
pub fn events() -> Vec<u8> {
    let syllables =
        ["re", "act", "pro", "to", "col", "de", "fer", "trans", "port", "fac", "con", "nec", "call", "back", "buf", "lo"];
    let mut next = numbers();
    let mut text = Vec::with_capacity((16 << 20) + 400);
    while text.len() < 16 << 20 {
        let word =
            |number: usize| [number % 16, number / 16 % 16, number / 256 % 16].map(|syllable| syllables[syllable]).concat();
        // The low ones of 4,096 words are common, as in real text.
        let words: Vec<String> = (0..8).map(|_| word(next() % 4096 * (next() % 64) / 64)).collect();
        let line = format!("{{\"id\":{},\"user\":\"u{:05}\",\"text\":\"{}\"}}\n", text.len(), next() % 100_000, words.join(" "));
        text.extend_from_slice(line.as_bytes());
    }
    text
}
