//! Running a scenario with many seeds.

use std::fmt;
use std::ops::Range;

use crate::panic::catch;

use super::{Faults, Simulation};

/// Runs `scenario` with each of `seeds` in a calm world. A failure reports its seed and how to repeat it.
///
/// Assert in the scenario, not in callbacks: a reactor survives a panic in a callback, and only the [log](Simulation::log) shows
/// it.
///
/// The environment overrides `seeds`: `TORSADE_SEED` is the one seed to run, `TORSADE_SEEDS` the number of seeds from the first
/// of `seeds` on.
///
/// # Panics
/// If the scenario panics or returns an error, with the seed and how to repeat it; or if there is no seed.
///
/// # Examples
/// ```
/// use std::time::Duration;
/// use torsade::simulated::{SimulationError, simulate};
///
/// simulate(0..100, |simulation| {
///     let host = simulation.host("10.0.0.1");
///     host.call_later(Duration::from_secs(simulation.draw(60)), || {});
///     simulation.run_until_idle()?;
///     assert_eq!(host.delayed_calls(), 0);
///     Ok::<_, SimulationError>(())
/// });
/// ```
#[track_caller]
pub fn simulate<T: Outcome>(seeds: Range<u64>, scenario: impl Fn(&Simulation) -> T) {
    simulate_with(&Faults::calm(), seeds, scenario);
}

/// Like [`simulate`], in a world with these faults.
///
/// # Panics
/// See [`simulate`].
#[track_caller]
pub fn simulate_with<T: Outcome>(faults: &Faults, seeds: Range<u64>, scenario: impl Fn(&Simulation) -> T) {
    run(faults, chosen(seeds, |name| std::env::var(name).ok()), scenario);
}

#[track_caller]
fn run<T: Outcome>(faults: &Faults, seeds: Range<u64>, scenario: impl Fn(&Simulation) -> T) {
    assert!(!seeds.is_empty(), "there is no seed to run: nothing would be tested");
    for seed in seeds {
        let simulation = Simulation::with_faults(seed, faults.clone());
        let problem = match catch(|| scenario(&simulation).problem()) {
            Ok(None) => continue,
            Ok(Some(problem)) => problem,
            Err(panic) => panic.to_string(),
        };
        let thread = std::thread::current();
        // A test's thread has its name. A program that is no test is run again as it was.
        let repeat = match thread.name() {
            None | Some("main") => format!("run it again with TORSADE_SEED={seed} in the environment"),
            Some(test) => format!("TORSADE_SEED={seed} cargo test {test}"),
        };
        panic!("with seed {seed}, at {:?}: {problem}\nto repeat it: {repeat}", simulation.now());
    }
}

/// What a scenario returns: nothing, or a `Result` whose error is a failure.
pub trait Outcome {
    /// The error, if it failed.
    fn problem(self) -> Option<String>;
}

impl Outcome for () {
    fn problem(self) -> Option<String> {
        None
    }
}

impl<E: fmt::Display> Outcome for Result<(), E> {
    fn problem(self) -> Option<String> {
        self.err().map(|error| error.to_string())
    }
}

/// The seeds to run: those requested, unless the environment overrides them.
fn chosen(seeds: Range<u64>, variable: impl Fn(&str) -> Option<String>) -> Range<u64> {
    let number = |name| {
        let text = variable(name)?;
        let Ok(number) = text.parse::<u64>() else { panic!("{name}={text} is not a number") };
        Some(number)
    };
    match (number("TORSADE_SEED"), number("TORSADE_SEEDS")) {
        (Some(seed), _) => seed..seed.saturating_add(1),
        (None, Some(count)) => seeds.start..seeds.start.saturating_add(count),
        (None, None) => seeds,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_environment_chooses_one_seed_or_how_many() {
        let with = |set: &'static str| chosen(5..10, move |name| Some("3".to_owned()).filter(|_| name == set));
        assert_eq!(with("TORSADE_SEED"), 3..4);
        assert_eq!(with("TORSADE_SEEDS"), 5..8);
        assert_eq!(with("OTHER"), 5..10);
    }

    #[test]
    #[should_panic(expected = "no seed to run")]
    fn no_seed_at_all_is_a_failure() {
        run(&Faults::calm(), 5..5, |_| ());
    }

    #[test]
    fn a_failure_tells_the_seed_and_the_command_that_repeats_it() {
        let fails = |simulation: &Simulation| assert!(simulation.seed() != 3, "it is three");
        let panic = catch(|| run(&Faults::calm(), 0..10, fails)).unwrap_err().to_string();
        assert!(panic.contains("with seed 3, at 0ns: panicked: it is three"), "{panic}");
        assert!(panic.contains("TORSADE_SEED=3 cargo test worlds::simulated::seeds::tests::a_failure_tells"), "{panic}");
        let in_a_program = move || catch(|| run(&Faults::calm(), 0..10, fails)).unwrap_err().to_string();
        let panic = std::thread::spawn(in_a_program).join().expect("it is caught");
        assert!(panic.ends_with("to repeat it: run it again with TORSADE_SEED=3 in the environment"), "{panic}");
        let errs = |simulation: &Simulation| if simulation.seed() == 7 { Err("seven") } else { Ok(()) };
        assert!(catch(|| run(&Faults::calm(), 0..10, errs)).unwrap_err().to_string().contains("with seed 7, at 0ns: seven"));
    }
}
