//! Programs as functions: their output or exit status as a Deferred.

use std::cell::RefCell;
use std::rc::Rc;

use torsade_protocols::{Process, ProcessError, ProcessProtocol, Result};
use torsade_reactor::{Command, Deferred, Failure, Firer, ProcessEnd, ProcessSignal, Reactor};

use crate::ends::reactor_process::ReactorProcess;

/// The output and the exit status of a program.
#[derive(Clone, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "Twisted's three")]
pub struct ProcessOutput {
    /// What it wrote to its standard output.
    pub out: Vec<u8>,
    /// What it wrote to its standard error.
    pub err: Vec<u8>,
    /// The exit status.
    pub code: i32,
}

/// Runs a program. The Deferred gives its standard output, whatever the exit status.
///
/// Its standard input is [`Command::input`], and ends after that. To include its standard error, redirect that to
/// standard output with [`Command::stderr`]. Cancelling the Deferred kills the program.
///
/// # Errors
/// The Deferred fails with a [`ProcessError`]: `Spawn`; `UnexpectedError` as soon as the program writes to its standard error;
/// `TooMuchOutput` above [`Command::output_limit`], by default 16 MiB. The last two kill the program.
///
/// # Examples
/// ```
/// use torsade::{ChildDescriptor, get_process_output, prelude::*};
///
/// let reactor = Reactor::new()?;
/// let sorted = get_process_output(&reactor, Command::new("sort").input("pear\napple\n").stderr(ChildDescriptor::SameAs(1)));
/// let stopper = reactor.clone();
/// let told = sorted.add_both(move |sorted| {
///     println!("{:?}", sorted.map(String::from_utf8));
///     stopper.stop().expect("it runs");
/// });
/// told.detach();
/// reactor.run()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[doc(alias = "getProcessOutput")]
pub fn get_process_output(reactor: &Reactor, command: Command) -> Deferred<Vec<u8>> {
    let wanted = Wanted { output: true, error: false };
    run(reactor, command, wanted).add_callback(|collected| Ok(collected.out))
}

/// Runs a program. The Deferred gives its exit status; its output is dropped. Otherwise like [`get_process_output`].
///
/// # Errors
/// The Deferred fails with a [`ProcessError`]: `Spawn`; `Terminated` if a signal has killed it.
#[doc(alias = "getProcessValue")]
pub fn get_process_value(reactor: &Reactor, command: Command) -> Deferred<i32> {
    let wanted = Wanted { output: false, error: true };
    run(reactor, command, wanted).add_callback(|collected| Ok(collected.finish()?.code))
}

/// Runs a program. The Deferred gives its standard output, standard error and exit status. Otherwise like [`get_process_output`].
///
/// # Errors
/// The Deferred fails with a [`ProcessError`]: `Spawn`; `Terminated`, with the output so far, if a signal has killed it;
/// `TooMuchOutput` if either output exceeds [`Command::output_limit`].
#[doc(alias = "getProcessOutputAndValue")]
pub fn get_process_output_and_value(reactor: &Reactor, command: Command) -> Deferred<ProcessOutput> {
    let wanted = Wanted { output: true, error: true };
    run(reactor, command, wanted).add_callback(|collected| Ok(collected.finish()?))
}

/// What to do with a program's output.
#[derive(Clone, Copy)]
struct Wanted {
    /// Keep it.
    output: bool,
    /// Allow it on standard error.
    error: bool,
}

/// A program's output, and how it has ended.
struct Collected {
    out: Vec<u8>,
    err: Vec<u8>,
    end: ProcessEnd,
}

impl Collected {
    fn finish(self) -> Result<ProcessOutput, ProcessError> {
        let Self { out, err, end } = self;
        match end.code() {
            Some(code) => Ok(ProcessOutput { out, err, code }),
            None => Err(ProcessError::Terminated { end, out, err }),
        }
    }
}

fn run(reactor: &Reactor, command: Command, wanted: Wanted) -> Deferred<Collected> {
    let running = Rc::new(RefCell::new(None::<Process>));
    let cancelled = Rc::clone(&running);
    let (deferred, firer) = Deferred::with_canceller(move |_| {
        if let Some(process) = cancelled.take() {
            kill(&process);
        }
    });
    let collector = Rc::new(RefCell::new(Collector {
        input: command.get_input().to_vec(),
        limit: command.get_output_limit(),
        wanted,
        out: Vec::new(),
        err: Vec::new(),
        firer: Some(firer),
    }));
    match reactor.spawn_process(Rc::clone(&collector), command) {
        Ok(process) => drop(running.replace(Some(process))),
        Err(error) => {
            let firer = collector.borrow_mut().firer.take();
            if let Some(firer) = firer {
                firer.errback(ProcessError::Spawn(error));
            }
        }
    }
    deferred
}

/// Kills it, and reads no more of what it or its own children write.
fn kill(process: &Process) {
    // It may have exited by itself just now, which is as good.
    process.signal_process(ProcessSignal::KILL).ok();
    process.lose_connection();
}

/// Collects a program's output.
struct Collector {
    input: Vec<u8>,
    limit: usize,
    wanted: Wanted,
    out: Vec<u8>,
    err: Vec<u8>,
    firer: Option<Firer<Collected>>,
}

impl Collector {
    fn fail(&mut self, process: &Process, error: ProcessError) {
        kill(process);
        if let Some(firer) = self.firer.take() {
            firer.errback(error);
        }
    }
}

impl ProcessProtocol for Collector {
    fn connection_made(&mut self, process: &Process) -> Result {
        if let Some(stdin) = process.stream(0) {
            // The input is in memory already, so a cap on unsent bytes would save nothing.
            stdin.set_write_buffer_cap(usize::MAX);
            stdin.write(std::mem::take(&mut self.input));
            stdin.lose_connection();
        }
        Ok(())
    }

    fn child_data_received(&mut self, process: &Process, descriptor: u32, data: &[u8]) -> Result {
        if self.firer.is_none() || !self.wanted.output {
            return Ok(());
        }
        if descriptor == 2 && !self.wanted.error {
            self.fail(process, ProcessError::UnexpectedError(data.to_vec()));
            return Ok(());
        }
        let (limit, kept) = (self.limit, if descriptor == 2 { &mut self.err } else { &mut self.out });
        if kept.len() + data.len() > limit {
            self.fail(process, ProcessError::TooMuchOutput { limit });
        } else {
            kept.extend_from_slice(data);
        }
        Ok(())
    }

    fn process_ended(&mut self, _: &Process, end: ProcessEnd) -> Result {
        let (out, err) = (std::mem::take(&mut self.out), std::mem::take(&mut self.err));
        if let Some(firer) = self.firer.take() {
            firer.fire(Ok::<_, Failure>(Collected { out, err, end }));
        }
        Ok(())
    }
}
