//! Layers for the connections of a custom endpoint, which does not know about layers.

use torsade_protocols::spi::Layers;
use torsade_protocols::{Address, Callback, ClientFactory, Factory, Protocol, Transport};
use torsade_reactor::Result;

/// A factory whose connections begin with layers.
pub(super) struct Layered<F> {
    pub(super) layers: Layers,
    pub(super) factory: F,
}

impl<F: Factory> Factory for Layered<F> {
    fn build_protocol(&mut self, peer: &Address) -> Option<Box<dyn Protocol>> {
        let protocol = self.factory.build_protocol(peer)?;
        Some(Box::new(Beginning { layers: self.layers.clone(), protocol }))
    }

    fn wrapped(&mut self) -> Option<&mut dyn Factory> {
        Some(&mut self.factory)
    }
}

impl<F: ClientFactory> ClientFactory for Layered<F> {
    fn wrapped_client(&mut self) -> Option<&mut dyn ClientFactory> {
        Some(&mut self.factory)
    }
}

/// Switches the layers on before the protocol can write.
struct Beginning {
    layers: Layers,
    protocol: Box<dyn Protocol>,
}

impl Protocol for Beginning {
    fn data_received(&mut self, transport: &Transport, data: &[u8]) -> Result {
        self.protocol.data_received(transport, data)
    }

    fn fallback(&mut self, transport: &Transport, callback: Callback<'_>) -> Result {
        if let Callback::ConnectionMade = callback
            && let Err(reason) = self.layers.switch_on(transport)
        {
            // What `connection_made` writes is then not sent.
            transport.connection().fail_with(reason);
        }
        callback.dispatch(&mut *self.protocol, transport)
    }
}
