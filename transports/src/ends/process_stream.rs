//! A child process as the peer of a connection, which writes to its standard input and reads its standard output.
//!
//! It is an ordinary process of the loop, which waits for it, ends it with the reactor, and reads its other output. Its stream
//! ends only when the process has ended as well, so that the connection knows how: with an exit status other than 0,
//! or a signal, the connection is lost with that error.

use std::cell::{Cell, RefCell};
use std::io::{self, IoSlice};
use std::rc::Rc;

use torsade_protocols::{Address, Process, ProcessProtocol, Result};
use torsade_reactor::spi::{Direction, Ready, Stream, TcpOptions, Token, UnixSocket};
use torsade_reactor::{Command, Descriptor, Escaped, ProcessEnd, ProcessSignal, Reactor};

use crate::ends::process::ProcessSource;

/// Starts a process, and returns its input and output as one stream.
pub(crate) fn open(reactor: &Reactor, command: &Command) -> io::Result<Box<dyn Stream>> {
    let ended = Rc::new(Ended::default());
    let name = Escaped(command.get_program().to_string_lossy().into_owned()).to_string();
    let watcher = Box::new(Watcher { name: name.clone(), ended: Rc::clone(&ended) });
    let (mut input, mut output) = (None, None);
    let keep = |descriptor, stream| {
        match descriptor {
            0 => input = Some(stream),
            1 => output = Some(stream),
            _ => return Some(stream),
        }
        None
    };
    let process = ProcessSource::spawn(reactor, watcher, command, keep)?;
    match output {
        Some(output) => {
            let direction = if input.is_some() { Direction::Both } else { output.direction() };
            Ok(Box::new(ProcessStream { name, process, ended, direction, input: RefCell::new(input), output }))
        }
        None => {
            // If this fails, it has ended already.
            process.signal_process(ProcessSignal::KILL).ok();
            let text = format!("the standard output of {name} is not a pipe, so there is nothing to read");
            Err(io::Error::new(io::ErrorKind::InvalidInput, text))
        }
    }
}

/// How the process has ended, and whom to tell.
#[derive(Default)]
struct Ended {
    end: Cell<Option<ProcessEnd>>,
    token: Cell<Option<Token>>,
}

/// Reports the end to the stream, and standard error to the log.
struct Watcher {
    name: String,
    ended: Rc<Ended>,
}

impl ProcessProtocol for Watcher {
    fn err_received(&mut self, _: &Process, data: &[u8]) -> Result {
        for line in String::from_utf8_lossy(data).lines() {
            log::warn!("{} writes to its standard error: {}", self.name, Escaped(line));
        }
        Ok(())
    }

    fn process_exited(&mut self, process: &Process, end: ProcessEnd) -> Result {
        self.ended.end.set(Some(end));
        if let Some(token) = self.ended.token.get() {
            process.reactor().requeue(token, Ready::READABLE);
        }
        Ok(())
    }
}

struct ProcessStream {
    name: String,
    process: Process,
    ended: Rc<Ended>,
    direction: Direction,
    /// Where we write; closed when our stream ends, since nothing else tells the process. Always `None` on a terminal.
    input: RefCell<Option<Box<dyn Stream>>>,
    output: Box<dyn Stream>,
}

impl ProcessStream {
    /// The output has ended: returns the end of the stream, or the error of the process.
    fn end(&self) -> io::Result<usize> {
        match self.ended.end.get() {
            None => Err(io::ErrorKind::WouldBlock.into()),
            Some(end) if end.is_success() => Ok(0),
            Some(end) => Err(io::Error::other(format!("{} {end}", self.name))),
        }
    }
}

impl Stream for ProcessStream {
    fn direction(&self) -> Direction {
        self.direction
    }

    fn register(&mut self, token: Token) -> io::Result<()> {
        self.ended.token.set(Some(token));
        self.output.register(token)?;
        if let Some(input) = self.input.get_mut() {
            input.register(token)?;
        }
        // It is connected at once, even if nothing can be written to it.
        self.process.reactor().requeue(token, Ready::NONE);
        Ok(())
    }

    fn is_connected(&self) -> io::Result<bool> {
        Ok(true)
    }

    /// Neither a pipe nor a terminal guarantees that.
    fn short_io_ends_edge(&self) -> bool {
        false
    }

    fn pause(&self) {
        self.output.pause();
    }

    fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.output.read(buffer) {
            Ok(0) => self.end(),
            read => read,
        }
    }

    fn write(&self, data: &[u8]) -> io::Result<usize> {
        match &*self.input.borrow() {
            Some(input) => input.write(data),
            None => self.output.write(data),
        }
    }

    fn write_vectored(&self, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
        match &*self.input.borrow() {
            Some(input) => input.write_vectored(pieces),
            None => self.output.write_vectored(pieces),
        }
    }

    /// Closing a pipe does not discard what it has taken.
    fn unacknowledged(&self) -> Option<usize> {
        Some(0)
    }

    fn shutdown_write(&self) -> io::Result<()> {
        drop(self.input.take());
        Ok(())
    }

    /// Kills the process.
    fn reset_on_close(&self) -> io::Result<()> {
        // An error means that it has ended.
        self.process.signal_process(ProcessSignal::KILL).ok();
        Ok(())
    }

    fn lingers(&self) -> bool {
        false
    }

    /// A process that reads no more is not a failure unless something is written: its output may go on.
    fn take_error(&self) -> io::Result<Option<io::Error>> {
        Ok(None)
    }

    fn local_address(&self) -> io::Result<Address> {
        Ok(Address::Unnamed)
    }

    fn copy_descriptor(&self) -> io::Result<Descriptor> {
        Err(io::Error::new(io::ErrorKind::Unsupported, "a process has no socket"))
    }

    fn tcp(&self) -> Option<&dyn TcpOptions> {
        None
    }

    fn unix(&self) -> Option<&dyn UnixSocket> {
        None
    }
}
