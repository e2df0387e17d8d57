//! Standard input and output on a reactor.

use std::io;

use torsade_protocols::{Address, Protocol};
use torsade_reactor::Reactor;

use crate::ends::adopted::adopt;

/// Standard input and output as a connection.
pub trait ReactorStdio {
    /// Has `protocol` read standard input and write standard output, whatever they are: a terminal, a pipe, a socket, a file, or
    /// nothing. `connection_made` comes in the next turn.
    ///
    /// - **Input.** A terminal gives a line at a time, and ends with Ctrl-D or when its window is closed; a pipe or socket ends
    ///   with its writer. The end is [`read_connection_lost`](Protocol::read_connection_lost), whose default is to close.
    /// - **Output.** When nobody reads it any more the connection is lost, also if nothing is being written. Half a close, and a
    ///   close, let the reader see the end although the process goes on: where standard output is a pipe, descriptor 1 is
    ///   `/dev/null` from then on; a socket's stream is ended for every process that has it. For a terminal or a file there
    ///   is no end, and what is printed afterwards still goes there. Abort is the same, without what is unsent: there is no reset.
    /// - **What the program shares with its shell is never changed.** No `O_NONBLOCK` is set on a descriptor that others have,
    ///   so none is left behind, by an exit, a panic or SIGKILL. Pipes and terminals are opened once more (on Linux, through
    ///   `/proc`), sockets are asked not to wait call by call, and for everything else, files among it, the
    ///   [thread pool](Reactor::suggest_thread_pool_size) waits.
    /// - **Standard error** is not part of it; `eprintln!` goes on as before. `println!` and `std::io::stdin` would mix with what
    ///   the protocol writes and take what it is to read: leave them alone while the connection lives.
    /// - **In the background of a shell** a program that reads its terminal is stopped by the system (SIGTTIN), the whole loop
    ///   with it, as any program is, and goes on in the foreground. One that may not be stopped sees the end of its input.
    ///
    /// A descriptor that is not open counts as ended. Rust opens `/dev/null` in place of those that are closed when a program
    /// begins, so that `<&-` gives an empty input, and `>&-` takes everything.
    ///
    /// In a simulated world the input and output are those of [`Host::console`](torsade_reactor::simulated::Host::console), or
    /// pipes to the parent of a simulated process.
    ///
    /// # Errors
    /// `ResourceBusy` while another connection of them lives: a process has one at a time. `NotConnected` if neither is open.
    /// `Unsupported` on Windows. `NotFound` where a simulated program has none. `Other` when the reactor is stopping. Otherwise as
    /// the system says.
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
