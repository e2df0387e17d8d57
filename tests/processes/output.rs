//! A program as a function call.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use torsade::prelude::*;
use torsade::{
    ChildDescriptor, DeferredError, ProcessEnd, ProcessError, ProcessOutput, ProcessSignal, get_process_output,
    get_process_output_and_value, get_process_value,
};

use crate::watcher::sh;

fn result<T: 'static>(begin: impl FnOnce(&Reactor) -> Deferred<T>) -> Result<T, Failure> {
    let reactor = Reactor::new().unwrap();
    let (got, stopper) = (Rc::new(RefCell::new(None)), reactor.clone());
    let there = Rc::clone(&got);
    let told = begin(&reactor).add_both(move |result| {
        there.replace(Some(result));
        // A program that cannot be started fails before the loop runs.
        stopper.clone().call_when_running(move || stopper.stop().unwrap());
    });
    reactor.run().unwrap();
    drop(told);
    let result = got.take().expect("it has fired");
    assert_eq!(reactor.source_count(), 0);
    result
}

fn error(failure: &Failure) -> &ProcessError {
    failure.downcast_ref().unwrap_or_else(|| panic!("{failure}"))
}

#[test]
fn the_output_is_all_of_it_whatever_the_status() {
    let output = result(|reactor| get_process_output(reactor, sh("echo one; echo two; exit 3"))).unwrap();
    assert_eq!(output, b"one\ntwo\n");
}

#[test]
fn the_input_is_written_and_then_ends() {
    let output = result(|reactor| get_process_output(reactor, Command::new("sort").input("pear\napple\n"))).unwrap();
    assert_eq!(output, b"apple\npear\n");
    // More than a connection's default limit of unsent bytes.
    let command = sh("wc -c").input(vec![b'x'; 20 << 20]);
    let output = result(|reactor| get_process_output(reactor, command)).unwrap();
    assert_eq!(String::from_utf8(output).unwrap().trim(), (20 << 20).to_string());
}

#[test]
fn standard_error_fails_the_output_unless_it_is_wanted() {
    let failure = result(|reactor| get_process_output(reactor, sh("echo out; echo bad >&2; exec sleep 1000"))).unwrap_err();
    assert!(matches!(error(&failure), ProcessError::UnexpectedError(text) if text == b"bad\n"), "{failure}");
    assert_eq!(failure.to_string(), "the process wrote to its standard error: bad");
    let both = sh("echo out; echo bad >&2").stderr(ChildDescriptor::SameAs(1));
    assert_eq!(result(|reactor| get_process_output(reactor, both)).unwrap(), b"out\nbad\n");
}

#[test]
fn too_much_output_is_an_error_and_ends_the_program() {
    let failure = result(|reactor| get_process_output(reactor, Command::new("yes").output_limit(1000))).unwrap_err();
    assert!(matches!(error(&failure), ProcessError::TooMuchOutput { limit: 1000 }), "{failure}");
    assert!(
        result(|reactor| get_process_output(reactor, sh("printf 1234").output_limit(4))).is_ok(),
        "the limit itself is allowed"
    );
}

#[test]
fn the_value_is_the_status_and_what_is_written_is_dropped() {
    assert_eq!(result(|reactor| get_process_value(reactor, Command::new("true"))).unwrap(), 0);
    assert_eq!(
        result(|reactor| get_process_value(reactor, sh("yes | head -n 100000; echo bad >&2; exit 9").output_limit(1))).unwrap(),
        9
    );
}

#[test]
fn output_and_value_have_everything_and_so_has_the_error_of_a_signal() {
    let got = result(|reactor| get_process_output_and_value(reactor, sh("echo out; echo err >&2; exit 2"))).unwrap();
    assert_eq!(got, ProcessOutput { out: b"out\n".to_vec(), err: b"err\n".to_vec(), code: 2 });
    let failure = result(|reactor| get_process_output_and_value(reactor, sh("echo out; kill -KILL $$"))).unwrap_err();
    let ProcessError::Terminated { end, out, err } = error(&failure) else { panic!("{failure}") };
    assert_eq!((*end, &out[..], &err[..]), (ProcessEnd::Killed(ProcessSignal::KILL), &b"out\n"[..], &b""[..]));
    assert_eq!(failure.to_string(), "the process has no exit status: killed by SIGKILL");
}

#[test]
fn a_program_that_cannot_be_started_fails_the_deferred_and_nothing_else() {
    let failure = result(|reactor| get_process_output(reactor, Command::new("no-such-program"))).unwrap_err();
    assert!(matches!(error(&failure), ProcessError::Spawn(_)), "{failure}");
    assert!(failure.to_string().starts_with("cannot start \"no-such-program\""), "{failure}");
}

#[test]
fn cancelling_kills_the_program() {
    let failure = result(|reactor| {
        let running = get_process_output(reactor, Command::new("sleep").arg("1000"));
        let handle = running.handle();
        reactor.call_later(Duration::ZERO, move || handle.cancel());
        running
    })
    .unwrap_err();
    assert_eq!(failure.downcast_ref(), Some(&DeferredError::Cancelled));
}
