//! TLS over any transport: a protocol below, a transport above.

use std::cell::RefCell;
use std::fmt;
use std::rc::Rc;

use torsade_protocols::spi::Connection;
use torsade_protocols::{
    Address, ClientFactory, ConnectError, Connector, Factory, Protocol, Reason, TlsConfig, TlsError, Transport,
};
use torsade_reactor::Result;
use torsade_reactor::spi::catch;

use super::wrapped::Wrapped;
use crate::connection::log_end;

/// Wraps what `factory` builds in TLS, whatever it is connected with: memory, a proxy, another TLS.
///
/// The wrapped protocol is given a transport of its own, which encrypts; everything else is as with
/// [`listen_tls`](crate::ReactorTls::listen_tls) and [`connect_tls`](crate::ReactorTls::connect_tls). A client's
/// configuration has to name the server. For TCP these two, or
/// [`start_tls`](torsade_protocols::Transport::start_tls), are better: compression works above them, and less is copied.
///
/// Twisted's `TLSMemoryBIOFactory`.
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
#[doc(alias = "TLSMemoryBIOFactory")]
pub fn tls_wrapping_factory<F>(config: impl Into<TlsConfig>, factory: F) -> TlsWrappingFactory<F> {
    TlsWrappingFactory { config: config.into(), factory, lost: Rc::default() }
}

/// A factory whose protocols speak TLS over any transport, as [`tls_wrapping_factory`] makes it.
pub struct TlsWrappingFactory<F> {
    config: TlsConfig,
    factory: F,
    lost: LastReason,
}

/// Why the last connection was lost, above TLS: the transport below knows less.
type LastReason = Rc<RefCell<Option<Reason>>>;

impl<F: Factory> Factory for TlsWrappingFactory<F> {
    fn build_protocol(&mut self, peer: &Address) -> Option<Box<dyn Protocol>> {
        let protocol = self.factory.build_protocol(peer)?;
        Some(Box::new(TlsProtocol { config: self.config.clone(), protocol, sides: None, lost: Rc::clone(&self.lost) }))
    }

    fn start_factory(&mut self) {
        self.factory.start_factory();
    }

    fn stop_factory(&mut self) {
        self.factory.stop_factory();
    }
}

impl<F: ClientFactory> ClientFactory for TlsWrappingFactory<F> {
    fn started_connecting(&mut self, connector: &Connector) -> Result {
        self.factory.started_connecting(connector)
    }

    fn client_connection_failed(&mut self, connector: &Connector, reason: &ConnectError) -> Result {
        self.factory.client_connection_failed(connector, reason)
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

/// What the transport below has as its protocol.
struct TlsProtocol {
    config: TlsConfig,
    protocol: Box<dyn Protocol>,
    sides: Option<Sides>,
    lost: LastReason,
}

/// The connection that the protocol above has, and its handle.
#[derive(Clone)]
struct Sides {
    wrapped: Rc<Wrapped>,
    above: Transport,
}

impl TlsProtocol {
    fn sides(&mut self, below: &Transport) -> Result<Sides> {
        if let Some(sides) = &self.sides {
            return Ok(sides.clone());
        }
        let layer = super::open(&self.config, None, below.reactor())?;
        let wrapped = Wrapped::new(below.clone(), layer);
        let sides = Sides { above: Transport::new(Rc::<Wrapped>::clone(&wrapped)), wrapped };
        self.sides = Some(sides.clone());
        Ok(sides)
    }

    /// Calls the protocol above, and sends what it wrote. What it failed with ends TLS in order, and then the transport.
    fn call(&mut self, sides: &Sides, call: impl FnOnce(&mut dyn Protocol, &Transport) -> Result) -> Result {
        match catch(|| call(&mut *self.protocol, &sides.above)) {
            Ok(result) => sides.wrapped.settle(result),
            Err(panic) => {
                sides.wrapped.fail_with(Reason::Panicked(panic));
                Ok(())
            }
        }
    }

    /// Gives the protocol above all that is there for it, and tells it what happened meanwhile.
    fn deliver(&mut self, sides: &Sides, wire: &[u8]) -> Result {
        let mut wire = wire;
        loop {
            let (plain, step) = sides.wrapped.read(wire);
            wire = &[];
            if step.completed && !sides.above.is_closing() {
                self.call(sides, |protocol, transport| protocol.handshake_completed(transport))?;
            }
            if !plain.is_empty() && !sides.above.is_closing() {
                self.call(sides, |protocol, transport| protocol.data_received(transport, &plain))?;
            }
            if step.ended {
                return self.end_reading(sides);
            }
            let goes_on = step.more && sides.above.is_reading() && !sides.wrapped.has_unread();
            if !(goes_on && sides.wrapped.may_go_on()) {
                sides.wrapped.flush();
                return Ok(());
            }
        }
    }

    fn end_reading(&mut self, sides: &Sides) -> Result {
        if sides.wrapped.note_read_ended() {
            self.call(sides, |protocol, transport| protocol.read_connection_lost(transport))?;
        }
        Ok(())
    }
}

impl Protocol for TlsProtocol {
    fn connection_made(&mut self, transport: &Transport) -> Result {
        let sides = self.sides(transport)?;
        Wrapped::arm_deadline(&sides.wrapped);
        let result = self.call(&sides, |protocol, transport| protocol.connection_made(transport));
        // After that, in which TLS within this one may have begun: it ends first.
        Wrapped::end_before_stop(&sides.wrapped);
        result
    }

    fn data_received(&mut self, transport: &Transport, data: &[u8]) -> Result {
        let sides = self.sides(transport)?;
        self.deliver(&sides, data)
    }

    fn reading_resumed(&mut self, transport: &Transport) -> Result {
        let sides = self.sides(transport)?;
        self.call(&sides, |protocol, transport| protocol.reading_resumed(transport))?;
        self.deliver(&sides, &[])
    }

    fn read_connection_lost(&mut self, transport: &Transport) -> Result {
        let sides = self.sides(transport)?;
        sides.wrapped.note_wire_ended();
        self.deliver(&sides, &[])
    }

    fn write_connection_lost(&mut self, transport: &Transport) -> Result {
        let sides = self.sides(transport)?;
        self.call(&sides, |protocol, transport| protocol.write_connection_lost(transport))
    }

    fn connection_lost(&mut self, transport: &Transport, reason: &Reason) -> Result {
        // Without sides the configuration was at fault, and the protocol above was never told of a connection.
        let Some(sides) = self.sides.clone() else {
            log_end(transport.id(), &transport.peer(), &Reason::Tls(TlsError::Internal(reason.to_string())), "");
            return Ok(());
        };
        let reason = sides.wrapped.lose(reason);
        self.lost.replace(Some(reason.clone()));
        let result = catch(|| self.protocol.connection_lost(&sides.above, &reason));
        sides.wrapped.cancel_tasks();
        result.unwrap_or_else(|panic| Err(panic.into()))
    }
}
