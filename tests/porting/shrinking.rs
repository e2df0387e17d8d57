//! How a script is made small.

use std::convert::Infallible;

use crate::port_checker::action::Action;
use crate::port_checker::grammar::Grammar;
use crate::port_checker::random::random_script;
use crate::port_checker::script::Script;
use crate::port_checker::shrink::shrink;

fn shrunk(script: &Script, budget: usize, shows: impl Fn(&Script) -> bool) -> Script {
    let asked = async |script: &Script| Ok::<_, Infallible>(shows(script));
    futures_lite::future::block_on(shrink(script.clone(), budget, asked)).unwrap()
}

fn sends(script: &Script, wanted: &[u8]) -> bool {
    script
        .steps
        .iter()
        .flat_map(|step| &step.0)
        .any(|action| matches!(action, Action::Send(_, bytes) if bytes.windows(wanted.len()).any(|part| part == wanted)))
}

#[test]
fn what_a_difference_does_not_need_goes_away() {
    let script = Script::parse(
        "open a\nopen b\nsend a \"anna\\r\\n\"\n& send b \"ben\\r\\n\"\nwait 10ms\nsend b \"x/quit\\r\\nmore\"\nend a\nclose b\n",
    )
    .unwrap();
    assert_eq!(shrunk(&script, 400, |script| sends(script, b"/quit\r\n")).to_string(), "open b\nsend b \"/quit\\r\\n\"\n");
    assert_eq!(shrunk(&script, 400, |_| true).to_string(), "");
}

#[test]
fn what_goes_together_is_taken_apart_unless_that_is_what_matters() {
    let script = Script::parse("open a\nopen b\nsend a \"1\"\n& send b \"2\"\n").unwrap();
    let both = |script: &Script| sends(script, b"1") && sends(script, b"2");
    assert_eq!(shrunk(&script, 400, both).to_string(), "open a\nopen b\nsend a \"1\"\nsend b \"2\"\n");
    let together = |script: &Script| script.steps.iter().any(|step| step.is_concurrent());
    assert!(shrunk(&script, 400, together).to_string().contains("\n& "));
}

#[test]
fn what_is_sent_in_parts_is_sent_at_once_unless_the_parts_matter() {
    let script = Script::parse("open a\nsend a \"12\"\nwait 1ms\nsend a \"34\"\n").unwrap();
    let all = |script: &Script| sends(script, b"1234") || sends(script, b"12") && sends(script, b"34");
    assert_eq!(shrunk(&script, 400, all).to_string(), "open a\nsend a \"1234\"\n");
    let parts = |script: &Script| !sends(script, b"1234") && sends(script, b"12") && sends(script, b"34");
    assert_eq!(shrunk(&script, 400, parts).to_string(), "open a\nsend a \"12\"\nsend a \"34\"\n");
}

#[test]
fn a_wait_stays_in_its_step() {
    let script = Script::parse("open a\nwait 1ms\nsend a \"12\"\n& wait 30ms\n").unwrap();
    assert_eq!(shrunk(&script, 400, |script| sends(script, b"1")).to_string(), "open a\nsend a \"1\"\n& wait 30ms\n");
}

#[test]
fn each_smaller_script_is_possible_and_the_smallest_still_shows_the_difference() {
    let grammar = Grammar::parse("piece \"anna\\r\\n\"\nbytes 1..20 \"ab/\\r\\n\"\nsteps 10..30").unwrap();
    let mut shrunk_one = false;
    for seed in 1..=60 {
        let script = random_script(&grammar, seed, "");
        let shows = |script: &Script| {
            assert_eq!(Script::parse(&script.to_string()).as_ref(), Ok(script), "{script}");
            sends(script, b"a/")
        };
        if shows(&script) {
            let smallest = shrunk(&script, 2_000, shows);
            assert!(sends(&smallest, b"a/"));
            assert_eq!((smallest.steps.len(), smallest.to_string().lines().count()), (2, 2), "{smallest}");
            shrunk_one = true;
        }
    }
    assert!(shrunk_one);
}

#[test]
fn nothing_is_asked_beyond_the_budget() {
    let script = Script::parse("open a\nsend a \"x\"*1000\nend a\n").unwrap();
    let asked = std::cell::Cell::new(0);
    shrunk(&script, 7, |_| {
        asked.set(asked.get() + 1);
        false
    });
    assert_eq!(asked.get(), 7);
}
