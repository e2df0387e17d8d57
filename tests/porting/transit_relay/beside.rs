//! Beside the original, where it is installed in the Python that `TORSADE_PYTHON` names (`python3` unless set).

use crate::checking::{self, find_nothing, played, seeds};
use crate::port_checker::check::Check;
use crate::port_checker::timeline::Verdict;
use crate::programs::port;

fn original() -> Option<String> {
    let program = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/ports/transit_relay/original.py");
    checking::original("wormhole_transit_relay", &format!("'{program}' {{listen}} --log-fd=1"))
}

/// Of what a program has printed, the usage log: what does not depend on time.
fn records(printed: &str) -> Vec<String> {
    let without_times = |line: &str| {
        let waited = !line.contains("\"waiting_time\": null");
        format!("waited: {waited}, {}", &line[line.find("\"total_bytes\"").unwrap()..])
    };
    let mut records: Vec<_> = printed.lines().filter(|line| line.contains("{\"started\"")).map(without_times).collect();
    // Those of different connections have no order.
    records.sort();
    records
}

/// Plays a script, and compares what both have written to the usage log as well.
fn is_the_same(script: &str, moods: &[&str]) {
    let Some(original) = original() else { return };
    let (timeline, printed) = played(Check::new(&original, &port("transit_relay", None)).unwrap(), script);
    assert_eq!(timeline.verdict, Verdict::Same, "{timeline}\n{printed:?}");
    let [original, port] = printed.map(|printed| records(&printed));
    assert_eq!(original, port);
    let found = |mood: &str| port.iter().filter(|record| record.ends_with(&format!("\"{mood}\"}}"))).count();
    for mood in moods {
        assert!(found(mood) > 0, "{mood}: {port:?}");
    }
}

#[test]
fn two_meet_as_in_the_original() {
    is_the_same(include_str!("../../../examples/ports/transit_relay/scripts/meeting"), &["redundant", "happy"]);
}

#[test]
fn whoever_is_refused_by_the_original_is_refused() {
    let moods = ["errory", "impatient", "lonely", "empty"];
    is_the_same(include_str!("../../../examples/ports/transit_relay/scripts/refused"), &moods);
}

#[test]
fn pairs_end_as_in_the_original() {
    is_the_same(include_str!("../../../examples/ports/transit_relay/scripts/closing"), &["happy"]);
}

#[test]
fn a_side_that_does_not_read_holds_its_partner_back_as_in_the_original() {
    is_the_same(include_str!("../../../examples/ports/transit_relay/scripts/back_pressure"), &["happy"]);
}

#[test]
fn two_that_do_not_read_hold_each_other_back_as_in_the_original() {
    is_the_same(include_str!("../../../examples/ports/transit_relay/scripts/back_pressure_both_ways"), &["happy"]);
}

/// In the suite; 1,000 of each grammar were tried by `port_checker --random`.
fn random_scripts_are_the_same(grammar: &str) {
    let Some(original) = original() else { return };
    find_nothing(&original, &port("transit_relay", None), grammar, seeds(40));
}

#[test]
fn random_scripts_show_no_difference_from_the_original() {
    random_scripts_are_the_same(include_str!("../../../examples/ports/transit_relay/grammar"));
}

#[test]
fn random_scripts_of_sides_show_no_difference_from_the_original() {
    random_scripts_are_the_same(include_str!("../../../examples/ports/transit_relay/grammar_of_sides"));
}
