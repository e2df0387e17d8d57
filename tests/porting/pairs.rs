//! The ports against their originals, which need Python with Twisted (`TORSADE_PYTHON` names one; `python3` unless set), over 200
//! seeds; `TORSADE_SEEDS` says how many others.

use crate::checking::{PORTS, find_nothing, grammar, is_the_same, original, seeds};
#[cfg(feature = "tls")]
use crate::guests::House;
use crate::programs::{place, port};

/// Compares a port with the original in its folder, over all seeds.
fn compare(name: &str) {
    compare_with(&format!("'{PORTS}/{name}/original.py' {{{}}}", place(name)), name, &grammar(name));
}

/// Compares a port with a Python program and its arguments.
fn compare_with(program: &str, name: &str, grammar: &str) {
    if let Some(original) = original("twisted", program) {
        find_nothing(&original, &port(name, None), grammar, seeds(200));
    }
}

#[test]
fn the_chat_does_as_its_original() {
    compare("chat");
}

#[test]
fn the_line_server_does_as_its_original() {
    compare("line_server");
}

#[test]
fn the_relay_does_as_its_original() {
    compare("relay");
}

#[test]
fn the_server_behind_a_proxy_does_as_its_original() {
    compare("behind_proxy");
}

#[test]
fn the_leases_do_as_their_original() {
    compare("leases");
}

#[test]
fn the_agent_comes_again_as_its_original() {
    compare("agent");
}

/// Random scripts have no order to stop: nothing would come after it.
#[test]
fn the_agent_ends_as_its_original() {
    let Some(original) = original("twisted", &format!("'{PORTS}/agent/original.py' {{peer}}")) else { return };
    is_the_same(&original, &port("agent", None), include_str!("../../examples/ports/agent/script"));
}

#[test]
fn the_sums_are_asked_for_as_by_their_original() {
    compare("sums");
}

#[test]
fn the_filter_does_as_its_original() {
    compare("filter");
}

/// A client: each seed starts both anew, since they end.
#[test]
fn the_questions_are_asked_as_by_their_original() {
    compare("questions");
}

#[cfg(feature = "tls")]
#[test]
fn the_guests_do_as_in_their_original() {
    let house = House::new();
    let Some(original) = original("twisted.internet.ssl", &house.original()) else { return };
    is_the_same(&original, &house.port(None), &house.with_keys(include_str!("../../examples/ports/guests/script")));
    find_nothing(&original, &house.port(None), &house.grammar(), seeds(200));
}

#[test]
fn both_sides_of_the_relay_may_write_before_they_read_as_in_its_original() {
    let Some(original) = original("twisted", &format!("'{PORTS}/relay/original.py' {{listen}}")) else { return };
    is_the_same(&original, &port("relay", None), include_str!("../../examples/ports/relay/script"));
}

/// Twisted's own chat, of its guide, which is in Twisted's source and not in its package.
#[test]
fn the_chat_of_the_guide_does_as_its_original() {
    let Ok(docs) = std::env::var("TORSADE_TWISTED_DOCS") else {
        println!("skipped the comparison with chat.py: TORSADE_TWISTED_DOCS does not name docs/core of Twisted's source");
        return;
    };
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/twisted");
    let program = format!("'{folder}/original.py' '{docs}/howto/listings/servers/chat.py' {{listen}}");
    compare_with(&program, "chat_server", &grammar("chat"));
}
