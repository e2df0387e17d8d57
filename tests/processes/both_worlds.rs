//! The same callbacks for real programs and for simulated ones.

use std::time::Duration;

use torsade::prelude::*;
use torsade::simulated::{Faults, Host, Program, Simulation};
use torsade::{AtStop, ProcessSignal};

use crate::watcher::{Told, Watcher, never, sh};

/// A simulated program that writes what it reads, and exits with this status at the end of its input.
struct Cat {
    program: Program,
    code: i32,
}

impl Protocol for Cat {
    fn data_received(&mut self, transport: &Transport, data: &[u8]) -> Result {
        transport.write(data);
        Ok(())
    }

    fn connection_lost(&mut self, _: &Transport, _: &Reason) -> Result {
        self.program.exit(self.code);
        Ok(())
    }
}

/// Installs simulated programs under the names that `real` uses.
fn install(host: &Host) {
    host.add_program("cat", |program| Ok(program.standard_io(Cat { program: program.clone(), code: 0 })?));
    host.add_program("failing", |program| {
        program.write(1, "out\n");
        program.write(2, "err\n");
        program.exit(7);
        Ok(())
    });
    host.add_program("patient", |program| {
        program.write(2, "ready\n");
        Ok(program.standard_io(Cat { program: program.clone(), code: 3 })?)
    });
    host.add_program("stubborn", |program| {
        program.write(2, "ready\n");
        program.before_shutdown(never);
        Ok(())
    });
}

fn real(program: &str) -> Command {
    match program {
        "failing" => sh("echo out; echo err >&2; exit 7"),
        "patient" => sh("echo ready >&2; cat; exit 3"),
        "stubborn" => sh("trap '' TERM; echo ready >&2; exec sleep 1000"),
        program => Command::new(program),
    }
}

type Hook = fn(&Process, &str) -> Result;

/// Calls `look` with the callbacks of a program's protocol: of a real program, and of a simulated one with and without faults.
fn in_both_worlds(program: &str, at_stop: AtStop, hook: Hook, look: fn(&Told)) {
    look(&run(&Reactor::new().unwrap(), real(program).at_stop(at_stop), hook));
    for seed in 0..40 {
        // A pipe that is stuck for good would also block its program for good.
        let hostile = Faults { stuck: 0.0, ..Faults::hostile() };
        let simulation = Simulation::with_faults(seed, if seed % 2 == 0 { Faults::calm() } else { hostile });
        let host = simulation.host("10.0.0.1");
        install(&host);
        look(&run(&host, Command::new(program).at_stop(at_stop), hook));
    }
}

fn run(reactor: &Reactor, command: Command, hook: Hook) -> Told {
    let told = Told::default();
    reactor.set_stop_timeout(Duration::from_millis(500));
    reactor.spawn_process(Watcher::new(&told, hook), command).unwrap();
    reactor.run().unwrap();
    let all = told.all();
    assert_eq!(all.first().map(String::as_str), Some("made"), "{all:?}");
    assert!(all.last().is_some_and(|last| last.starts_with("all ")), "{all:?}");
    for once in ["lost 0", "lost 1", "lost 2"] {
        assert_eq!(told.count(once), 1, "{all:?}");
    }
    told
}

fn ends_with(told: &Told, end: &str) {
    let all = told.all();
    assert_eq!(
        all.iter().filter(|entry| entry.starts_with("process ")).collect::<Vec<_>>(),
        [&format!("process {end}")],
        "{all:?}"
    );
    assert_eq!(all.last(), Some(&format!("all {end}")), "{all:?}");
}

#[test]
fn what_is_written_comes_back_and_the_end_of_the_input_ends_the_program() {
    let hook: Hook = |process, entry| {
        if entry == "made" {
            process.write("hello ");
            process.write("world");
            process.close_stdin();
        }
        Ok(())
    };
    in_both_worlds("cat", AtStop::default(), hook, |told| {
        assert_eq!(told.data(1), "hello world");
        ends_with(told, "exited with status 0");
    });
}

#[test]
fn a_status_and_what_was_written_before_it_are_reported() {
    in_both_worlds(
        "failing",
        AtStop::default(),
        |_, _| Ok(()),
        |told| {
            assert_eq!((told.data(1).as_str(), told.data(2).as_str()), ("out\n", "err\n"));
            ends_with(told, "exited with status 7");
        },
    );
}

#[test]
fn a_signal_kills() {
    let hook: Hook = |process, entry| if entry == "made" { Ok(process.signal_process(ProcessSignal::KILL)?) } else { Ok(()) };
    in_both_worlds("cat", AtStop::default(), hook, |told| ends_with(told, "killed by SIGKILL"));
}

#[test]
fn a_stop_kills_a_program_that_does_not_end_in_time() {
    let hook: Hook = |process, entry| if entry.starts_with("data 2") { Ok(process.reactor().stop()?) } else { Ok(()) };
    in_both_worlds("stubborn", AtStop::default(), hook, |told| ends_with(told, "killed by SIGKILL"));
    in_both_worlds("stubborn", AtStop::Kill, hook, |told| ends_with(told, "killed by SIGKILL"));
}

#[test]
fn a_stop_waits_for_a_program_whose_input_ends() {
    let hook: Hook = |process, entry| if entry.starts_with("data 2") { Ok(process.reactor().stop()?) } else { Ok(()) };
    in_both_worlds("patient", AtStop::CloseStdin, hook, |told| ends_with(told, "exited with status 3"));
}

#[test]
fn closing_everything_is_the_end_of_a_program_that_reads_or_writes() {
    let hook: Hook = |process, entry| {
        if entry == "made" {
            process.lose_connection();
        }
        Ok(())
    };
    in_both_worlds("cat", AtStop::default(), hook, |told| ends_with(told, "exited with status 0"));
}
