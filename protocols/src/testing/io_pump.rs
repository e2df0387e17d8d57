//! Two protocols that talk to each other, step by step.

use std::error::Error;
use std::fmt;
use std::io;
use std::rc::Rc;
use std::time::Duration;

use torsade_reactor::Clock;

use crate::protocol::Protocol;
use crate::reason::Reason;
use crate::testing::disconnection::StringTransportWithDisconnection;
use crate::testing::string_transport::StringTransport;

/// The maximum number of pumps in [`IoPump::flush`].
const ROUNDS: usize = 1000;

/// A server's and a client's protocol, joined in memory. Bytes move when the test pumps.
///
/// Both have a [`StringTransport`] and share one [`Clock`]. A connection ends as a real one does: `lose_connection` sends what
/// was written, then the stream end, and waits for the other's; `lose_write_connection` ends one direction; `abort_connection`
/// drops what was not pumped yet, and the other side sees a reset. A pull producer is asked once per pump. There are no
/// deadlines, watermarks or layers here: use a simulation for those.
///
/// Callbacks come from within [`pump`](Self::pump), [`flush`](Self::flush) and [`advance`](Self::advance). Panics in them
/// propagate to the test.
///
/// # Examples
/// ```
/// use torsade::prelude::*;
/// use torsade::testing::connected_server_and_client;
///
/// struct Echo;
///
/// impl Protocol for Echo {
///     fn data_received(&mut self, transport: &Transport, data: &[u8]) -> Result {
///         transport.write(data);
///         Ok(())
///     }
/// }
///
/// #[derive(Default)]
/// struct Ask(Vec<u8>);
///
/// impl Protocol for Ask {
///     fn connection_made(&mut self, transport: &Transport) -> Result {
///         transport.write(b"hello");
///         Ok(())
///     }
///
///     fn data_received(&mut self, transport: &Transport, data: &[u8]) -> Result {
///         self.0.extend_from_slice(data);
///         transport.lose_connection();
///         Ok(())
///     }
/// }
///
/// let mut pump = connected_server_and_client(Echo, Ask::default())?;
/// assert_eq!(pump.client().protocol().0, b"hello");
/// assert!(pump.server().reason().is_some_and(|reason| reason.is_clean()));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[doc(alias = "FakeTransport")]
#[doc(alias = "IOPump")]
#[derive(Debug)]
pub struct IoPump<S, C> {
    clock: Rc<Clock>,
    server: End<S>,
    client: End<C>,
}

/// Joins two protocols, calls `connection_made` of both, the server's first, and pumps until nothing moves.
///
/// # Errors
/// [`IoPumpError::NeverQuiet`]: see [`IoPump::flush`].
#[doc(alias = "loopbackAsync")]
#[doc(alias = "connectedServerAndClient")]
pub fn connected_server_and_client<S: Protocol, C: Protocol>(server: S, client: C) -> Result<IoPump<S, C>, IoPumpError> {
    let mut pump = IoPump::new(server, client);
    pump.flush()?;
    Ok(pump)
}

impl<S: Protocol, C: Protocol> IoPump<S, C> {
    /// Joins two protocols and calls `connection_made` of both, the server's first. Moves nothing yet.
    #[must_use]
    pub fn new(server: S, client: C) -> Self {
        let clock = Rc::new(Clock::new());
        let mut pump = Self { server: End::new(&clock, server), client: End::new(&clock, client), clock };
        let (host, peer) = (pump.server.connection.host(), pump.server.connection.peer());
        pump.client.connection.set_host(peer);
        pump.client.connection.set_peer(host);
        pump.server.connection.make_connection();
        pump.client.connection.make_connection();
        pump
    }

    /// Moves what each side has written to the other, once. Returns whether anything moved: bytes or a stream end.
    ///
    /// What the callbacks write meanwhile is left for the next pump.
    pub fn pump(&mut self) -> bool {
        // A layer above one of them, such as TLS, may have something to do in the next turn.
        self.clock.advance(Duration::ZERO);
        self.server.connection.settle();
        self.client.connection.settle();
        let (from_server, from_client) = (self.server.take(), self.client.take());
        let moved = from_server.has_any() || from_client.has_any();
        self.client.take_in(from_server);
        self.server.take_in(from_client);
        moved
    }

    /// Pumps until nothing moves, at most 1,000 times. Returns how often something moved.
    ///
    /// # Errors
    /// [`IoPumpError::NeverQuiet`] if they still talk then, as two echo protocols do: use [`pump`](Self::pump) instead.
    pub fn flush(&mut self) -> Result<usize, IoPumpError> {
        for round in 0..ROUNDS {
            if !self.pump() {
                return Ok(round);
            }
        }
        Err(IoPumpError::NeverQuiet { rounds: ROUNDS })
    }

    /// Advances the clock of both sides, and carries out what the due calls ask for. Moves no bytes.
    pub fn advance(&mut self, by: Duration) {
        self.clock.advance(by);
        self.server.connection.settle();
        self.client.connection.settle();
    }

    /// The server's side: its protocol, and its transport with what was written since the last pump.
    pub const fn server(&mut self) -> &mut StringTransportWithDisconnection<S> {
        &mut self.server.connection
    }

    /// The client's side, likewise.
    pub const fn client(&mut self) -> &mut StringTransportWithDisconnection<C> {
        &mut self.client.connection
    }

    /// The clock of both sides.
    #[must_use]
    pub const fn clock(&self) -> &Rc<Clock> {
        &self.clock
    }
}

/// One side.
#[derive(Debug)]
struct End<P> {
    connection: StringTransportWithDisconnection<P>,
    /// What the other side was told about the end of this one.
    reported: Ending,
}

/// What one side has for the other.
struct Outgoing {
    bytes: Vec<u8>,
    /// The end, if it is news; otherwise `Open`.
    end: Ending,
}

/// How far a stream has ended. Each state comes at most once, in this order.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
enum Ending {
    Open,
    InOrder,
    Reset,
}

impl Outgoing {
    fn has_any(&self) -> bool {
        !self.bytes.is_empty() || self.end != Ending::Open
    }
}

impl<P: Protocol> End<P> {
    fn new(clock: &Rc<Clock>, protocol: P) -> Self {
        let mut connection = StringTransportWithDisconnection::with_transport(StringTransport::with_clock(clock), protocol);
        connection.set_lingering();
        Self { connection, reported: Ending::Open }
    }

    fn take(&mut self) -> Outgoing {
        self.connection.pull();
        let mut bytes = self.connection.value();
        self.connection.clear();
        let end = self.ending();
        if self.reported != Ending::Open || end == Ending::Reset {
            // Written after the end, or unsent when it was aborted.
            bytes.clear();
        }
        let news = if end > self.reported { end } else { Ending::Open };
        self.reported = self.reported.max(end);
        Outgoing { bytes, end: news }
    }

    /// How far our own stream has ended, counting everything written as sent.
    fn ending(&self) -> Ending {
        let connection = &self.connection;
        match connection.reason() {
            _ if connection.is_aborted() => Ending::Reset,
            Some(Reason::ConnectionLost(_) | Reason::ConnectionAborted) => Ending::Reset,
            Some(_) => Ending::InOrder,
            None if connection.is_write_closed() => Ending::InOrder,
            None if connection.is_closing() && !connection.waits_for_producer() => Ending::InOrder,
            None => Ending::Open,
        }
    }

    fn take_in(&mut self, outgoing: Outgoing) {
        if !outgoing.bytes.is_empty() {
            self.connection.deliver(&outgoing.bytes);
        }
        match outgoing.end {
            Ending::Open => {}
            Ending::InOrder => self.connection.end(),
            Ending::Reset => {
                // The side that aborted need not be told.
                self.reported = Ending::Reset;
                let reset = io::Error::new(io::ErrorKind::ConnectionReset, "the other side of the pump was aborted");
                self.connection.lose(reset.into());
            }
        }
    }
}

/// Why pumping was given up.
#[derive(Clone, Copy, Eq, PartialEq)]
#[non_exhaustive]
pub enum IoPumpError {
    /// After this many rounds there was still something to move.
    NeverQuiet {
        /// The number of rounds.
        rounds: usize,
    },
}

impl fmt::Display for IoPumpError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NeverQuiet { rounds } => {
                write!(f, "the two protocols are still talking after {rounds} rounds: use `pump` to go step by step")
            }
        }
    }
}

torsade_reactor::debug_as_display!(IoPumpError);

impl Error for IoPumpError {}
