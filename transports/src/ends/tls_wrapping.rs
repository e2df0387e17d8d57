//! TLS over any transport, as a factory around another factory.

use std::cell::RefCell;
use std::fmt;
use std::rc::Rc;

use torsade_protocols::{Address, ClientFactory, Connector, Factory, Protocol, Reason, TlsConfig};
use torsade_reactor::Result;

use super::over_transport::OverTransport;

/// Wraps the protocols of `factory` in TLS, over any transport: memory, a proxy, another TLS.
///
/// The wrapped protocol has its own connection, with its own number, limits and tasks, whose bytes go through the
/// transport below instead of a socket; otherwise it is like [`listen_tls`](crate::ReactorTls::listen_tls) and
/// [`connect_tls`](crate::ReactorTls::connect_tls). A client's configuration has to name the server. For TCP use these two, or
/// [`start_tls`](torsade_protocols::Transport::start_tls), which take one connection instead of two.
///
/// `client_connection_lost` gets the reason of the wrapped protocol's connection. This is Twisted's `TLSMemoryBIOFactory`.
///
/// # Examples
/// ```no_run
/// use torsade::{Factory, TlsServerConfig, testing::StringTransport, tls_wrapping_factory, wire::Echo};
///
/// let config = TlsServerConfig::from_pem_files("chain.pem", "key.pem")?;
/// let mut factory = tls_wrapping_factory(&config, |_peer| Echo);
/// let transport = StringTransport::new();
/// let mut protocol = factory.build_protocol(&transport.peer()).expect("Echo refuses nobody");
/// protocol.connection_made(&transport)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[doc(alias = "TLSMemoryBIOProtocol")]
#[doc(alias = "BufferingTLSTransport")]
#[doc(alias = "TLSMemoryBIOFactory")]
pub fn tls_wrapping_factory<F>(config: impl Into<TlsConfig>, factory: F) -> TlsWrappingFactory<F> {
    TlsWrappingFactory { config: config.into(), factory, lost: Rc::default() }
}

/// A factory whose protocols speak TLS over any transport; made by [`tls_wrapping_factory`].
pub struct TlsWrappingFactory<F> {
    config: TlsConfig,
    factory: F,
    lost: LastReason,
}

/// Why the last connection above TLS was lost; the transport below knows only part of it.
type LastReason = Rc<RefCell<Option<Reason>>>;

impl<F: Factory> Factory for TlsWrappingFactory<F> {
    fn build_protocol(&mut self, peer: &Address) -> Option<Box<dyn Protocol>> {
        let protocol = self.factory.build_protocol(peer)?;
        self.lost.take();
        let lost = Rc::clone(&self.lost);
        let on_lost = Box::new(move |reason: &Reason| drop(lost.replace(Some(reason.clone()))));
        Some(Box::new(OverTransport::new(protocol, self.config.clone(), on_lost)))
    }

    fn wrapped(&mut self) -> Option<&mut dyn Factory> {
        Some(&mut self.factory)
    }
}

impl<F: ClientFactory> ClientFactory for TlsWrappingFactory<F> {
    fn wrapped_client(&mut self) -> Option<&mut dyn ClientFactory> {
        Some(&mut self.factory)
    }

    fn client_connection_lost(&mut self, connector: &Connector, reason: &Reason) -> Result {
        let above = self.lost.take();
        self.factory.client_connection_lost(connector, above.as_ref().unwrap_or(reason))
    }
}

impl<F> fmt::Debug for TlsWrappingFactory<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsWrappingFactory").finish_non_exhaustive()
    }
}
