//! Checks that the manual's porting page names tests that exist, and that the lines it tells readers to write compile.

use std::fs;

#[cfg(feature = "tls")]
use crate::compile_errors::errors_in;
use crate::documents::{in_backticks, root};

fn page() -> String {
    fs::read_to_string(root().join("src/manual/porting.md")).expect("the page")
}

/// The symptoms on the page: each heading, and the text below it.
fn symptoms(page: &str) -> Vec<(&str, &str)> {
    page.split("\n## ").skip(1).filter_map(|part| part.split_once('\n')).collect()
}

/// Returns whether the test `tests/FILE.rs::NAME` exists.
fn exists(test: &str) -> bool {
    let Some((file, name)) = test.split_once("::") else { return false };
    let text = fs::read_to_string(root().join(file)).unwrap_or_default();
    // If a macro makes the test, only the function can be found.
    text.contains("#[test]") && text.contains(&format!("fn {name}("))
}

#[test]
fn each_symptom_has_a_test_that_shows_it() {
    let page = page();
    let symptoms = symptoms(&page);
    assert!(symptoms.len() > 20, "only {} symptoms", symptoms.len());
    for (heading, text) in symptoms {
        let (_, shown_by) = text.split_once("\nShown by:\n").unwrap_or_else(|| panic!("no test is given for: {heading}"));
        let tests: Vec<_> = in_backticks(shown_by).filter(|code| code.contains(".rs::")).collect();
        assert!(!tests.is_empty(), "no test is named for: {heading}");
        for test in tests {
            assert!(exists(test), "{heading}: there is no test {test}");
        }
    }
    assert!(!exists("tests/closing/promises.rs::there_is_no_such_test"));
}

/// The context in which the page's lines are compiled.
#[cfg(feature = "tls")]
const CONTEXT: &str = "\
use std::{cell::RefCell, rc::Rc, time::Duration};
use torsade::{prelude::*, AtStop, Backoff, DatagramOptions, DeferredError, report_error, wire::Echo as Client};
struct Server;
impl LineProtocol for Server { fn line_received(&mut self, _: &LineTransport, _: &[u8]) -> Result { Ok(()) } }
struct Numbers;
impl Producer for Numbers { fn resume_producing(&mut self, _: &Transport) -> Result { Ok(()) } }
struct Room;
impl Room { fn leave(&mut self, _: u64) {} fn insert(&mut self, _: u64, _: Transport) {} }
struct Sink;
impl DatagramProtocol for Sink { fn datagram_received(&mut self, _: &DatagramTransport, _: &[u8], _: &Address) -> Result { Ok(()) } }
fn parse(_: &[u8]) -> Result { Ok(()) }
fn slow() -> u32 { 0 }
fn tell(_: &Reactor) {}
fn main() {}
";

/// A function on one line that contains this line of the page, with the necessary context.
#[cfg(feature = "tls")]
fn around(line: &str, number: usize, transport: &str) -> String {
    format!(
        "async fn {transport}{number}<F: Factory + 'static, C: FnOnce() + 'static>(transport: &{transport}, reactor: &Reactor, \
         reason: &Reason, deferred: Deferred<()>, failure: Failure, firer: Firer<()>, line: &[u8], rest: Vec<u8>, backoff: &Backoff, \
         config: TlsClientConfig, handle: ReactorHandle, room: Rc<RefCell<Room>>, factory: F, call: C, command: Command, \
         error: Failure, silence: DelayedCall, buddy: RefCell<Option<Transport>>, line_transport: &LineTransport, data: &[u8], length: usize) -> Result {{ {line} Ok(()) }}\n"
    )
}

/// Statements end with a semicolon or a brace; anything else in backticks is a name.
#[cfg(feature = "tls")]
#[test]
fn each_line_that_is_to_be_written_compiles() {
    let page = page();
    let text: String = page.split("```").step_by(2).collect();
    let one_line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let is_statement = |code: &&str| code.ends_with(';') || code.ends_with('}');
    let mut lines: Vec<_> = in_backticks(&one_line).filter(is_statement).collect();
    assert!(lines.len() > 25, "only {} lines", lines.len());
    // What does not compile has to be found.
    let wrong = ["transport.unregister();", "let line: u32 = line;"];
    lines.extend(wrong);
    let mut program = CONTEXT.to_owned();
    for (number, line) in lines.iter().enumerate() {
        // A line is meant for a protocol of bytes or for one of lines.
        program += &around(line, number, "Transport");
        program += &around(line, number, "LineTransport");
    }
    let errors: Vec<_> = errors_in(&program).into_iter().map(|(line, _)| line).collect();
    let before = CONTEXT.lines().count();
    let fails = |number: usize| (1..=2).all(|which| errors.contains(&(before + number * 2 + which)));
    let failing: Vec<_> = (0..lines.len()).filter(|number| fails(*number)).map(|number| lines[number]).collect();
    assert_eq!(failing, wrong);
}
