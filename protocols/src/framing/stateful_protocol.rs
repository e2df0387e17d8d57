//! A protocol as a chain of states, each of which wants a number of bytes.

use std::error::Error;
use std::fmt;

use torsade_reactor::Result;

use crate::framing::callbacks::{call_back, connection_callbacks};
use crate::framing::frame_transport::FrameTransport;
use crate::framing::receiver::{Messages, Receiver, Run, receiver};
use crate::protocol::Callback;

/// How many states in a row may want no bytes before the chain counts as endless.
const MAX_EMPTY: u32 = 1000;

/// The states of a connection, each called when the bytes it wants have arrived. Run by a [`StatefulReceiver`].
///
/// # Examples
/// ```
/// use torsade::prelude::*;
/// use torsade::{ProtocolState, StatefulProtocol, StatefulReceiver, testing::StringTransport};
///
/// /// Echoes messages of a length byte and a payload.
/// struct Echo;
///
/// impl Echo {
///     fn length(&mut self, _: &FrameTransport, data: &[u8]) -> Result<Option<ProtocolState<Self>>> {
///         Ok(data.first().map(|length| ProtocolState::new(Self::string, usize::from(*length))))
///     }
///
///     fn string(&mut self, transport: &FrameTransport, data: &[u8]) -> Result<Option<ProtocolState<Self>>> {
///         transport.write(data);
///         Ok(Some(ProtocolState::new(Self::length, 1)))
///     }
/// }
///
/// impl StatefulProtocol for Echo {
///     fn initial_state(&mut self) -> ProtocolState<Self> {
///         ProtocolState::new(Self::length, 1)
///     }
/// }
///
/// let transport = StringTransport::new();
/// StatefulReceiver::new(Echo).data_received(&transport, b"\x02hi\x05hell")?;
/// assert_eq!(transport.value(), b"hi");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub trait StatefulProtocol: Sized {
    /// The initial state. Asked for once, before the connection is established.
    #[doc(alias = "getInitialState")]
    fn initial_state(&mut self) -> ProtocolState<Self>;

    connection_callbacks!(FrameTransport);
}

/// A state: a method, and the number of bytes to call it with.
pub struct ProtocolState<P> {
    received: fn(&mut P, &FrameTransport, &[u8]) -> Result<Option<Self>>,
    wanted: usize,
}

impl<P> ProtocolState<P> {
    /// Calls `received` with `wanted` bytes. It returns the next state, or `None` to stay in this one.
    ///
    /// A state that wants 0 bytes is called at once, and must lead to one that wants some.
    #[must_use]
    pub const fn new(received: fn(&mut P, &FrameTransport, &[u8]) -> Result<Option<Self>>, wanted: usize) -> Self {
        Self { received, wanted }
    }
}

impl<P> Clone for ProtocolState<P> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<P> Copy for ProtocolState<P> {}

impl<P> fmt::Debug for ProtocolState<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProtocolState").field("wanted", &self.wanted).finish_non_exhaustive()
    }
}

/// A protocol that splits its input as the states of a [`StatefulProtocol`] want it.
///
/// Between two states it checks [`Transport::is_reading`](crate::Transport::is_reading): while the connection is paused, closing
/// or congested it keeps the rest, and continues when reading is resumed.
#[derive(Debug)]
pub struct StatefulReceiver<P>(Receiver<States<P>, FrameTransport>);

/// The states of a protocol cannot be followed. This is the reason with which the connection is closed.
#[derive(Clone, Copy, Eq, PartialEq)]
#[non_exhaustive]
pub enum StatefulError {
    /// A thousand states in a row wanted no bytes. The protocol is at fault.
    Stuck,
    /// A state wants more bytes than allowed. Most often the peer announced too much.
    TooLong {
        /// How many bytes it wants.
        wanted: usize,
        /// The limit, in bytes.
        limit: usize,
    },
}

impl<P: StatefulProtocol> StatefulReceiver<P> {
    /// Runs `protocol`; each of its states may want up to 99,999 bytes.
    #[must_use]
    pub fn new(protocol: P) -> Self {
        Self(Receiver::new(States { protocol, state: None, empty: 0 }))
    }
}

receiver!(StatefulReceiver, P: StatefulProtocol);

/// The bytes that states want, as [`Messages`].
#[derive(Debug)]
struct States<P> {
    protocol: P,
    state: Option<ProtocolState<P>>,
    /// How many states in a row have wanted no bytes.
    empty: u32,
}

impl<P: StatefulProtocol> States<P> {
    /// The current state, which may want up to `limit` bytes.
    fn state(&mut self, limit: usize) -> Result<ProtocolState<P>, StatefulError> {
        let state = *self.state.get_or_insert_with(|| self.protocol.initial_state());
        if state.wanted > limit {
            return Err(StatefulError::TooLong { wanted: state.wanted, limit });
        }
        Ok(state)
    }
}

impl<P: StatefulProtocol> Messages for States<P> {
    type Transport = FrameTransport;

    const MAX_LENGTH: usize = 99_999;

    fn transport(&self, frames: FrameTransport) -> FrameTransport {
        frames
    }

    fn deliver(&mut self, transport: &FrameTransport, run: &Run<'_>) -> Result<Option<usize>> {
        loop {
            let state = self.state(run.inbox.max_length.get())?;
            if run.buffer.len() < state.wanted {
                return Ok(Some(run.buffer.len()));
            }
            self.empty = if state.wanted == 0 { self.empty + 1 } else { 0 };
            if self.empty > MAX_EMPTY {
                return Err(StatefulError::Stuck.into());
            }
            if let Some(next) = (state.received)(&mut self.protocol, transport, run.buffer.take(state.wanted))? {
                self.state = Some(next);
            }
            if !run.goes_on() {
                return Ok(None);
            }
        }
    }

    fn call_back(&mut self, transport: &FrameTransport, callback: Callback<'_>) -> Result {
        if let Callback::ConnectionMade = callback {
            self.state(transport.inbox.max_length.get())?;
        }
        call_back!(self.protocol, transport, callback)
    }
}

impl fmt::Display for StatefulError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stuck => f.write_str("the protocol's states want no bytes and never end: have one want some"),
            Self::TooLong { wanted, limit } => {
                write!(f, "a state wants {wanted} bytes, more than its limit of {limit} (max_length raises it)")
            }
        }
    }
}

torsade_reactor::debug_as_display!(StatefulError);

impl Error for StatefulError {}
