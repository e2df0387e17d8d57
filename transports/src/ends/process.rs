//! A child process on the loop: its pipes are connections, and it is waited for when the system reports its end.
//!
//! Guarantees about its protocol's callbacks: `connection_made` is the first, whatever happens before the loop calls it; the loss
//! of each pipe is reported once, after its data; `process_exited` comes once, after the process was waited for, so that no
//! zombie is left; `process_ended` is the last, once both the process and all pipes are gone.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::io;
use std::rc::{Rc, Weak};

use torsade_protocols::spi::RunningProcess;
use torsade_protocols::{Callback, Process, ProcessError, ProcessProtocol, Protocol, Result, Transport};
use torsade_reactor::event_log::{Event, Subject};
use torsade_reactor::spi::{Child, Ready, Source, Spawned, Stream, Token, catch, drop_quietly};
use torsade_reactor::{AtStop, Command, Escaped, ProcessEnd, ProcessSignal, Reactor, report_error};

use crate::connection::StreamConnection;
use crate::connection::shared::Shared;

pub(crate) struct ProcessSource {
    shared: Rc<Shared>,
    token: Cell<Token>,
    name: String,
    pid: u32,
    at_stop: AtStop,
    on_terminal: bool,
    child: RefCell<Box<dyn Child>>,
    protocol: RefCell<Option<Box<dyn ProcessProtocol>>>,
    /// The pipes that are not lost, by descriptor.
    streams: RefCell<BTreeMap<u32, Transport>>,
    /// `connection_made` was called.
    begun: Cell<bool>,
    end: Cell<Option<ProcessEnd>>,
}

impl ProcessSource {
    /// Starts a child, whose protocol's callbacks begin in the next turn. Our end of each pipe becomes a connection unless `keep`
    /// keeps it.
    pub(crate) fn spawn(
        reactor: &Reactor,
        protocol: Box<dyn ProcessProtocol>,
        command: &Command,
        mut keep: impl FnMut(u32, Box<dyn Stream>) -> Option<Box<dyn Stream>>,
    ) -> io::Result<Process> {
        if reactor.is_stopping() {
            return Err(io::Error::other(format!("{:?} was not started: the reactor is stopping", command.get_program())));
        }
        let Spawned { child, streams } = reactor.backend().spawn(command).map_err(|error| explain(command, error))?;
        let pid = child.id();
        let name = format!("process {pid} ({})", Escaped(command.get_program().to_string_lossy()));
        log::debug!("{name} started");
        let process = Rc::new(Self {
            shared: Shared::of(reactor),
            token: Cell::new(Token::from_usize(usize::MAX)),
            name,
            pid,
            at_stop: command.get_at_stop(),
            on_terminal: command.is_on_terminal(),
            child: RefCell::new(child),
            protocol: RefCell::new(Some(protocol)),
            streams: RefCell::default(),
            begun: Cell::new(false),
            end: Cell::new(None),
        });
        process.token.set(reactor.add_source(Rc::<Self>::clone(&process)));
        let begun = process.register().and_then(|()| {
            streams.into_iter().try_for_each(|(descriptor, stream)| {
                let Some(stream) = keep(descriptor, stream) else { return Ok(()) };
                let pipe = Box::new(PipeProtocol { process: Rc::downgrade(&process), descriptor });
                let on_made = |pipe: &Transport| drop(process.streams.borrow_mut().insert(descriptor, pipe.clone()));
                StreamConnection::adopt_pipe(&process.shared, stream, pipe, on_made)
            })
        });
        if let Err(error) = begun {
            process.give_up();
            return Err(explain(command, error));
        }
        Ok(Process::new(process))
    }

    fn register(&self) -> io::Result<()> {
        let (reactor, token) = (&self.shared.reactor, self.token.get());
        self.child.borrow_mut().register(token)?;
        // Before its pipes, so that `connection_made` comes first. This also finds out whether it has ended already.
        reactor.requeue(token, Ready::NONE);
        Ok(())
    }

    /// Kills a process whose end or output cannot be watched; its protocol is never called.
    fn give_up(&self) {
        drop_quietly("a process protocol", self.protocol.take());
        self.child.borrow_mut().kill_and_wait();
        self.streams.take().into_values().for_each(|pipe| pipe.abort_connection());
        self.shared.reactor.remove_source(self.token.get());
    }

    /// Calls `connection_made`, once.
    fn begin(self: &Rc<Self>) {
        if !self.begun.replace(true)
            && !self.call("connection_made", |event| event, |protocol, process| protocol.connection_made(process))
        {
            Process::new(Rc::<Self>::clone(self)).lose_connection();
        }
    }

    /// Calls the protocol. False if it has failed, which is reported here.
    fn call(
        self: &Rc<Self>,
        name: &'static str,
        details: impl Fn(Event) -> Event,
        call: impl FnOnce(&mut dyn ProcessProtocol, &Process) -> Result,
    ) -> bool {
        self.begin();
        let mut protocol = self.protocol.borrow_mut();
        let Some(protocol) = protocol.as_deref_mut() else { return true };
        let reactor = &self.shared.reactor;
        reactor.observe(|| details(Event::new(Subject::Process { id: self.pid }, name)));
        reactor.record_callback(name);
        match catch(|| call(protocol, &Process::new(Rc::<Self>::clone(self)))) {
            Ok(Ok(())) => return true,
            Ok(Err(error)) => {
                report_error(name, format_args!("{}: {name} failed: {error}", self.name));
                drop_quietly("an error", error);
            }
            Err(panic) => report_error(name, format_args!("{}: {name} {panic}", self.name)),
        }
        false
    }

    /// Checks whether the process has ended.
    fn look(self: &Rc<Self>) {
        if self.end.get().is_some() {
            return;
        }
        let found = self.child.borrow_mut().try_wait();
        match found {
            Ok(None) => {}
            Ok(Some(end)) => self.exited(end),
            Err(error) => {
                report_error("process", format_args!("{}: it cannot be awaited: {error}", self.name));
                self.exited(ProcessEnd::Unknown);
            }
        }
    }

    fn exited(self: &Rc<Self>, end: ProcessEnd) {
        self.end.set(Some(end));
        log::debug!("{} {end}", self.name);
        let details = |event: Event| event.with_reason(end.to_string());
        self.call("process_exited", details, |protocol, process| protocol.process_exited(process, end));
        self.end_if_over(end);
    }

    /// A pipe is closed. If it was the last one, the process has most likely exited.
    fn lost(self: &Rc<Self>, descriptor: u32) {
        self.streams.borrow_mut().remove(&descriptor);
        if !self.on_terminal {
            let details = |event: Event| event.with_reason(format!("descriptor {descriptor}"));
            self.call("child_connection_lost", details, |protocol, process| protocol.child_connection_lost(process, descriptor));
        }
        match self.end.get() {
            Some(end) => self.end_if_over(end),
            None if self.streams.borrow().is_empty() => self.shared.reactor.requeue(self.token.get(), Ready::NONE),
            None => {}
        }
    }

    fn end_if_over(self: &Rc<Self>, end: ProcessEnd) {
        if self.streams.borrow().is_empty() {
            let details = |event: Event| event.with_reason(end.to_string());
            self.call("process_ended", details, |protocol, process| protocol.process_ended(process, end));
            self.leave();
        }
    }

    /// Leaves the loop, and drops the protocol, which may hold this process and would keep both alive.
    fn leave(&self) {
        self.shared.reactor.remove_source(self.token.get());
        drop_quietly("a process protocol", self.protocol.take());
    }
}

impl Source for ProcessSource {
    fn ready(self: Rc<Self>, _: Ready) {
        self.begin();
        self.look();
    }

    fn end_of_turn(self: Rc<Self>) {}

    fn shut_down(self: Rc<Self>) {
        self.begin();
        let signal = match self.at_stop {
            AtStop::LeaveAlone => return self.leave(),
            AtStop::Terminate => ProcessSignal::TERMINATE,
            AtStop::Kill => ProcessSignal::KILL,
            // Its pipes are shut down like all connections.
            _ => return,
        };
        if let Err(error) = self.signal(signal) {
            log::debug!("{}: {error}", self.name);
        }
    }

    fn abort(self: Rc<Self>) {
        self.begin();
        if self.at_stop != AtStop::LeaveAlone && self.end.get().is_none() {
            let end = self.child.borrow_mut().kill_and_wait();
            self.exited(end);
        }
        // Younger sources are aborted first, and its pipes are younger.
        self.leave();
    }

    fn describe(&self) -> String {
        self.name.clone()
    }
}

impl RunningProcess for ProcessSource {
    fn reactor(&self) -> &Reactor {
        &self.shared.reactor
    }

    fn pid(&self) -> Option<u32> {
        Some(self.pid).filter(|_| self.end.get().is_none())
    }

    fn end(&self) -> Option<ProcessEnd> {
        self.end.get()
    }

    fn stream(&self, descriptor: u32) -> Option<Transport> {
        self.streams.borrow().get(&descriptor).cloned()
    }

    fn signal(&self, signal: ProcessSignal) -> Result<(), ProcessError> {
        if self.end.get().is_some() {
            return Err(ProcessError::ExitedAlready);
        }
        self.child.borrow_mut().signal(signal).map_err(|cause| match cause.kind() {
            io::ErrorKind::NotFound => ProcessError::ExitedAlready,
            _ => ProcessError::Signal { signal, cause },
        })
    }
}

/// The protocol of a pipe's connection, which passes everything on to the protocol of the process.
struct PipeProtocol {
    /// The reactor holds it until its pipes are lost.
    process: Weak<ProcessSource>,
    descriptor: u32,
}

impl Protocol for PipeProtocol {
    fn data_received(&mut self, transport: &Transport, data: &[u8]) -> Result {
        let Some(process) = self.process.upgrade() else { return Ok(()) };
        let details = |event: Event| event.with_data(data);
        let received =
            |protocol: &mut dyn ProcessProtocol, process: &Process| protocol.child_data_received(process, self.descriptor, data);
        if !process.call("child_data_received", details, received) {
            transport.abort_connection();
        }
        Ok(())
    }

    fn fallback(&mut self, transport: &Transport, callback: Callback<'_>) -> Result {
        match callback {
            Callback::ReadConnectionLost => transport.lose_connection(),
            Callback::ConnectionLost(_) => {
                if let Some(process) = self.process.upgrade() {
                    process.lost(self.descriptor);
                }
            }
            _ => {}
        }
        Ok(())
    }
}

/// Makes an error that says which program could not be started, why, and what to do.
fn explain(command: &Command, error: io::Error) -> io::Error {
    let program = command.get_program();
    let remedy = match error.kind() {
        io::ErrorKind::NotFound => match command.get_current_dir().filter(|directory| !directory.is_dir()) {
            Some(directory) => format!(": there is no directory {directory:?} to run it in"),
            None => ": is it installed, and its directory in PATH?".to_owned(),
        },
        io::ErrorKind::PermissionDenied => ": is it executable, and may this process run it as that user?".to_owned(),
        _ if error.raw_os_error() == Some(OUT_OF_DESCRIPTORS) => ": allow more descriptors (ulimit -n)".to_owned(),
        _ => String::new(),
    };
    io::Error::new(error.kind(), format!("cannot start {program:?}: {error}{remedy}"))
}

/// EMFILE, which has no `ErrorKind`.
const OUT_OF_DESCRIPTORS: i32 = 24;
