//! The output of the example `simulated_web`.

#[allow(dead_code, reason = "its main is not run")]
#[path = "../../examples/simulated_web.rs"]
mod simulated_web;

use simulated_web::play;

#[test]
fn the_simulated_web_tells_of_a_page_of_failures_and_of_the_page_that_comes_at_last() {
    for seed in 1..=5 {
        let printed = play(seed).unwrap();
        let (told, log) = printed.split_once("torsade-events").expect("the log");
        let told: Vec<(f64, &str)> = told
            .lines()
            .map(|line| line.split_once(" s: ").expect("a time"))
            .map(|(time, text)| (time.trim().parse().expect("seconds"), text))
            .collect();
        let [(_, first), failures @ .., (last_time, last)] = &told[..] else { panic!("seed {seed}: {told:?}") };
        assert_eq!(*first, "you are visitor 1", "seed {seed}");
        // One answer may have been lost in the partition.
        assert!(last.starts_with("you are visitor "), "seed {seed}: {told:?}");
        assert!((65.0..125.0).contains(last_time), "seed {seed}: {told:?}");
        assert!(failures.len() >= 2, "seed {seed}: {told:?}");
        for (time, failure) in failures {
            assert!(failure.contains("timed out") && (10.0..75.0).contains(time), "seed {seed}: {told:?}");
        }
        assert!(log.contains("data_received") && log.contains("10.0.0.1 ") && log.contains("10.0.0.2 "), "seed {seed}");
    }
}

#[test]
fn the_simulated_web_prints_the_same_for_the_same_seed() {
    let printed = play(1).unwrap();
    assert!(printed == play(1).unwrap());
    assert!(printed != play(2).unwrap());
}
