//! Port forwarding.

use std::cell::RefCell;
use std::fmt;
use std::rc::Rc;

use torsade_reactor::{Reactor, Result};

use crate::address::Address;
use crate::client::connect_error::ConnectError;
use crate::client::connector::Connector;
use crate::compression::Detect;
use crate::factory::{ClientFactory, Factory};
use crate::protocol::Protocol;
use crate::proxy_protocol::header::{ProxyHeader, ProxyVersion};
use crate::reason::Reason;
use crate::transport::Transport;

/// Connects to the target of a forwarded connection.
type ConnectTarget = dyn FnMut(&Reactor, PortForwardClient) -> Result<Connector, ConnectError>;

/// A factory that forwards each connection to a target, to which it connects.
///
/// Nothing is read from the client until the target is connected. If connecting fails, the client's connection is reset, so that
/// the failure is not mistaken for an empty answer. Each side is then the producer of the other, so a slow reader slows down the
/// other side and little is buffered here. A stream end passes through, and so does a reset. Bytes pass unchanged, compressed or
/// not, unless the endpoint of one side is compressed: there they are decompressed.
///
/// # Examples
/// ```no_run
/// use torsade::prelude::*;
///
/// let reactor = Reactor::new()?;
/// reactor.listen("tcp:8001", PortForward::new(|reactor, target| reactor.connect("tcp:127.0.0.1:8000", target)))?;
/// reactor.run()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[doc(alias = "ProxyFactory")]
#[doc(alias = "ProxyServer")]
pub struct PortForward {
    connect: Rc<RefCell<Box<ConnectTarget>>>,
    proxy_header: Option<ProxyVersion>,
}

impl PortForward {
    /// Forwards to what `connect` connects to. `connect` has to pass on the factory it is given.
    #[must_use]
    pub fn new(connect: impl FnMut(&Reactor, PortForwardClient) -> Result<Connector, ConnectError> + 'static) -> Self {
        Self { connect: Rc::new(RefCell::new(Box::new(connect))), proxy_header: None }
    }

    /// Sends a [`ProxyHeader`] to each target first, which says whose connection is forwarded. Only for targets that expect one.
    #[must_use]
    pub const fn proxy_header(mut self, version: ProxyVersion) -> Self {
        self.proxy_header = Some(version);
        self
    }
}

impl Factory for PortForward {
    fn build_protocol(&mut self, _peer: &Address) -> Option<Box<dyn Protocol>> {
        let pair = Rc::new(Pair { proxy_header: self.proxy_header, ..Pair::default() });
        Some(Box::new(Side { pair, end: End::Client, connect: Some(Rc::clone(&self.connect)) }))
    }
}

/// The factory of the connection to a target. Made by a [`PortForward`] for one connection.
#[doc(alias = "ProxyClientFactory")]
pub struct PortForwardClient {
    pair: Rc<Pair>,
}

impl Factory for PortForwardClient {
    fn build_protocol(&mut self, _peer: &Address) -> Option<Box<dyn Protocol>> {
        // The client may already be gone.
        self.pair.of(End::Client)?;
        Some(Box::new(Side { pair: Rc::clone(&self.pair), end: End::Target, connect: None }))
    }
}

impl ClientFactory for PortForwardClient {
    fn client_connection_failed(&mut self, connector: &Connector, reason: &ConnectError) -> Result {
        self.pair.connector.take();
        if let Some(client) = self.pair.of(End::Client) {
            log::warn!("closing connection {}: {} cannot be reached: {reason}", client.id(), connector.destination());
            client.abort_connection();
        }
        Ok(())
    }
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum End {
    Client,
    Target,
}

impl End {
    const fn other(self) -> Self {
        match self {
            Self::Client => Self::Target,
            Self::Target => Self::Client,
        }
    }
}

/// The two connections that are joined.
#[derive(Default)]
struct Pair {
    client: RefCell<Option<Transport>>,
    target: RefCell<Option<Transport>>,
    /// The attempt to reach the target, while it is under way.
    connector: RefCell<Option<Connector>>,
    /// Whether a PROXY header is sent to the target first, and in which version.
    proxy_header: Option<ProxyVersion>,
}

impl Pair {
    fn slot(&self, end: End) -> &RefCell<Option<Transport>> {
        match end {
            End::Client => &self.client,
            End::Target => &self.target,
        }
    }

    fn of(&self, end: End) -> Option<Transport> {
        self.slot(end).borrow().clone()
    }
}

/// The protocol of both connections.
struct Side {
    pair: Rc<Pair>,
    end: End,
    connect: Option<Rc<RefCell<Box<ConnectTarget>>>>,
}

impl Side {
    fn other(&self) -> Option<Transport> {
        self.pair.of(self.end.other())
    }
}

impl Protocol for Side {
    fn connection_made(&mut self, transport: &Transport) -> Result {
        if transport.compression_stats().is_none() {
            transport.set_detection(Detect::Off);
        }
        // What is held is bounded by pausing the other side. Two sides that both write before they read would wait for each
        // other.
        transport.set_read_while_congested(true);
        self.pair.slot(self.end).replace(Some(transport.clone()));
        if let Some(connect) = self.connect.take() {
            // Nothing is read until there is a target to send it to.
            transport.pause_producing();
            let target = PortForwardClient { pair: Rc::clone(&self.pair) };
            let connector = (connect.borrow_mut())(transport.reactor(), target)?;
            self.pair.connector.replace(Some(connector));
            return Ok(());
        }
        self.pair.connector.take();
        let client = self.other().ok_or("the client has gone")?;
        if let Some(version) = self.pair.proxy_header {
            transport.write(ProxyHeader::of(&client).to_bytes(version));
        }
        client.register_producer(transport.clone(), true)?;
        transport.register_producer(client.clone(), true)?;
        client.resume_producing();
        Ok(())
    }

    fn data_received(&mut self, _: &Transport, data: &[u8]) -> Result {
        if let Some(other) = self.other() {
            other.write(data);
        }
        Ok(())
    }

    fn read_connection_lost(&mut self, _: &Transport) -> Result {
        if let Some(other) = self.other() {
            other.lose_write_connection();
        }
        Ok(())
    }

    fn connection_lost(&mut self, _: &Transport, reason: &Reason) -> Result {
        self.pair.slot(self.end).take();
        if let Some(connector) = self.pair.connector.take() {
            connector.disconnect();
        }
        if let Some(other) = self.other() {
            if reason.is_clean() { other.lose_connection() } else { other.abort_connection() }
        }
        Ok(())
    }
}

impl fmt::Debug for PortForward {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PortForward").finish_non_exhaustive()
    }
}

impl fmt::Debug for PortForwardClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PortForwardClient").finish_non_exhaustive()
    }
}
