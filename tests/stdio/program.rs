//! The program that the tests run, and how they start it.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::process::{Child, Command, Stdio};

use rustix::fs::{OFlags, fcntl_getfl};
use rustix::pipe::{PipeFlags, pipe_with};
use torsade::prelude::*;

use crate::support::*;

/// Reports on standard error what happens to its connection of standard input and output, and repeats what it reads.
///
/// Commands: "half" ends its output, "die" panics outside of every callback, "abort" drops what is unsent.
pub struct Parrot {
    reactor: Reactor,
    half_closeable: bool,
}

impl Protocol for Parrot {
    fn connection_made(&mut self, transport: &Transport) -> Result {
        transport.write("\n[begin]");
        tell("made");
        Ok(())
    }

    fn data_received(&mut self, transport: &Transport, data: &[u8]) -> Result {
        match data.trim_ascii_end() {
            b"half" => transport.lose_write_connection(),
            b"abort" => transport.abort_connection(),
            b"die" => self.reactor.crash()?,
            text if text.len() < data.len() && text.len() < 100 => {
                tell(&format!("read {}", data.escape_ascii()));
                transport.write([b"<", text, b">"].concat());
            }
            _ => {
                // Two writes, if there is enough for a second one.
                let (first, rest) = data.split_at(data.len().min(10));
                transport.write(first);
                transport.write_shared(&SharedBytes::from(rest.to_vec()));
            }
        }
        Ok(())
    }

    fn read_connection_lost(&mut self, transport: &Transport) -> Result {
        tell("input ended");
        transport.write("[end]");
        if !self.half_closeable {
            transport.lose_connection();
        }
        Ok(())
    }

    fn write_connection_lost(&mut self, _: &Transport) -> Result {
        tell("output ended");
        Ok(())
    }

    fn connection_lost(&mut self, _: &Transport, reason: &Reason) -> Result {
        match reason {
            Reason::ConnectionLost(error) => tell(&format!("lost: {error}")),
            reason => tell(&format!("lost: {}", reason.kind())),
        }
        Ok(self.reactor.stop()?)
    }
}

/// Prints a line for the test. Standard error has no buffer, and no lock that a panic could hold.
fn tell(text: &str) {
    eprintln!("parrot: {text}");
}

/// Runs the parrot until its connection is lost.
pub fn parrot(half_closeable: bool) {
    let reactor = Reactor::new().expect("a poll");
    let protocol = Parrot { reactor: reactor.clone(), half_closeable };
    if let Err(error) = reactor.standard_io(protocol) {
        return tell(&format!("refused: {error}"));
    }
    reactor.run().expect("it runs");
    assert_eq!(reactor.source_count(), 0, "the program has a fault, and its connection is still there");
}

pub struct Program {
    pub child: Child,
    told: Box<dyn Iterator<Item = String>>,
}

impl Program {
    /// Runs the child of the test `name` with these as standard input and output.
    pub fn run(name: &str, input: impl Into<Stdio>, output: impl Into<Stdio>) -> Self {
        Self::spawn(child(name).stdin(input).stdout(output))
    }

    /// Has the shell run it, as `"$@"` in a script.
    pub fn run_in_shell(name: &str, script: &str) -> Self {
        let program = child(name);
        let mut shell = Command::new("sh");
        shell.args(["-c", script, "sh"]).arg(program.get_program()).args(program.get_args()).env("CHILD_OF", name);
        Self::spawn(shell.stdin(Stdio::piped()).stdout(Stdio::piped()))
    }

    pub fn spawn(command: &mut Command) -> Self {
        let mut child = command.stderr(Stdio::piped()).spawn().expect("it can be started");
        let lines = BufReader::new(child.stderr.take().expect("it is piped")).lines().map_while(Result::ok);
        Self { child, told: Box::new(lines.filter_map(|line| line.strip_prefix("parrot: ").map(str::to_owned))) }
    }

    pub fn tells(&mut self, text: &str) {
        let before: Vec<String> = self.told.by_ref().take_while(|told| told != text).collect();
        // No such line came before the end of its output.
        if let Some(last) = before.last() {
            assert!(!last.starts_with("lost"), "{text:?} is missing: {before:?}");
        }
    }

    /// Waits for its end, and returns what it has reported.
    pub fn told(mut self) -> Vec<String> {
        let told = self.told.by_ref().collect();
        self.child.wait().expect("it has ended");
        told
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // It may already have exited.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// A pipe: its reading end and its writing end.
pub fn pipe() -> (OwnedFd, OwnedFd) {
    pipe_with(PipeFlags::CLOEXEC).expect("a pipe")
}

/// A copy that shares the open file description, like a shell's copy of what it gives to its programs.
pub fn copy(descriptor: &impl AsFd) -> OwnedFd {
    descriptor.as_fd().try_clone_to_owned().expect("a copy")
}

pub fn is_blocking(descriptor: &impl AsFd) -> bool {
    !fcntl_getfl(descriptor).expect("it is open").contains(OFlags::NONBLOCK)
}

pub fn write_all(descriptor: impl Into<OwnedFd>, data: &[u8]) {
    std::fs::File::from(descriptor.into()).write_all(data).expect("there is a reader");
}

/// Reads to the end, and leaves out what the child's test harness printed before it began.
pub fn read_to_end(descriptor: impl Into<OwnedFd>) -> Vec<u8> {
    let mut got = Vec::new();
    std::fs::File::from(descriptor.into()).read_to_end(&mut got).expect("it can be read");
    after_begin(&got).to_vec()
}

pub fn after_begin(output: &[u8]) -> &[u8] {
    const BEGIN: &[u8] = b"\n[begin]";
    let place = output.windows(BEGIN.len()).position(|window| window == BEGIN);
    &output[place.unwrap_or_else(|| panic!("no beginning in: {}", output.escape_ascii())) + BEGIN.len()..]
}
