//! The handle of an outgoing connection.

use std::fmt;
use std::rc::Rc;

use torsade_reactor::Reactor;

use crate::address::Destination;
use crate::client::connect_error::ConnectError;

/// What a connector is doing.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "Twisted's three states")]
pub enum ConnectorState {
    /// The connection is established.
    Connected,
    /// An attempt is under way: the name is looked up or the peer has not answered yet.
    Connecting,
    /// There is neither a connection nor an attempt.
    Disconnected,
}

/// What a [`Connector`] is a handle to.
pub trait Connect {
    /// See [`Connector::connect`].
    ///
    /// # Errors
    /// See [`Connector::connect`].
    fn connect(self: Rc<Self>) -> Result<(), ConnectError>;

    /// See [`Connector::stop_connecting`].
    ///
    /// # Errors
    /// See [`Connector::stop_connecting`].
    fn stop_connecting(self: Rc<Self>) -> Result<(), ConnectError>;

    /// See [`Connector::disconnect`].
    fn disconnect(self: Rc<Self>);

    /// See [`Connector::destination`].
    fn destination(&self) -> &Destination;

    /// See [`Connector::state`].
    fn state(&self) -> ConnectorState;

    /// See [`Connector::reactor`].
    fn reactor(&self) -> &Reactor;
}

/// An outgoing connection, from one attempt to the next; a cheap handle.
///
/// A connector can be reused: calling [`connect`](Self::connect) in a hook of the factory connects again.
#[derive(Clone)]
#[doc(alias = "IConnector")]
pub struct Connector(Rc<dyn Connect>);

impl Connector {
    /// Wraps an implementation.
    #[must_use]
    pub fn new(connect: Rc<dyn Connect>) -> Self {
        Self(connect)
    }

    /// Begins an attempt. The factory's `started_connecting` is called in the next turn.
    ///
    /// # Errors
    /// [`ConnectError::AlreadyConnected`], [`ConnectError::ShuttingDown`].
    pub fn connect(&self) -> Result<(), ConnectError> {
        Rc::clone(&self.0).connect()
    }

    /// Ends the attempt under way: the factory's `client_connection_failed` is called with `UserError`.
    ///
    /// # Errors
    /// [`ConnectError::NotConnecting`].
    #[doc(alias = "stopConnecting")]
    pub fn stop_connecting(&self) -> Result<(), ConnectError> {
        Rc::clone(&self.0).stop_connecting()
    }

    /// Ends an attempt as [`stop_connecting`](Self::stop_connecting) does, or a connection as
    /// [`lose_connection`](crate::Transport::lose_connection) does.
    pub fn disconnect(&self) {
        Rc::clone(&self.0).disconnect();
    }

    /// Where it connects to.
    #[doc(alias = "getDestination")]
    #[must_use]
    pub fn destination(&self) -> &Destination {
        self.0.destination()
    }

    /// The current state.
    #[must_use]
    pub fn state(&self) -> ConnectorState {
        self.0.state()
    }

    /// The reactor it belongs to.
    #[doc(alias = "clock")]
    #[must_use]
    pub fn reactor(&self) -> &Reactor {
        self.0.reactor()
    }
}

impl fmt::Debug for Connector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connector").field("destination", self.destination()).field("state", &self.state()).finish()
    }
}
