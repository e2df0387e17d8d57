//! How the tests have the checker play.

use std::process::{Command, Stdio};
use std::time::Duration;

use torsade::prelude::*;

use crate::port_checker::check::{Check, Found};
use crate::port_checker::grammar::Grammar;
use crate::port_checker::script::Script;
use crate::port_checker::timeline::{Timeline, Verdict};
use crate::support;

/// The command of a program in Python, for the interpreter that `TORSADE_PYTHON` names (default `python3`). `None`, with a
/// message, if that interpreter does not have the package.
pub fn original(package: &str, arguments: &str) -> Option<String> {
    let python = std::env::var("TORSADE_PYTHON").unwrap_or_else(|_| "python3".into());
    let import = Command::new(&python).args(["-c", &format!("import {package}")]).stderr(Stdio::null()).status();
    if import.is_ok_and(|status| status.success()) {
        return Some(format!("'{python}' {arguments}"));
    }
    println!("skipped the comparison with {arguments}: there is no Python with {package} (TORSADE_PYTHON names one)");
    None
}

/// The number of random scripts to compare a port over: `TORSADE_SEEDS`, or this one.
pub fn seeds(unless_set: u64) -> u64 {
    std::env::var("TORSADE_SEEDS").map_or(unless_set, |seeds| seeds.parse().expect("TORSADE_SEEDS is a number"))
}

/// Where the ports are, each in a folder with its original.
pub const PORTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/ports");

/// The grammar in a port's folder.
pub fn grammar(name: &str) -> String {
    std::fs::read_to_string(format!("{PORTS}/{name}/grammar")).unwrap()
}

/// A check of two ports, with less patience than an original in Python needs. On Linux, where programs are seen to be at rest, it
/// is still patient; elsewhere a slow machine shows more differences, not fewer.
pub fn of_ports(one: &str, other: &str) -> Check {
    Check { patience: Duration::from_millis(400), ..Check::new(one, other).unwrap() }
}

/// What comes of a script, and what both programs have printed last.
pub fn played(check: Check, script: &str) -> (Timeline, [String; 2]) {
    let script = Script::parse(script).unwrap();
    let reactor = Reactor::new().unwrap();
    let on = reactor.clone();
    support::run_until(&reactor, async move { check.play(&on, &script).await }).unwrap()
}

/// Asserts that a script shows no difference.
pub fn is_the_same(original: &str, port: &str, script: &str) {
    let (timeline, printed) = played(Check::new(original, port).unwrap(), script);
    assert!(timeline.verdict == Verdict::Same, "{timeline}\n{printed:?}");
}

/// What random scripts find, over this many seeds. There is no limit on the whole: the checker itself limits each step.
pub fn found(check: Check, grammar: &str, seeds: u64) -> Result<Option<Found>> {
    let grammar = Grammar::parse(grammar).unwrap();
    let reactor = Reactor::new().unwrap();
    let on = reactor.clone();
    reactor.run_until(async move { check.play_seeds(&on, &grammar, 1..=seeds).await })
}

/// Asserts that random scripts show no difference.
pub fn find_nothing(original: &str, port: &str, grammar: &str, seeds: u64) {
    if let Some(found) = found(Check::new(original, port).unwrap(), grammar, seeds).unwrap() {
        panic!("{port}, seed {}:\n{}\n{}\n{:?}", found.seed, found.timeline, found.script, found.printed);
    }
}
