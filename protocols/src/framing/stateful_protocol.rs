//! A protocol as a chain of states, each of which wants so many bytes.

use std::error::Error;
use std::fmt;
use std::rc::Rc;
use std::time::Duration;

use torsade_reactor::Result;

use crate::framing::frame_receiver::{FrameTransport, Frames};
use crate::protocol::Protocol;
use crate::reason::Reason;
use crate::transport::Transport;

/// How many bytes a state may want unless that is set.
const MAX_LENGTH: usize = 99_999;

/// How many states in a row may want no bytes before the chain counts as endless.
const MAX_EMPTY: u32 = 1000;

/// The states of a connection: what to call when so many bytes have come; run by a [`StatefulReceiver`].
///
/// # Examples
/// ```
/// use torsade::prelude::*;
/// use torsade::{State, StatefulProtocol, StatefulReceiver, testing::StringTransport};
///
/// /// A length in one byte, then so many bytes, which are sent back.
/// struct Echo;
///
/// impl Echo {
///     fn length(&mut self, _: &FrameTransport, data: &[u8]) -> Result<Option<State<Self>>> {
///         Ok(data.first().map(|length| State::new(Self::string, usize::from(*length))))
///     }
///
///     fn string(&mut self, transport: &FrameTransport, data: &[u8]) -> Result<Option<State<Self>>> {
///         transport.write(data);
///         Ok(Some(State::new(Self::length, 1)))
///     }
/// }
///
/// impl StatefulProtocol for Echo {
///     fn initial_state(&mut self) -> State<Self> {
///         State::new(Self::length, 1)
///     }
/// }
///
/// let transport = StringTransport::new();
/// StatefulReceiver::new(Echo).data_received(&transport, b"\x02hi\x05hell")?;
/// assert_eq!(transport.value(), b"hi");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub trait StatefulProtocol: Sized {
    /// The state to begin with. Asked for once, before the connection is established.
    #[doc(alias = "getInitialState")]
    fn initial_state(&mut self) -> State<Self>;

    /// The connection is established; see [`Protocol::connection_made`].
    ///
    /// # Errors
    /// Any error closes the connection, with that reason.
    fn connection_made(&mut self, transport: &FrameTransport) -> Result {
        let _ = transport;
        Ok(())
    }

    /// The TLS handshake is complete; see [`Protocol::handshake_completed`].
    ///
    /// # Errors
    /// Any error closes the connection, with that reason.
    fn handshake_completed(&mut self, transport: &FrameTransport) -> Result {
        let _ = transport;
        Ok(())
    }

    /// The peer has ended its stream; see [`Protocol::read_connection_lost`].
    ///
    /// # Errors
    /// Any error closes the connection, with that reason.
    fn read_connection_lost(&mut self, transport: &FrameTransport) -> Result {
        transport.lose_connection();
        Ok(())
    }

    /// Our stream has ended; see [`Protocol::write_connection_lost`].
    ///
    /// # Errors
    /// Any error closes the connection, with that reason.
    fn write_connection_lost(&mut self, transport: &FrameTransport) -> Result {
        let _ = transport;
        Ok(())
    }

    /// The connection has ended; see [`Protocol::connection_lost`].
    ///
    /// # Errors
    /// Any error is logged.
    fn connection_lost(&mut self, transport: &FrameTransport, reason: &Reason) -> Result {
        let _ = (transport, reason);
        Ok(())
    }
}

/// What is called with the bytes of a state; gives the next state, or none to stay in this one.
pub type StateReceived<P> = fn(&mut P, &FrameTransport, &[u8]) -> Result<Option<State<P>>>;

/// What to call once so many bytes have come.
pub struct State<P> {
    received: StateReceived<P>,
    wanted: usize,
}

impl<P> State<P> {
    /// Calls `received` with `wanted` bytes.
    ///
    /// A state that wants 0 is called at once, and must lead to one that wants some.
    #[must_use]
    pub const fn new(received: StateReceived<P>, wanted: usize) -> Self {
        Self { received, wanted }
    }
}

impl<P> Clone for State<P> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<P> Copy for State<P> {}

impl<P> fmt::Debug for State<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("State").field("wanted", &self.wanted).finish_non_exhaustive()
    }
}

/// A protocol that cuts its input as the states of a [`StatefulProtocol`] want it.
///
/// Between two states it looks at [`Transport::is_reading`]: paused, closing or congested, it keeps the rest, and goes on
/// when reading is resumed.
pub struct StatefulReceiver<P> {
    protocol: P,
    state: Option<State<P>>,
    frames: Rc<Frames>,
    transport: Option<FrameTransport>,
}

/// The states of a protocol cannot be followed. The connection is closed with this as its reason.
#[derive(Clone, Copy, Eq, PartialEq)]
#[non_exhaustive]
pub enum StateError {
    /// A thousand states in a row wanted no bytes. A fault of the protocol.
    Stuck,
    /// A state wants more bytes than allowed. Most often the peer announced too much.
    TooLong {
        /// How many it wants.
        wanted: usize,
        /// How many it may want.
        limit: usize,
    },
}

impl<P: StatefulProtocol> StatefulReceiver<P> {
    /// Runs `protocol`, whose states may want 99,999 bytes each.
    #[must_use]
    pub fn new(protocol: P) -> Self {
        Self { protocol, state: None, frames: Frames::new(MAX_LENGTH), transport: None }
    }

    /// The same with another limit, in bytes a state.
    #[must_use]
    pub fn max_length(self, max_length: usize) -> Self {
        self.frames.max_length.set(max_length);
        self
    }

    /// The same with another time in which the bytes of a state have to come once the first of them has; with none there is
    /// no limit. See [`FrameReceiver::message_timeout`](crate::FrameReceiver::message_timeout).
    #[must_use]
    pub fn message_timeout(self, timeout: Option<Duration>) -> Self {
        self.frames.deadline.set_timeout(timeout);
        self
    }

    fn state(&mut self) -> Result<State<P>, StateError> {
        let state = *self.state.get_or_insert_with(|| self.protocol.initial_state());
        let limit = self.frames.max_length.get();
        if state.wanted > limit {
            return Err(StateError::TooLong { wanted: state.wanted, limit });
        }
        Ok(state)
    }

    /// Calls the protocol, with its transport.
    fn call<T>(&mut self, transport: &Transport, call: impl FnOnce(&mut P, &FrameTransport) -> T) -> T {
        let frames = &self.frames;
        let transport =
            self.transport.get_or_insert_with(|| FrameTransport { transport: transport.clone(), frames: Rc::clone(frames) });
        call(&mut self.protocol, transport)
    }

    /// Gives each state its bytes, and says how many are here for one that wants more.
    fn deliver(&mut self, transport: &Transport) -> Result<usize> {
        let frames = Rc::clone(&self.frames);
        let mut empty = 0;
        let mut state = self.state()?;
        loop {
            frames.take_extra();
            let buffer = frames.buffer.borrow();
            if !transport.connection().can_deliver() {
                if transport.is_handshaking() {
                    transport.refuse_plaintext(buffer.take(usize::MAX));
                }
                return Ok(0);
            }
            if buffer.len() < state.wanted {
                return Ok(buffer.len());
            }
            empty = if state.wanted == 0 { empty + 1 } else { 0 };
            if empty > MAX_EMPTY {
                return Err(StateError::Stuck.into());
            }
            let data = buffer.take(state.wanted);
            frames.deadline.begin_anew();
            if let Some(next) = self.call(transport, |protocol, transport| (state.received)(protocol, transport, data))? {
                self.state = Some(next);
                state = self.state()?;
            }
        }
    }
}

impl<P: StatefulProtocol> Protocol for StatefulReceiver<P> {
    fn connection_made(&mut self, transport: &Transport) -> Result {
        self.state()?;
        self.call(transport, StatefulProtocol::connection_made)
    }

    fn handshake_completed(&mut self, transport: &Transport) -> Result {
        if transport.refuse_plaintext(&self.frames.take_rest()) {
            return Ok(());
        }
        self.call(transport, StatefulProtocol::handshake_completed)
    }

    fn data_received(&mut self, transport: &Transport, data: &[u8]) -> Result {
        self.frames.buffer.borrow_mut().feed(data);
        let delivered = self.deliver(transport);
        self.frames.deadline.wait_for_rest(transport, *delivered.as_ref().unwrap_or(&0));
        self.frames.buffer.borrow_mut().drop_taken();
        delivered.map(drop)
    }

    fn reading_resumed(&mut self, transport: &Transport) -> Result {
        self.frames.deadline.begin_anew();
        self.data_received(transport, b"")
    }

    fn read_connection_lost(&mut self, transport: &Transport) -> Result {
        self.frames.deadline.forget();
        self.call(transport, StatefulProtocol::read_connection_lost)
    }

    fn write_connection_lost(&mut self, transport: &Transport) -> Result {
        self.call(transport, StatefulProtocol::write_connection_lost)
    }

    fn connection_lost(&mut self, transport: &Transport, reason: &Reason) -> Result {
        self.frames.deadline.forget();
        self.call(transport, |protocol, transport| protocol.connection_lost(transport, reason))
    }
}

impl<P: fmt::Debug> fmt::Debug for StatefulReceiver<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StatefulReceiver").field("protocol", &self.protocol).field("state", &self.state).finish_non_exhaustive()
    }
}

impl fmt::Display for StateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stuck => f.write_str("the states of a protocol want no bytes and never end: let one want some"),
            Self::TooLong { wanted, limit } => {
                write!(f, "a state wants {wanted} bytes, more than its limit of {limit} (max_length raises it)")
            }
        }
    }
}

torsade_reactor::debug_as_display!(StateError);

impl Error for StateError {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::StringTransport;

    struct Greedy(usize);

    impl Greedy {
        fn stay(&mut self, _: &FrameTransport, _: &[u8]) -> Result<Option<State<Self>>> {
            Ok(None)
        }
    }

    impl StatefulProtocol for Greedy {
        fn initial_state(&mut self) -> State<Self> {
            State::new(Self::stay, self.0)
        }
    }

    fn error_of(wanted: usize) -> Option<StateError> {
        let result = StatefulReceiver::new(Greedy(wanted)).data_received(&StringTransport::new(), b"x");
        result.err().and_then(|error| error.downcast_ref().copied())
    }

    #[test]
    fn states_that_never_end_are_an_error() {
        assert_eq!(error_of(0), Some(StateError::Stuck));
        assert_eq!(error_of(1), None);
    }

    #[test]
    fn a_state_that_wants_more_than_the_limit_is_an_error_before_the_bytes_come() {
        assert_eq!(error_of(99_999), None);
        assert_eq!(error_of(100_000), Some(StateError::TooLong { wanted: 100_000, limit: 99_999 }));
    }
}
