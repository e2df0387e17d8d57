//! A log of everything received and written.

use std::cell::RefCell;
use std::fmt::{self, Write as _};
use std::io::{self, Write};

use torsade_reactor::{Result, report_error};

use crate::address::Address;
use crate::factory::{ClientFactory, Factory};
use crate::policies::wrapping::{ProtocolWrapper, WrappedProtocol, WrapperTransport};
use crate::protocol::Protocol;
use crate::reason::Reason;
use crate::shared_bytes::SharedBytes;

/// Logs what each connection receives and writes, to a log of its own.
///
/// The lines are Twisted's: `*` when the connection is made; `C 1: b'data'` for input and `S 1: b'data'` for output, with the
/// connection's number and the bytes as a Python literal; `S 1: *` when our side closes; and `C 1: ` with the reason when the
/// connection is lost. Each line is written immediately and blocks the loop, so logs belong on a fast disk or in memory. When a
/// log fails, that is reported once and logging stops; the connection goes on.
///
/// # Examples
/// ```no_run
/// use std::fs::File;
/// use torsade::{Reactor, ReactorTcp, policies::TrafficLoggingFactory, wire};
///
/// let reactor = Reactor::new()?;
/// let logged = TrafficLoggingFactory::new(|_peer| wire::Echo, |number| File::create(format!("traffic-{number}")));
/// reactor.listen_tcp("127.0.0.1:8007", logged)?;
/// reactor.run()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[doc(alias = "SpewingFactory")]
pub struct TrafficLoggingFactory<F, O> {
    factory: F,
    open: O,
    length_limit: usize,
    counter: u64,
}

impl<F, O, L> TrafficLoggingFactory<F, O>
where
    F: Factory,
    O: FnMut(u64) -> io::Result<L>,
    L: Write + 'static,
{
    /// Logs the connections of `factory`. `open` opens the log for a connection, given its number, counting from 1.
    ///
    /// If `open` fails, the peer is refused.
    #[must_use]
    pub const fn new(factory: F, open: O) -> Self {
        Self { factory, open, length_limit: usize::MAX, counter: 0 }
    }

    /// Sets how many bytes of one read or write are logged; default all. `<... elided>` marks what is left out.
    #[doc(alias = "lengthLimit")]
    #[must_use]
    pub const fn length_limit(mut self, bytes: usize) -> Self {
        self.length_limit = bytes;
        self
    }
}

impl<F, O, L> Factory for TrafficLoggingFactory<F, O>
where
    F: Factory,
    O: FnMut(u64) -> io::Result<L>,
    L: Write + 'static,
{
    fn build_protocol(&mut self, peer: &Address) -> Option<Box<dyn Protocol>> {
        let protocol = self.factory.build_protocol(peer)?;
        self.counter += 1;
        let log = match (self.open)(self.counter) {
            Ok(log) => log,
            Err(error) => {
                report_error("traffic log", format_args!("refusing {peer}: no traffic log can be written: {error}"));
                return None;
            }
        };
        let wrapper = Logged { number: self.counter, length_limit: self.length_limit, log: RefCell::new(Some(Box::new(log))) };
        Some(Box::new(WrappedProtocol::new(wrapper, protocol)))
    }

    fn wrapped(&mut self) -> Option<&mut dyn Factory> {
        Some(&mut self.factory)
    }
}

impl<F, O, L> ClientFactory for TrafficLoggingFactory<F, O>
where
    F: ClientFactory,
    O: FnMut(u64) -> io::Result<L>,
    L: Write + 'static,
{
    fn wrapped_client(&mut self) -> Option<&mut dyn ClientFactory> {
        Some(&mut self.factory)
    }
}

/// One connection with its log; `None` once the log has failed.
struct Logged {
    number: u64,
    length_limit: usize,
    log: RefCell<Option<Box<dyn Write>>>,
}

impl Logged {
    fn log(&self, line: fmt::Arguments<'_>) {
        let mut log = self.log.borrow_mut();
        let Some(open) = &mut *log else { return };
        if let Err(error) = writeln!(open, "{line}").and_then(|()| open.flush()) {
            report_error("traffic log", format_args!("the traffic log of connection {} ends here: {error}", self.number));
            *log = None;
        }
    }

    fn shown<'a>(&self, data: &'a [u8]) -> PythonBytes<'a> {
        match data.get(..self.length_limit) {
            Some(beginning) if beginning.len() < data.len() => PythonBytes { data: beginning, elided: true },
            _ => PythonBytes { data, elided: false },
        }
    }
}

impl ProtocolWrapper for Logged {
    fn connection_made(&self, _: &WrapperTransport) -> Result {
        self.log(format_args!("*"));
        Ok(())
    }

    fn data_received(&self, _: &WrapperTransport, data: &[u8], above: &mut dyn FnMut(&[u8]) -> Result) -> Result {
        self.log(format_args!("C {}: {}", self.number, self.shown(data)));
        above(data)
    }

    fn connection_lost(&self, _: &WrapperTransport, reason: &Reason) {
        self.log(format_args!("C {}: {reason}", self.number));
    }

    fn write(&self, below: &WrapperTransport, data: &[u8]) {
        self.log(format_args!("S {}: {}", self.number, self.shown(data)));
        below.write(data);
    }

    fn write_shared(&self, below: &WrapperTransport, data: &SharedBytes) {
        self.log(format_args!("S {}: {}", self.number, self.shown(data)));
        below.write_shared(data);
    }

    fn lose_connection(&self, below: &WrapperTransport) {
        self.log(format_args!("S {}: *", self.number));
        below.lose_connection();
    }
}

/// Formats bytes as a Python literal.
struct PythonBytes<'a> {
    data: &'a [u8],
    elided: bool,
}

impl fmt::Display for PythonBytes<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let quote = if self.data.contains(&b'\'') && !self.data.contains(&b'"') { '"' } else { '\'' };
        write!(f, "b{quote}")?;
        for byte in self.data {
            match byte {
                b'\t' => f.write_str("\\t")?,
                b'\n' => f.write_str("\\n")?,
                b'\r' => f.write_str("\\r")?,
                b'\\' => f.write_str("\\\\")?,
                b'\'' if quote == '\'' => f.write_str("\\'")?,
                b' '..=b'~' => f.write_char(char::from(*byte))?,
                _ => write!(f, "\\x{byte:02x}")?,
            }
        }
        f.write_char(quote)?;
        f.write_str(if self.elided { " <... elided>" } else { "" })
    }
}

impl<F, O> fmt::Debug for TrafficLoggingFactory<F, O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TrafficLoggingFactory").field("counter", &self.counter).finish_non_exhaustive()
    }
}
