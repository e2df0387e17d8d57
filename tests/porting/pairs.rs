//! The ports against their originals, which need Python with Twisted (`TORSADE_PYTHON` names one; `python3` unless set), over 200
//! seeds; `TORSADE_SEEDS` says how many others.

use std::process::{Command, Stdio};
use std::sync::OnceLock;

use torsade::prelude::Reactor;

use crate::port_checker::check::Check;
use crate::port_checker::grammar::Grammar;
use crate::programs::{place, port};
use crate::support;

/// How many random scripts each pair is compared over.
fn seeds() -> u64 {
    std::env::var("TORSADE_SEEDS").map_or(200, |seeds| seeds.parse().expect("TORSADE_SEEDS is a number"))
}

/// A Python with Twisted, if there is one.
pub fn python() -> Option<&'static str> {
    static PYTHON: OnceLock<Option<String>> = OnceLock::new();
    let found = PYTHON.get_or_init(|| {
        let python = std::env::var("TORSADE_PYTHON").unwrap_or_else(|_| "python3".into());
        let has_twisted = Command::new(&python).args(["-c", "import twisted"]).stderr(Stdio::null()).status();
        has_twisted.is_ok_and(|status| status.success()).then_some(python)
    });
    found.as_deref()
}

/// Compares a port with the original in its folder, over all seeds.
fn compare(name: &str, grammar: &str) {
    let place = place(name);
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/ports");
    compare_with(name, folder, &format!("{name}/original.py' {{{place}}}"), grammar);
}

/// Compares a port with a Python program in a folder; behind the program's name stand a quote and its arguments.
fn compare_with(name: &str, folder: &str, program: &str, grammar: &str) {
    let Some(python) = python() else {
        println!("skipped the comparison of {name}: there is no Python with Twisted (TORSADE_PYTHON names one)");
        return;
    };
    let original = format!("'{python}' '{folder}/{program}");
    let check = Check::new(&original, &port(name, None)).unwrap();
    let grammar = Grammar::parse(grammar).unwrap();
    let reactor = Reactor::new().unwrap();
    let played = reactor.clone();
    let found = support::run_until(&reactor, async move { check.play_seeds(&played, &grammar, 1..=seeds()).await }).unwrap();
    if let Some(found) = found {
        panic!("{name}, seed {}:\n{}\n{}\n{:?}", found.seed, found.timeline, found.script, found.printed);
    }
}

#[test]
fn the_chat_does_as_its_original() {
    compare("chat", include_str!("../../examples/ports/chat/grammar"));
}

#[test]
fn the_line_server_does_as_its_original() {
    compare("line_server", include_str!("../../examples/ports/line_server/grammar"));
}

#[test]
fn the_relay_does_as_its_original() {
    compare("relay", include_str!("../../examples/ports/relay/grammar"));
}

#[test]
fn the_server_behind_a_proxy_does_as_its_original() {
    compare("behind_proxy", include_str!("../../examples/ports/behind_proxy/grammar"));
}

#[test]
fn the_leases_do_as_their_original() {
    compare("leases", include_str!("../../examples/ports/leases/grammar"));
}

#[test]
fn the_agent_comes_again_as_its_original() {
    compare("agent", include_str!("../../examples/ports/agent/grammar"));
}

#[test]
fn the_sums_are_asked_for_as_by_their_original() {
    compare("sums", include_str!("../../examples/ports/sums/grammar"));
}

#[test]
fn the_filter_does_as_its_original() {
    compare("filter", include_str!("../../examples/ports/filter/grammar"));
}

/// A client: each seed starts both anew, since they end.
#[test]
fn the_questions_are_asked_as_by_their_original() {
    compare("questions", include_str!("../../examples/ports/questions/grammar"));
}

/// Twisted's own chat, of its guide, which is in Twisted's source and not in its package.
#[test]
fn the_chat_of_the_guide_does_as_its_original() {
    let Ok(docs) = std::env::var("TORSADE_TWISTED_DOCS") else {
        println!("skipped the comparison with chat.py: TORSADE_TWISTED_DOCS does not name docs/core of Twisted's source");
        return;
    };
    let program = format!("original.py' '{docs}/howto/listings/servers/chat.py' {{listen}}");
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/twisted");
    compare_with("chat_server", folder, &program, include_str!("../../examples/ports/chat/grammar"));
}
