//! A child process as the other end of a connection, real and simulated.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use torsade::ChildDescriptor;
use torsade::prelude::*;
use torsade::simulated::{Faults, Program, Simulation};

use crate::support::*;

/// Writes what it reads, and exits with this status at the end of its input.
struct Cat {
    program: Program,
    status: i32,
}

impl Protocol for Cat {
    fn data_received(&mut self, transport: &Transport, data: &[u8]) -> Result {
        transport.write(data);
        Ok(())
    }

    fn connection_lost(&mut self, _: &Transport, _: &Reason) -> Result {
        self.program.exit(self.status);
        Ok(())
    }
}

fn real(program: &str) -> Command {
    let sh = |script: &str| Command::new("sh").args(["-c", script]);
    match program {
        "failing" => sh("cat; exit 3"),
        "telling" => sh("echo out; echo 'an error' >&2; exit 7"),
        "deaf" => sh("exec 0<&-; echo out; exec sleep 1000"),
        program => Command::new(program),
    }
}

/// Connects to a program in both worlds, with a protocol that follows `script`, until the connection is lost.
fn converse(program: &'static str, script: fn(&Event, &Transport) -> Result, look: impl Fn(&Events)) {
    let run_on = |reactor: &Reactor, command: Command| {
        let events = Events::default();
        let stopping = move |event: &Event, transport: &Transport| {
            if matches!(event, Event::Lost(_)) {
                let reactor = transport.reactor().clone();
                transport.reactor().call_later(Duration::ZERO, move || stop(&reactor));
            }
            script(event, transport)
        };
        let connecting = reactor.connect_protocol(ClientEndpoint::process(command), Probe::new(&events, stopping));
        connecting.add_callback(|transport| assert_eq!(transport.peer(), Address::Unnamed)).detach();
        events
    };
    let reactor = Reactor::new().expect("a reactor");
    let events = run_on(&reactor, real(program));
    run(&reactor);
    look(&events);
    for (seed, faults) in [(1, Faults::calm()), (2, Faults::lossy()), (3, Faults::lossy())] {
        let simulation = Simulation::with_faults(seed, faults);
        let host = simulation.host("10.0.0.1");
        host.add_program("cat", |program| Ok(program.standard_io(Cat { program: program.clone(), status: 0 })?));
        host.add_program("failing", |program| Ok(program.standard_io(Cat { program: program.clone(), status: 3 })?));
        host.add_program("telling", |program| {
            program.write(1, "out\n");
            program.write(2, "an error\n");
            program.exit(7);
            Ok(())
        });
        host.add_program("deaf", |program| {
            program.write(1, "out\n");
            Ok(())
        });
        let events = run_on(&host, Command::new(program));
        simulation.run_until_idle().expect("it ends");
        look(&events);
        host.assert_clean();
    }
}

#[test]
fn what_is_written_to_a_program_it_reads_and_the_connection_ends_with_the_program() {
    let script = |event: &Event, transport: &Transport| {
        match event {
            Event::Made => transport.write("hello"),
            Event::Data(data) if data.ends_with(b"o") => transport.lose_write_connection(),
            _ => {}
        }
        Ok(())
    };
    converse("cat", script, |events| {
        assert_eq!(events.data(), b"hello");
        assert_eq!(events.course(), ["made", "data", "write lost", "read lost", "lost"]);
        assert!(events.reason().is_clean(), "{}", events.reason());
    });
    converse("failing", script, |events| {
        assert_eq!(events.data(), b"hello");
        assert!(events.reason().to_string().contains("exited with status 3"), "{}", events.reason());
    });
}

#[test]
fn what_a_program_writes_to_its_standard_error_is_logged() {
    logged::watch();
    converse(
        "telling",
        |_, _| Ok(()),
        |events| {
            assert_eq!(events.data(), b"out\n");
            assert!(events.reason().to_string().contains("exited with status 7"), "{}", events.reason());
        },
    );
    assert_eq!(logged::warnings_with("standard error: an error"), 4, "once in each world");
}

#[test]
fn an_abort_kills_the_program() {
    let script = |event: &Event, transport: &Transport| {
        if let Event::Data(_) = event {
            transport.abort_connection();
        }
        Ok(())
    };
    // The program would run for long, and the reactor waits only until it ends.
    converse("deaf", script, |events| {
        assert_eq!(events.data(), b"out\n");
        assert!(matches!(events.reason(), Reason::ConnectionAborted), "{}", events.reason());
    });
}

#[test]
fn a_program_that_is_not_there_is_named_in_the_error() {
    let reactor = Reactor::new().expect("a reactor");
    let own = reactor.clone();
    let connecting = async move {
        let endpoint = ClientEndpoint::process(Command::new("there-is-no-such-program"));
        Ok(own.connect_protocol(endpoint, torsade::wire::Discard).await.expect_err("it cannot be started"))
    };
    let failure = run_until(&reactor, connecting).unwrap();
    let Some(ConnectError::Io(error)) = failure.downcast_ref() else { panic!("{failure}") };
    assert_eq!(error.kind(), std::io::ErrorKind::NotFound);
    assert!(error.to_string().contains("there-is-no-such-program"), "{error}");
}

#[test]
fn each_attempt_starts_the_program_again() {
    let simulation = Simulation::new(1);
    let host = simulation.host("10.0.0.1");
    let started = Rc::new(RefCell::new(0));
    let count = Rc::clone(&started);
    host.add_program("once", move |program| {
        *count.borrow_mut() += 1;
        program.exit(1);
        Ok(())
    });
    let factory = ReconnectingClientFactory::new(|_peer| torsade::wire::Discard).max_retries(2);
    let connector = host.connect(ClientEndpoint::process(Command::new("once")), factory).unwrap();
    assert_eq!(connector.destination().to_string(), "the process \"once\"");
    simulation.run_until_idle().unwrap();
    assert_eq!(*started.borrow(), 3);
    host.assert_clean();
}

/// The program decodes with its own decoder what is compressed here.
#[test]
fn a_program_may_be_on_the_other_side_of_compression() {
    let endpoint = |command: Command| ClientEndpoint::process(command).compressed("gzip".parse::<Format>().unwrap());
    let reactor = Reactor::new().expect("a reactor");
    let events = Events::default();
    let script = |event: &Event, transport: &Transport| {
        match event {
            Event::Made => {
                transport.write("hello");
                transport.lose_write_connection();
            }
            Event::Lost(_) => stop(transport.reactor()),
            _ => {}
        }
        Ok(())
    };
    let protocol = Probe::new(&events, script).half_closeable();
    let gzip = Command::new("gzip").arg("-dc").stderr(ChildDescriptor::Null);
    reactor.connect_protocol(endpoint(gzip), protocol).detach();
    run(&reactor);
    assert_eq!(events.data(), b"hello");
}
