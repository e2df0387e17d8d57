//! Connections through a proxy, as if they were direct.

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

/// How long a header may take to arrive: "at least 3 seconds to cover a TCP retransmit", doubled.
const TIMEOUT: Duration = Duration::from_secs(6);

/// How a connecting peer is treated.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "a header is expected, or not, or nobody is there")]
pub enum ProxyTrust {
    /// It is a proxy and sends a header first.
    Proxy,
    /// It is a client and sends no header. Bytes that look like one are data.
    Client,
    /// Its connection is refused.
    Refused,
}

/// A factory for connections forwarded by a proxy that says whose they are (HAProxy's `send-proxy` and `send-proxy-v2`).
///
/// The wrapped factory builds its protocol once the header has arrived, for the address in it. From then on [`Transport::peer`],
/// [`host`](Transport::host) and the log show the client's addresses, and [`Transport::proxy_header`] has the rest of what the
/// proxy said. TLS and compression start after the header.
///
/// Anyone who can reach the port can claim to be any client: listen where only proxies can connect, or use [`trust`](Self::trust)
/// to tell proxies from others. A header may take 6 s to arrive and have at most 4,096 bytes. One that violates the specification
/// ends the connection with [`Reason::ProxyHeader`], before any protocol is built.
///
/// This is Twisted's `haproxy` endpoint, which builds the protocol for the proxy's address, before the header has arrived.
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
    /// Wraps `factory`, which builds a protocol for each forwarded connection. Every peer counts as a proxy.
    #[must_use]
    pub fn new(factory: F) -> Self {
        let factory = Rc::new(RefCell::new(factory));
        Self { factory, trust: Box::new(|_| ProxyTrust::Proxy), layers: Layers::default(), timeout: TIMEOUT }
    }

    /// Sets a function that decides by address how a connecting peer is treated.
    #[must_use]
    pub fn trust(mut self, trust: impl FnMut(&Address) -> ProxyTrust + 'static) -> Self {
        self.trust = Box::new(trust);
        self
    }

    /// Starts TLS after the header: with the client, whose TLS the proxy forwards unchanged.
    #[must_use]
    pub fn tls(mut self, config: impl Into<TlsConfig>) -> Self {
        self.layers.tls = Some(config.into());
        self
    }

    /// Starts these layers after the header.
    #[doc(hidden)]
    #[must_use]
    pub fn layers(mut self, layers: Layers) -> Self {
        self.layers = layers;
        self
    }

    /// Sets how long the header may take to arrive; default 6 s.
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

/// The protocol of a connection, before and after the header.
struct Passed<F> {
    factory: Rc<RefCell<F>>,
    layers: Layers,
    timeout: Duration,
    phase: Phase,
}

enum Phase {
    /// No header is expected, and the connection is about to be made.
    Direct,
    /// The header is incomplete.
    Awaiting { held: Vec<u8>, deadline: Option<DelayedCall> },
    /// The header is done; everything goes to the wrapped protocol.
    Wrapping(Box<dyn Protocol>),
    /// The connection ends without a protocol.
    Ended,
}

impl<F: Factory> Passed<F> {
    /// Parses the header as far as it has arrived; after it, the connection begins.
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

    /// Builds the protocol and calls its `connection_made`.
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
            // It may be expiring just now; then it finds the connection closing.
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
