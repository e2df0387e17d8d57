//! Factories: one builds the protocol of each connection.

use std::cell::RefCell;
use std::rc::Rc;

use torsade_reactor::{Result, report_error};

use crate::address::Address;
use crate::client::connect_error::ConnectError;
use crate::client::connector::Connector;
use crate::protocol::Protocol;
use crate::reason::{Deadline, Reason};
use crate::transport::Transport;

/// Builds a protocol for each connection.
///
/// A closure is a factory: `|_peer| Echo`. It may return an `Option`, with `None` to refuse the peer. A type that implements the
/// trait has the hooks as well. State that all connections share is kept by the factory in an `Rc` and passed to each protocol.
///
/// # Examples
/// ```no_run
/// use std::{cell::Cell, rc::Rc};
/// use torsade::prelude::*;
///
/// struct Visitor {
///     count: Rc<Cell<u64>>,
/// }
///
/// impl Protocol for Visitor {
///     fn connection_made(&mut self, transport: &Transport) -> Result {
///         self.count.set(self.count.get() + 1);
///         transport.write(format!("you are visitor {}\r\n", self.count.get()));
///         transport.lose_connection();
///         Ok(())
///     }
///
///     fn data_received(&mut self, _: &Transport, _: &[u8]) -> Result {
///         Ok(())
///     }
/// }
///
/// let reactor = Reactor::new()?;
/// let count = Rc::new(Cell::new(0));
/// reactor.listen_tcp("127.0.0.1:8000", move |_peer| Visitor { count: Rc::clone(&count) })?;
/// reactor.run()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[doc(alias = "IProtocolFactory")]
#[doc(alias = "ServerFactory")]
#[doc(alias = "forProtocol")]
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a factory",
    label = "does not build protocols",
    note = "give a closure that takes the peer's address and returns a protocol, such as `|_peer| Echo`, or a type that implements `Factory`"
)]
pub trait Factory {
    /// Builds the protocol of the connection with `peer`. `None`, or a panic, closes the connection at once.
    #[doc(alias = "buildProtocol")]
    fn build_protocol(&mut self, peer: &Address) -> Option<Box<dyn Protocol>>;

    /// Called when the first port or connector begins to use this factory.
    #[doc(alias = "startFactory")]
    #[doc(alias = "doStart")]
    fn start_factory(&mut self) {
        if let Some(wrapped) = self.wrapped() {
            wrapped.start_factory();
        }
    }

    /// Called when the last port or connector has ended.
    #[doc(alias = "stopFactory")]
    #[doc(alias = "doStop")]
    fn stop_factory(&mut self) {
        if let Some(wrapped) = self.wrapped() {
            wrapped.stop_factory();
        }
    }

    /// The factory that this one wraps; it gets the hooks not overridden here. Default `None`.
    fn wrapped(&mut self) -> Option<&mut dyn Factory> {
        None
    }
}

/// A factory for outgoing connections. A closure is one too.
///
/// All hooks come from the loop. An error or panic in a hook is logged. To reconnect automatically, wrap the factory in a
/// [`ReconnectingClientFactory`](crate::ReconnectingClientFactory).
///
/// # Examples
/// ```no_run
/// use torsade::{prelude::*, wire::Discard};
///
/// struct Once;
///
/// impl Factory for Once {
///     fn build_protocol(&mut self, _peer: &Address) -> Option<Box<dyn Protocol>> {
///         Some(Box::new(Discard))
///     }
/// }
///
/// impl ClientFactory for Once {
///     fn client_connection_failed(&mut self, connector: &Connector, reason: &ConnectError) -> Result {
///         println!("no connection: {reason}");
///         connector.reactor().stop()?;
///         Ok(())
///     }
///
///     fn client_connection_lost(&mut self, connector: &Connector, reason: &Reason) -> Result {
///         println!("lost: {reason}");
///         connector.reactor().stop()?;
///         Ok(())
///     }
/// }
///
/// let reactor = Reactor::new()?;
/// reactor.connect_tcp("127.0.0.1:8000", Once)?;
/// reactor.run()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a factory for clients",
    label = "does not implement `ClientFactory`",
    note = "give a closure that takes the peer's address and returns a protocol, such as `|_peer| Echo`",
    note = "a type that implements `Factory` needs `ClientFactory` too, whose methods all have defaults: `impl ClientFactory for ... {{}}`"
)]
pub trait ClientFactory: Factory {
    /// An attempt to connect begins. Called before anything else of this attempt, but after `connect` has returned.
    ///
    /// # Errors
    /// Any error is logged.
    #[doc(alias = "startedConnecting")]
    fn started_connecting(&mut self, connector: &Connector) -> Result {
        self.wrapped_client().map_or(Ok(()), |wrapped| wrapped.started_connecting(connector))
    }

    /// The connection can be used: called after its protocol's `connection_made`, and after its `handshake_completed` if it
    /// begins with TLS. Not called if the connection is lost before that.
    ///
    /// This is for state that several connections share, such as a service; a protocol has its own callbacks.
    ///
    /// # Errors
    /// Any error is logged.
    fn client_connection_made(&mut self, connector: &Connector, transport: &Transport) -> Result {
        self.wrapped_client().map_or(Ok(()), |wrapped| wrapped.client_connection_made(connector, transport))
    }

    /// The attempt failed. Calling [`Connector::connect`] in here tries again.
    ///
    /// The default, and so a closure, [reports](torsade_reactor::report_error) it as an error, unless the program itself ended
    /// the attempt.
    ///
    /// # Errors
    /// Any error is logged.
    #[doc(alias = "clientConnectionFailed")]
    fn client_connection_failed(&mut self, connector: &Connector, reason: &ConnectError) -> Result {
        if let Some(wrapped) = self.wrapped_client() {
            return wrapped.client_connection_failed(connector, reason);
        }
        if !matches!(reason, ConnectError::ShuttingDown | ConnectError::UserError) {
            report_error("connect", format_args!("cannot connect to {}: {reason}", connector.destination()));
        }
        Ok(())
    }

    /// The connection was lost. Called after its protocol's `connection_lost`. Calling [`Connector::connect`] in here reconnects.
    ///
    /// The default, and so a closure, [reports](torsade_reactor::report_error) a TLS failure as an error.
    ///
    /// # Errors
    /// Any error is logged.
    #[doc(alias = "clientConnectionLost")]
    fn client_connection_lost(&mut self, connector: &Connector, reason: &Reason) -> Result {
        if let Some(wrapped) = self.wrapped_client() {
            return wrapped.client_connection_lost(connector, reason);
        }
        // Reported like a failed attempt: the connection was never usable.
        if matches!(reason, Reason::Tls(_) | Reason::TimedOut(Deadline::Handshake)) {
            report_error("connect", format_args!("lost the connection to {}: {reason}", connector.destination()));
        }
        Ok(())
    }

    /// The client factory that this one wraps: see [`Factory::wrapped`].
    fn wrapped_client(&mut self) -> Option<&mut dyn ClientFactory> {
        None
    }
}

/// What a factory closure may return: a protocol or an `Option` of one.
#[diagnostic::on_unimplemented(
    message = "a factory cannot return `{Self}`",
    label = "neither a protocol nor an `Option` of one",
    note = "return a protocol, or `Some(protocol)`, or `None` to refuse the peer"
)]
pub trait IntoProtocol {
    /// The protocol, or `None` to refuse the peer.
    fn into_protocol(self) -> Option<Box<dyn Protocol>>;
}

impl<P: Protocol + 'static> IntoProtocol for P {
    fn into_protocol(self) -> Option<Box<dyn Protocol>> {
        Some(Box::new(self))
    }
}

impl<P: Protocol + 'static> IntoProtocol for Option<P> {
    fn into_protocol(self) -> Option<Box<dyn Protocol>> {
        self.map(|protocol| Box::new(protocol) as Box<dyn Protocol>)
    }
}

impl<F, P> Factory for F
where
    F: FnMut(Address) -> P,
    P: IntoProtocol,
{
    fn build_protocol(&mut self, peer: &Address) -> Option<Box<dyn Protocol>> {
        self(peer.clone()).into_protocol()
    }
}

impl<F, P> ClientFactory for F
where
    F: FnMut(Address) -> P,
    P: IntoProtocol,
{
}

/// For custom endpoints, which are given a boxed factory.
impl Factory for Box<dyn Factory> {
    fn build_protocol(&mut self, peer: &Address) -> Option<Box<dyn Protocol>> {
        (**self).build_protocol(peer)
    }

    fn wrapped(&mut self) -> Option<&mut dyn Factory> {
        Some(&mut **self)
    }
}

impl Factory for Box<dyn ClientFactory> {
    fn build_protocol(&mut self, peer: &Address) -> Option<Box<dyn Protocol>> {
        (**self).build_protocol(peer)
    }

    fn wrapped(&mut self) -> Option<&mut dyn Factory> {
        Some(&mut **self)
    }
}

impl ClientFactory for Box<dyn ClientFactory> {
    fn wrapped_client(&mut self) -> Option<&mut dyn ClientFactory> {
        Some(&mut **self)
    }
}

/// A shared factory. If it serves several ports, its hooks are called once for each.
impl<F: Factory + ?Sized> Factory for Rc<RefCell<F>> {
    fn build_protocol(&mut self, peer: &Address) -> Option<Box<dyn Protocol>> {
        self.borrow_mut().build_protocol(peer)
    }

    fn start_factory(&mut self) {
        self.borrow_mut().start_factory();
    }

    fn stop_factory(&mut self) {
        self.borrow_mut().stop_factory();
    }
}

impl<F: ClientFactory + ?Sized> ClientFactory for Rc<RefCell<F>> {
    fn started_connecting(&mut self, connector: &Connector) -> Result {
        self.borrow_mut().started_connecting(connector)
    }

    fn client_connection_made(&mut self, connector: &Connector, transport: &Transport) -> Result {
        self.borrow_mut().client_connection_made(connector, transport)
    }

    fn client_connection_failed(&mut self, connector: &Connector, reason: &ConnectError) -> Result {
        self.borrow_mut().client_connection_failed(connector, reason)
    }

    fn client_connection_lost(&mut self, connector: &Connector, reason: &Reason) -> Result {
        self.borrow_mut().client_connection_lost(connector, reason)
    }
}
