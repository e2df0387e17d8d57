//! The callbacks of a child process, which users implement.

use std::cell::RefCell;
use std::rc::Rc;

use torsade_reactor::{ProcessEnd, Result};

use super::handle::Process;

/// The callbacks of a child process, from start to end.
///
/// They come from the loop, never from inside a method, as those of a [`Protocol`](crate::Protocol) do. For one process the order
/// is: [`connection_made`](Self::connection_made); what it writes, and the losses of its descriptors;
/// [`process_ended`](Self::process_ended), once and last. [`process_exited`](Self::process_exited) is called once before that, in
/// no fixed order with the rest: what a process wrote before it exited may be read afterwards, and a child of its own may go on
/// writing.
///
/// An `Err` or a panic of a callback is logged. In `connection_made` it closes the process's standard input, output and error; in
/// a callback for data, the descriptor the data came from.
///
/// # Examples
/// ```
/// use torsade::{prelude::*, ProcessEnd, ProcessProtocol};
///
/// struct WordCount;
///
/// impl ProcessProtocol for WordCount {
///     fn connection_made(&mut self, process: &Process) -> Result {
///         process.write("one two three\n");
///         process.close_stdin();
///         Ok(())
///     }
///
///     fn out_received(&mut self, _: &Process, data: &[u8]) -> Result {
///         println!("{} words", String::from_utf8_lossy(data).trim());
///         Ok(())
///     }
///
///     fn process_ended(&mut self, process: &Process, end: ProcessEnd) -> Result {
///         println!("wc has {end}");
///         Ok(process.reactor().stop()?)
///     }
/// }
///
/// fn main() -> Result {
///     let reactor = Reactor::new()?;
///     reactor.spawn_process(WordCount, Command::new("wc").arg("-w"))?;
///     reactor.run()
/// }
/// ```
#[doc(alias = "IProcessProtocol")]
#[expect(unused_variables, reason = "the names are for those who implement it")]
pub trait ProcessProtocol {
    /// The process was started and can be written to. Called once, first.
    ///
    /// # Errors
    /// Any error closes its standard input, output and error, and is logged.
    #[doc(alias = "connectionMade")]
    fn connection_made(&mut self, process: &Process) -> Result {
        Ok(())
    }

    /// The process wrote to this descriptor: at least one byte, at most 64 KiB, split anywhere.
    ///
    /// The default passes it to [`out_received`](Self::out_received) or [`err_received`](Self::err_received), and drops what
    /// comes from other descriptors.
    ///
    /// # Errors
    /// Any error closes the descriptor, and is logged.
    #[doc(alias = "childDataReceived")]
    fn child_data_received(&mut self, process: &Process, descriptor: u32, data: &[u8]) -> Result {
        match descriptor {
            1 => self.out_received(process, data),
            2 => self.err_received(process, data),
            _ => Ok(()),
        }
    }

    /// The process wrote to its standard output or terminal.
    ///
    /// # Errors
    /// Any error closes our end of it, and is logged.
    #[doc(alias = "outReceived")]
    fn out_received(&mut self, process: &Process, data: &[u8]) -> Result {
        Ok(())
    }

    /// The process wrote to its standard error.
    ///
    /// # Errors
    /// Any error closes our end of it, and is logged.
    #[doc(alias = "errReceived")]
    fn err_received(&mut self, process: &Process, data: &[u8]) -> Result {
        Ok(())
    }

    /// This descriptor was closed, by the process or by us. Called once for each pipe, after its data; not called for a terminal.
    ///
    /// The default passes it to the three callbacks below.
    ///
    /// # Errors
    /// Any error is logged.
    #[doc(alias = "childConnectionLost")]
    fn child_connection_lost(&mut self, process: &Process, descriptor: u32) -> Result {
        match descriptor {
            0 => self.in_connection_lost(process),
            1 => self.out_connection_lost(process),
            2 => self.err_connection_lost(process),
            _ => Ok(()),
        }
    }

    /// The process no longer reads its standard input, or we have closed it.
    ///
    /// # Errors
    /// Any error is logged.
    #[doc(alias = "inConnectionLost")]
    fn in_connection_lost(&mut self, process: &Process) -> Result {
        Ok(())
    }

    /// Its standard output was closed, by the process or by us.
    ///
    /// # Errors
    /// Any error is logged.
    #[doc(alias = "outConnectionLost")]
    fn out_connection_lost(&mut self, process: &Process) -> Result {
        Ok(())
    }

    /// Its standard error was closed, by the process or by us.
    ///
    /// # Errors
    /// Any error is logged.
    #[doc(alias = "errConnectionLost")]
    fn err_connection_lost(&mut self, process: &Process) -> Result {
        Ok(())
    }

    /// The process has exited. More of its output may follow, and its descriptors may stay open in its own children.
    ///
    /// # Errors
    /// Any error is logged.
    #[doc(alias = "processExited")]
    fn process_exited(&mut self, process: &Process, end: ProcessEnd) -> Result {
        Ok(())
    }

    /// The process has exited and all its descriptors are closed. Called exactly once, last; not called for a process that keeps
    /// running when the reactor stops ([`AtStop::LeaveAlone`](torsade_reactor::AtStop::LeaveAlone)).
    ///
    /// # Errors
    /// Any error is logged.
    #[doc(alias = "processEnded")]
    fn process_ended(&mut self, process: &Process, end: ProcessEnd) -> Result {
        Ok(())
    }
}

/// A shared protocol. It must not stay borrowed when control returns to the loop.
impl<P: ProcessProtocol + ?Sized> ProcessProtocol for Rc<RefCell<P>> {
    fn connection_made(&mut self, process: &Process) -> Result {
        self.borrow_mut().connection_made(process)
    }

    fn child_data_received(&mut self, process: &Process, descriptor: u32, data: &[u8]) -> Result {
        self.borrow_mut().child_data_received(process, descriptor, data)
    }

    fn out_received(&mut self, process: &Process, data: &[u8]) -> Result {
        self.borrow_mut().out_received(process, data)
    }

    fn err_received(&mut self, process: &Process, data: &[u8]) -> Result {
        self.borrow_mut().err_received(process, data)
    }

    fn child_connection_lost(&mut self, process: &Process, descriptor: u32) -> Result {
        self.borrow_mut().child_connection_lost(process, descriptor)
    }

    fn in_connection_lost(&mut self, process: &Process) -> Result {
        self.borrow_mut().in_connection_lost(process)
    }

    fn out_connection_lost(&mut self, process: &Process) -> Result {
        self.borrow_mut().out_connection_lost(process)
    }

    fn err_connection_lost(&mut self, process: &Process) -> Result {
        self.borrow_mut().err_connection_lost(process)
    }

    fn process_exited(&mut self, process: &Process, end: ProcessEnd) -> Result {
        self.borrow_mut().process_exited(process, end)
    }

    fn process_ended(&mut self, process: &Process, end: ProcessEnd) -> Result {
        self.borrow_mut().process_ended(process, end)
    }
}
