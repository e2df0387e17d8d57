//! Connections that come through a proxy, as if they had come directly.

use std::cell::RefCell;
use std::fmt;
use std::rc::Rc;
use std::time::Duration;

use torsade_reactor::{DelayedCall, Result};

use crate::address::Address;
use crate::factory::Factory;
use crate::layers::Layers;
use crate::protocol::{Callback, Protocol};
use crate::proxy_protocol::error::ProxyHeaderError;
use crate::proxy_protocol::header::ProxyHeader;
use crate::reason::{Deadline, Reason};
use crate::tls::TlsConfig;
use crate::transport::Transport;

/// How long a header may take to come: "at least 3 seconds to cover a TCP retransmit", and as long again.
const TIMEOUT: Duration = Duration::from_secs(6);

/// What is done with who connects.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "a header is expected, or not, or nobody is there")]
pub enum ProxyTrust {
    /// It is a proxy, which sends a header before all else.
    Proxy,
    /// It is a client, which sends none. A header of its own would be data.
    Client,
    /// It is refused.
    Refused,
}

/// A factory for connections that a proxy passes on, and says whose they are (HAProxy's `send-proxy` and `send-proxy-v2`).
///
/// The wrapped factory builds its protocol once the header has come, for the address that it names; from then on
/// [`Transport::peer`] and [`host`](Transport::host) are the client's, as is everything in the log, and
/// [`Transport::proxy_header`] has what else the proxy said. TLS and compression come behind the header.
///
/// Whoever can reach the port can claim to be anybody: listen where only proxies can connect, or say with
/// [`trust`](Self::trust) who is one. A header has 6 s to come, and at most 4,096 bytes. One that breaks the specification ends the
/// connection with [`Reason::ProxyHeader`], before any protocol was built.
///
/// Twisted's `haproxy` endpoint; there the protocol is built for the proxy's address, before the header has come.
///
/// # Examples
/// ```
/// use torsade::prelude::*;
/// use torsade::{ProxyProtocolFactory, testing::StringTransport, wire::Echo};
///
/// let mut factory = ProxyProtocolFactory::new(|peer: Address| {
///     assert_eq!(peer.to_string(), "192.0.2.1:49152");
///     Echo
/// });
/// let transport = StringTransport::new();
/// let mut protocol = factory.build_protocol(&transport.peer()).expect("everybody is a proxy");
/// protocol.connection_made(&transport)?;
/// protocol.data_received(&transport, b"PROXY TCP4 192.0.2.1 198.51.100.7 49152 443\r\n")?;
/// assert_eq!(transport.peer(), Address::Tcp("192.0.2.1:49152".parse()?));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[doc(alias = "HAProxyWrappingFactory")]
#[doc(alias = "proxyEndpoint")]
pub struct ProxyProtocolFactory<F> {
    factory: Rc<RefCell<F>>,
    trust: Box<dyn FnMut(&Address) -> ProxyTrust>,
    layers: Layers,
    timeout: Duration,
}

impl<F: Factory + 'static> ProxyProtocolFactory<F> {
    /// Has `factory` build a protocol for each connection that a proxy passes on. Whoever connects counts as a proxy.
    #[must_use]
    pub fn new(factory: F) -> Self {
        let factory = Rc::new(RefCell::new(factory));
        Self { factory, trust: Box::new(|_| ProxyTrust::Proxy), layers: Layers::default(), timeout: TIMEOUT }
    }

    /// The same, where `trust` says of each address that connects what it is.
    #[must_use]
    pub fn trust(mut self, trust: impl FnMut(&Address) -> ProxyTrust + 'static) -> Self {
        self.trust = Box::new(trust);
        self
    }

    /// The same, with TLS from the end of the header on: of the client, which the proxy passes on as it is.
    #[must_use]
    pub fn tls(mut self, config: impl Into<TlsConfig>) -> Self {
        self.layers.tls = Some(config.into());
        self
    }

    /// The same, with these layers from the end of the header on.
    #[doc(hidden)]
    #[must_use]
    pub fn layers(mut self, layers: Layers) -> Self {
        self.layers = layers;
        self
    }

    /// The same with another time in which the header has to come; 6 s unless set.
    #[must_use]
    pub fn header_timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }
}

impl<F: Factory + 'static> Factory for ProxyProtocolFactory<F> {
    fn build_protocol(&mut self, peer: &Address) -> Option<Box<dyn Protocol>> {
        let trust = (self.trust)(peer);
        if trust == ProxyTrust::Refused {
            log::info!("refusing {peer}: it is neither a trusted proxy nor a client");
            return None;
        }
        Some(Box::new(Passed {
            factory: Rc::clone(&self.factory),
            layers: self.layers.clone(),
            timeout: self.timeout,
            phase: if trust == ProxyTrust::Proxy { Phase::Awaiting { held: Vec::new(), deadline: None } } else { Phase::Direct },
        }))
    }

    fn start_factory(&mut self) {
        self.factory.start_factory();
    }

    fn stop_factory(&mut self) {
        self.factory.stop_factory();
    }
}

/// The protocol of a connection, before and behind the header.
struct Passed<F> {
    factory: Rc<RefCell<F>>,
    layers: Layers,
    timeout: Duration,
    phase: Phase,
}

enum Phase {
    /// No header is expected, and the connection is about to be made.
    Direct,
    /// The header has not come whole.
    Awaiting { held: Vec<u8>, deadline: Option<DelayedCall> },
    /// There is nothing more for us to do.
    Wrapping(Box<dyn Protocol>),
    /// It ends without a protocol.
    Ended,
}

impl<F: Factory> Passed<F> {
    /// Reads what has come of the header; behind it, the connection begins.
    fn read_header(&mut self, transport: &Transport, data: &[u8]) -> Result {
        let Phase::Awaiting { held, .. } = &mut self.phase else { return Ok(()) };
        held.extend_from_slice(data);
        match ProxyHeader::parse(held) {
            Ok(None) => Ok(()),
            Ok(Some((header, length))) => {
                let rest = held.split_off(length);
                self.cancel_deadline();
                transport.connection().accept_proxy_header(header, &rest);
                self.begin(transport)
            }
            Err(error) => {
                self.end();
                transport.connection().fail_with(Reason::ProxyHeader(error));
                Ok(())
            }
        }
    }

    /// Builds the protocol, and makes its connection.
    fn begin(&mut self, transport: &Transport) -> Result {
        self.phase = Phase::Ended;
        let Some(mut protocol) = self.factory.borrow_mut().build_protocol(&transport.peer()) else {
            transport.lose_connection();
            return Ok(());
        };
        if let Err(reason) = self.layers.switch_on(transport) {
            transport.connection().fail_with(reason);
            return Ok(());
        }
        let made = protocol.connection_made(transport);
        self.phase = Phase::Wrapping(protocol);
        made
    }

    fn cancel_deadline(&mut self) {
        if let Phase::Awaiting { deadline: Some(deadline), .. } = &self.phase {
            // It may be expiring just now, and finds the connection closing.
            deadline.cancel().ok();
        }
    }

    fn end(&mut self) {
        self.cancel_deadline();
        self.phase = Phase::Ended;
    }
}

impl<F: Factory> Protocol for Passed<F> {
    fn data_received(&mut self, transport: &Transport, data: &[u8]) -> Result {
        match &mut self.phase {
            Phase::Wrapping(protocol) => protocol.data_received(transport, data),
            _ => self.read_header(transport, data),
        }
    }

    fn fallback(&mut self, transport: &Transport, callback: Callback<'_>) -> Result {
        match (&mut self.phase, callback) {
            (Phase::Wrapping(protocol), _) => callback.dispatch(&mut **protocol, transport),
            (Phase::Direct, Callback::ConnectionMade) => self.begin(transport),
            (Phase::Awaiting { deadline, .. }, Callback::ConnectionMade) => {
                let waiting = transport.clone();
                *deadline = Some(transport.reactor().call_later(self.timeout, move || {
                    waiting.connection().fail_with(Reason::TimedOut(Deadline::ProxyHeader));
                }));
                Ok(())
            }
            (Phase::Awaiting { .. }, Callback::ReadConnectionLost) => {
                self.end();
                transport.connection().fail_with(Reason::ProxyHeader(ProxyHeaderError::Absent));
                Ok(())
            }
            (_, Callback::ConnectionLost(_)) => {
                self.end();
                Ok(())
            }
            _ => Ok(()),
        }
    }
}

impl<F: fmt::Debug> fmt::Debug for ProxyProtocolFactory<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProxyProtocolFactory").field("factory", &self.factory).finish_non_exhaustive()
    }
}
