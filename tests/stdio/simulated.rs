//! Simulated standard input and output, with the test at the other end.

use std::io::ErrorKind;
use std::time::Duration;

use torsade::prelude::*;
use torsade::simulated::{Console, Faults, Host, Simulation};

use crate::support::*;

fn world() -> (Simulation, Host, Console) {
    let simulation = Simulation::new(1);
    let host = simulation.host("10.0.0.1");
    let console = host.console();
    (simulation, host, console)
}

#[test]
fn what_is_typed_is_read_and_what_is_written_is_shown() {
    let (simulation, host, console) = world();
    let events = Events::default();
    let answering = |event: &Event, transport: &Transport| {
        if let Event::Data(data) = event {
            transport.write([b"<", &data[..], b">"].concat());
        }
        Ok(())
    };
    host.standard_io(Probe::new(&events, answering)).unwrap();
    console.type_line("hello");
    simulation.run_until(|| console.shows("<hello\n>")).unwrap();
    assert_eq!(console.take_shown(), b"<hello\n>");
    assert!(!console.shows("hello"), "it was taken");
    console.end();
    simulation.run_until(|| console.has_end()).unwrap();
    assert_eq!(events.course(), ["made", "data", "read lost", "lost"]);
    assert!(matches!(events.reason(), Reason::ConnectionDone));
}

#[test]
fn a_half_close_ends_what_is_shown_and_leaves_what_is_typed() {
    let (simulation, host, console) = world();
    let events = Events::default();
    let ending = in_callback("made", |transport| {
        transport.write("bye");
        transport.lose_write_connection();
        Ok(())
    });
    host.standard_io(Probe::new(&events, ending)).unwrap();
    simulation.run_until(|| console.has_end()).unwrap();
    assert_eq!(console.take_shown(), b"bye");
    console.type_line("still there");
    let seen = events.clone();
    simulation.run_until(move || seen.data() == b"still there\n").unwrap();
}

#[test]
fn a_console_that_is_closed_ends_the_program_at_once_or_with_what_it_writes_after_the_end_of_its_input() {
    let (simulation, host, console) = world();
    let events = Events::default();
    host.standard_io(Probe::new(&events, |_, _| Ok(())).half_closeable()).unwrap();
    simulation.run_for(Duration::from_secs(1)).unwrap();
    console.close();
    simulation.run_for(Duration::from_secs(1)).unwrap();
    assert!(matches!(events.reason(), Reason::ConnectionLost(error) if error.kind() == ErrorKind::BrokenPipe));

    let (simulation, host, console) = world();
    let events = Events::default();
    let late = |event: &Event, transport: &Transport| {
        if matches!(event, Event::ReadLost) {
            let later = transport.clone();
            transport.reactor().call_later(Duration::from_secs(5), move || later.write("for nobody"));
        }
        Ok(())
    };
    host.standard_io(Probe::new(&events, late).half_closeable()).unwrap();
    console.end();
    simulation.run_for(Duration::from_secs(1)).unwrap();
    console.close();
    simulation.run_for(Duration::from_secs(1)).unwrap();
    assert_eq!(events.course(), ["made", "read lost"], "nothing was written, so nothing is missing");
    simulation.run_for(Duration::from_secs(5)).unwrap();
    assert!(matches!(events.reason(), Reason::ConnectionLost(error) if error.kind() == ErrorKind::BrokenPipe));
}

#[test]
fn a_console_that_nobody_looks_at_holds_the_program_up_and_nothing_is_lost() {
    let (simulation, host, console) = world();
    let sent = pattern(0, 1 << 20);
    let events = Events::default();
    let all = sent.clone();
    let writing = in_callback("made", move |transport| {
        transport.write(&all);
        transport.lose_connection();
        Ok(())
    });
    host.standard_io(Probe::new(&events, writing)).unwrap();
    simulation.run_for(Duration::from_secs(1)).unwrap();
    assert!(!events.lost(), "there is no room for all of it");
    let mut got = Vec::new();
    simulation
        .run_until(|| {
            got.extend(console.take_shown());
            console.has_end()
        })
        .unwrap();
    got.extend(console.take_shown());
    assert!(got == sent, "{} bytes", got.len());
    simulation.run_for(Duration::from_secs(1)).unwrap();
    assert!(matches!(events.reason(), Reason::ConnectionDone));
}

#[test]
fn a_host_without_a_console_has_no_standard_input_and_output() {
    let simulation = Simulation::with_faults(1, Faults::calm());
    let host = simulation.host("10.0.0.1");
    let error = host.standard_io(Echo).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert!(error.to_string().contains("Host::console"), "{error}");
    let console = host.console();
    host.standard_io(Echo).unwrap();
    assert!(host.standard_io(Echo).is_err(), "they are one connection");
    host.kill();
    simulation.run_for(Duration::from_secs(1)).unwrap();
    assert!(console.has_end());
    let host = host.restart();
    let console = host.console();
    host.standard_io(Echo).unwrap();
    console.type_line("again");
    simulation.run_until(|| console.shows("again")).unwrap();
}
