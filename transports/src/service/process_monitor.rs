//! A service that keeps programs running.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt;
use std::rc::Rc;
use std::time::Duration;

use torsade_protocols::{Process, ProcessProtocol};
use torsade_reactor::{
    Command, Deferred, DelayedCall, Escaped, Firer, ProcessEnd, ProcessSignal, Reactor, Result, defer, report_error,
};

use super::Service;
use crate::ends::reactor_process::ReactorProcess;

/// The most that is kept of an incomplete line, in bytes.
const LINE_LIMIT: usize = 16 << 10;

/// Keeps programs running, from its start to its stop; a cheap handle.
///
/// A program that has ended is restarted: at once if it has run for the [threshold](Self::threshold), 1 s; otherwise after a
/// delay that is 1 s at first and doubles each time this happens in a row, up to an hour. A failure to start counts as
/// an end. The program's output goes to the log at level `info`, line by line, prefixed with its name.
///
/// A program is stopped by SIGTERM, and by SIGKILL 5 s later. This is Twisted's `runner.procmon`, with its defaults, except that
/// the Deferred of [`stop_service`](Service::stop_service) fires only once no program is left.
///
/// # Examples
/// ```no_run
/// use std::time::Duration;
/// use torsade::prelude::*;
/// use torsade::service::{ProcessMonitor, run_service};
///
/// fn main() -> Result {
///     let monitor = ProcessMonitor::new();
///     monitor.add_process("tunnel", Command::new("ssh").args(["-N", "-L", "8080:localhost:80", "gate"]))?;
///     run_service(monitor, Duration::from_secs(6))
/// }
/// ```
#[derive(Clone, Default)]
pub struct ProcessMonitor(Rc<RefCell<State>>);

struct State {
    /// `None` while the service is stopped or stopping.
    reactor: Option<Reactor>,
    programs: BTreeMap<String, Program>,
    /// The running processes, by the numbers of their starts; also those whose programs were removed.
    running: BTreeMap<u64, Running>,
    starts: u64,
    stopping: Vec<Firer<()>>,
    threshold: Duration,
    kill_time: Duration,
    min_restart_delay: Duration,
    max_restart_delay: Duration,
}

impl Default for State {
    fn default() -> Self {
        Self {
            reactor: None,
            programs: BTreeMap::new(),
            running: BTreeMap::new(),
            starts: 0,
            stopping: Vec::new(),
            threshold: Duration::from_secs(1),
            kill_time: Duration::from_secs(5),
            min_restart_delay: Duration::from_secs(1),
            max_restart_delay: Duration::from_secs(3600),
        }
    }
}

/// A program that is to be kept running.
struct Program {
    command: Command,
    /// The delay if it ends too soon.
    delay: Duration,
    /// The number of the start by which it runs.
    start: Option<u64>,
    /// The timer of its next start.
    restart: Option<DelayedCall>,
}

/// A process that has not ended.
struct Running {
    process: Process,
    begin: Duration,
    /// The timer of SIGKILL, after it was told to stop.
    kill: Option<DelayedCall>,
}

impl ProcessMonitor {
    /// Makes a service without programs.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets how long a program must have run to be restarted at once. Default 1 s.
    #[must_use]
    pub fn threshold(self, threshold: Duration) -> Self {
        self.0.borrow_mut().threshold = threshold;
        self
    }

    /// Sets the time between SIGTERM and SIGKILL when a program is stopped. Default 5 s.
    #[doc(alias = "killTime")]
    #[must_use]
    pub fn kill_time(self, time: Duration) -> Self {
        self.0.borrow_mut().kill_time = time;
        self
    }

    /// Sets the first and the longest delay before a program that has ended too soon is restarted. Default 1 s and an hour.
    #[doc(alias = "minRestartDelay")]
    #[doc(alias = "maxRestartDelay")]
    #[must_use]
    pub fn restart_delay(self, first: Duration, longest: Duration) -> Self {
        {
            let mut state = self.0.borrow_mut();
            state.min_restart_delay = first;
            state.max_restart_delay = longest.max(first);
        }
        self
    }

    /// Adds a program under a unique name, and starts it if the service is running.
    ///
    /// # Errors
    /// If the name is taken: [remove](Self::remove_process) that program first.
    #[doc(alias = "addProcess")]
    pub fn add_process(&self, name: &str, command: Command) -> Result {
        {
            let mut state = self.0.borrow_mut();
            if state.programs.contains_key(name) {
                return Err(format!("there is already a process named {name:?}: remove it first").into());
            }
            let delay = state.min_restart_delay;
            state.programs.insert(name.to_owned(), Program { command, delay, start: None, restart: None });
        }
        self.start_process(name)
    }

    /// Stops a program and removes it.
    ///
    /// # Errors
    /// If there is no program of this name.
    #[doc(alias = "removeProcess")]
    pub fn remove_process(&self, name: &str) -> Result {
        self.stop_process(name)?;
        let removed = self.0.borrow_mut().programs.remove(name);
        if let Some(restart) = removed.and_then(|program| program.restart) {
            // It may be what is running now.
            restart.cancel().ok();
        }
        Ok(())
    }

    /// Starts a program now if the service is running and the program is not.
    ///
    /// The service does this by itself when it is due. A failure to start is not an error here: it is logged, and retried.
    ///
    /// # Errors
    /// If there is no program of this name.
    #[doc(alias = "startProcess")]
    pub fn start_process(&self, name: &str) -> Result {
        let (reactor, start, command) = {
            let state = &mut *self.0.borrow_mut();
            let Some(reactor) = state.reactor.clone() else { return Ok(()) };
            state.starts += 1;
            let start = state.starts;
            let program = state.program(name)?;
            if program.start.is_some() {
                return Ok(());
            }
            (reactor, start, program.command.clone())
        };
        let watched = Watched { monitor: self.clone(), name: name.to_owned(), start, lines: [Vec::new(), Vec::new()] };
        let (begin, spawned) = (reactor.now(), reactor.spawn_process(watched, command));
        match spawned {
            Ok(process) => {
                let mut state = self.0.borrow_mut();
                state.program(name)?.start = Some(start);
                state.running.insert(start, Running { process, begin, kill: None });
            }
            Err(error) => {
                report_error("process monitor", format_args!("process {}: {error}", Escaped(name)));
                self.start_later(name, begin);
            }
        }
        Ok(())
    }

    /// Stops a program if it runs. The service then restarts it: to stop it for good, use
    /// [`remove_process`](Self::remove_process).
    ///
    /// # Errors
    /// If there is no program of this name.
    #[doc(alias = "stopProcess")]
    pub fn stop_process(&self, name: &str) -> Result {
        let mut state = self.0.borrow_mut();
        let (kill_time, start) = (state.kill_time, state.program(name)?.start);
        let Some(running) = start.and_then(|start| state.running.get_mut(&start)) else { return Ok(()) };
        if running.process.signal_process(ProcessSignal::TERMINATE).is_ok() && running.kill.is_none() {
            let process = running.process.clone();
            // It may have ended by itself just now, which is as good.
            let kill = move || drop(process.signal_process(ProcessSignal::KILL));
            running.kill = Some(running.process.reactor().call_later(kill_time, kill));
        }
        Ok(())
    }

    /// Stops all programs, which the service then restarts: for instance to make them read a new configuration.
    #[doc(alias = "restartAll")]
    pub fn restart_all(&self) {
        self.stop_all();
    }

    fn stop_all(&self) {
        let names: Vec<_> = self.0.borrow().programs.keys().cloned().collect();
        for name in names {
            // It may have been removed meanwhile.
            self.stop_process(&name).ok();
        }
    }

    fn ended(&self, name: &str, start: u64, end: ProcessEnd) {
        log::info!("[{}] {end}", Escaped(name));
        let Some(Running { begin, kill, .. }) = self.0.borrow_mut().running.remove(&start) else { return };
        if let Some(kill) = kill {
            // It may have been done already.
            kill.cancel().ok();
        }
        let current = self.0.borrow_mut().program(name).is_ok_and(|program| program.start.take_if(|it| *it == start).is_some());
        if current {
            self.start_later(name, begin);
        }
        let stopped = {
            let mut state = self.0.borrow_mut();
            if state.running.is_empty() { std::mem::take(&mut state.stopping) } else { Vec::new() }
        };
        stopped.into_iter().for_each(|firer| firer.callback(()));
    }

    /// Restarts a program that was last started at `begin`, after its delay.
    fn start_later(&self, name: &str, begin: Duration) {
        let mut state = self.0.borrow_mut();
        let (threshold, first, longest) = (state.threshold, state.min_restart_delay, state.max_restart_delay);
        let Some(reactor) = state.reactor.clone().filter(|reactor| !reactor.is_stopping()) else { return };
        let Ok(program) = state.program(name) else { return };
        let wait = if reactor.now().saturating_sub(begin) < threshold {
            let next = program.delay.saturating_mul(2).min(longest);
            std::mem::replace(&mut program.delay, next)
        } else {
            program.delay = first;
            Duration::ZERO
        };
        let (monitor, again) = (self.clone(), name.to_owned());
        // It cannot be gone: the timer is cancelled when the program is removed.
        let restart = reactor.call_later(wait, move || drop(monitor.start_process(&again)));
        program.restart = Some(restart);
    }
}

impl State {
    fn program(&mut self, name: &str) -> Result<&mut Program> {
        self.programs.get_mut(name).ok_or_else(|| format!("there is no process named {name:?}").into())
    }
}

impl Service for ProcessMonitor {
    fn start_service(&self, reactor: &Reactor) -> Result {
        let names: Vec<_> = {
            let mut state = self.0.borrow_mut();
            state.reactor = Some(reactor.clone());
            state.programs.keys().cloned().collect()
        };
        for name in names {
            self.start_process(&name)?;
        }
        Ok(())
    }

    fn stop_service(&self) -> Deferred<()> {
        {
            let mut state = self.0.borrow_mut();
            if state.reactor.take().is_none() && state.running.is_empty() {
                return defer::succeed(());
            }
            for program in state.programs.values_mut() {
                if let Some(restart) = program.restart.take() {
                    // It may have been made already.
                    restart.cancel().ok();
                }
            }
        }
        self.stop_all();
        let mut state = self.0.borrow_mut();
        if state.running.is_empty() {
            return defer::succeed(());
        }
        let (stopped, firer) = Deferred::new();
        state.stopping.push(firer);
        stopped
    }

    fn name(&self) -> String {
        format!("the monitor of {} processes", self.0.borrow().programs.len())
    }
}

impl fmt::Debug for ProcessMonitor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.0.borrow();
        let names: Vec<_> = state.programs.keys().collect();
        f.debug_struct("ProcessMonitor").field("names", &names).field("running", &state.running.len()).finish()
    }
}

/// Logs what a program writes, and reports its end.
struct Watched {
    monitor: ProcessMonitor,
    name: String,
    start: u64,
    /// The incomplete last lines of standard output and standard error.
    lines: [Vec<u8>; 2],
}

impl Watched {
    fn log(&self, line: &[u8]) {
        log::info!("[{}] {}", Escaped(&self.name), Escaped(String::from_utf8_lossy(line)));
    }
}

impl ProcessProtocol for Watched {
    fn child_data_received(&mut self, _: &Process, descriptor: u32, data: &[u8]) -> Result {
        let place = usize::from(descriptor == 2);
        let mut begun = std::mem::take(&mut self.lines[place]);
        for piece in data.split_inclusive(|byte| *byte == b'\n') {
            begun.extend_from_slice(piece.strip_suffix(b"\n").unwrap_or(piece));
            if piece.ends_with(b"\n") || begun.len() > LINE_LIMIT {
                self.log(&begun);
                begun.clear();
            }
        }
        self.lines[place] = begun;
        Ok(())
    }

    fn process_ended(&mut self, _: &Process, end: ProcessEnd) -> Result {
        for line in self.lines.iter().filter(|line| !line.is_empty()) {
            self.log(line);
        }
        self.monitor.ended(&self.name, self.start, end);
        Ok(())
    }
}
