//! Standard input and output on a reactor.

use std::io;

use torsade_protocols::{Address, Protocol};
use torsade_reactor::Reactor;

use crate::ends::adopted::adopt;

/// Standard input and output as a connection.
pub trait ReactorStdio {
    /// Connects `protocol` to standard input and output, whatever they are: a terminal, a pipe, a socket, a file, or
    /// nothing. `connection_made` comes in the next turn.
    ///
    /// - **Input.** A terminal gives a line at a time, and ends with Ctrl-D or when its window is closed; a pipe or socket ends
    ///   with its writer. The end is reported by [`read_connection_lost`](Protocol::read_connection_lost), whose default is to
    ///   close.
    /// - **Output.** When nobody reads it any more the connection is lost, even if nothing is being written. A half-close or
    ///   close shows the reader the end of the stream although the process goes on: a standard output that is a pipe becomes
    ///   `/dev/null`; a socket's stream ends for every process that has it. A terminal or a file has no end, and what is printed
    ///   later still goes there. Aborting does the same, but drops unsent output: there is no reset.
    /// - **What the program shares with its shell is never changed.** `O_NONBLOCK` is never set on a descriptor that others have,
    ///   so an exit, a panic or SIGKILL cannot leave it set. Pipes and terminals are opened once more (on Linux, through
    ///   `/proc`), sockets are read and written with a flag per call, and for everything else, including files, the
    ///   [thread pool](Reactor::suggest_thread_pool_size) waits.
    /// - **Standard error** is not part of it; `eprintln!` works as before. Do not use `println!` and `std::io::stdin` while the
    ///   connection lives: they would mix with the protocol's output and take its input.
    /// - **In the background of a shell** the system stops a program that reads its terminal (SIGTTIN), the whole loop included,
    ///   until it is in the foreground again. A program that cannot be stopped sees the end of its input.
    ///
    /// A descriptor that is not open counts as ended. Rust opens `/dev/null` in place of descriptors that are closed when a
    /// program starts, so that `<&-` gives an empty input, and `>&-` discards the output.
    ///
    /// In a simulated world input and output are those of [`Host::console`](torsade_reactor::simulated::Host::console), or
    /// pipes to the parent of a simulated process.
    ///
    /// # Errors
    /// `ResourceBusy` while another connection uses them: a process has one at a time. `NotConnected` if neither is open.
    /// `Unsupported` on Windows. `NotFound` if a simulated program has none. `Other` if the reactor is stopping. Otherwise the
    /// system's error.
    ///
    /// # Examples
    /// ```no_run
    /// use torsade::prelude::*;
    ///
    /// struct Upper;
    ///
    /// impl LineProtocol for Upper {
    ///     fn line_received(&mut self, transport: &LineTransport, line: &[u8]) -> Result {
    ///         transport.write_sequence(&[&line.to_ascii_uppercase(), b"\n"]);
    ///         Ok(())
    ///     }
    ///
    ///     fn connection_lost(&mut self, transport: &LineTransport, _reason: &Reason) -> Result {
    ///         Ok(transport.reactor().stop()?)
    ///     }
    /// }
    ///
    /// fn main() -> Result {
    ///     let reactor = Reactor::new()?;
    ///     reactor.standard_io(LineReceiver::new(Upper).delimiter(b"\n"))?;
    ///     reactor.run()
    /// }
    /// ```
    #[doc(alias = "StandardIO")]
    fn standard_io<P: Protocol + 'static>(&self, protocol: P) -> io::Result<()>;
}

impl ReactorStdio for Reactor {
    fn standard_io<P: Protocol + 'static>(&self, protocol: P) -> io::Result<()> {
        adopt(self, || Ok((self.backend().standard_io()?, Address::Unnamed)), Box::new(protocol))
    }
}
