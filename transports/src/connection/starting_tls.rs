//! TLS on an established connection.

use torsade_protocols::spi::{AlreadyReceived, ConnectionTls};
use torsade_protocols::{Reason, StartTlsError, TlsConfig, TlsError, TlsInfo};
use torsade_reactor::spi::Ready;

use super::StreamConnection;

impl ConnectionTls for StreamConnection {
    /// Puts TLS next to the wire. Bytes that came in plaintext after the switch end the connection, unless the caller says that
    /// they are TLS.
    fn start_tls(&self, config: &TlsConfig, rest: &[u8], already: AlreadyReceived) -> Result<(), StartTlsError> {
        let mut state = self.state.borrow_mut();
        if state.check_open().is_err() || state.outgoing.is_ending() || state.incoming.wire_has_ended() {
            return Err(StartTlsError::Closed);
        }
        let chain = state.chain.get_or_insert_default();
        chain.check_tls()?;
        let refused = if already == AlreadyReceived::Refuse { rest.len() } else { 0 };
        let injected = refused + chain.held_input();
        let host = state.rare_if_any().and_then(|rare| rare.host.as_ref());
        let layer = crate::tls::open(config, host, &self.shared.reactor)?;
        let (reactor, token) = (self.shared.reactor.clone(), self.token.get());
        layer.on_cut_off(move || reactor.requeue(token, Ready::NONE));
        if injected > 0 {
            state.lifecycle.doom(Reason::Tls(TlsError::Injected { bytes: injected }));
            self.settle_later(&state);
            return Err(StartTlsError::Injected { bytes: injected });
        }
        state.chain.get_or_insert_default().insert_tls(layer, rest);
        self.settle_later(&state);
        Ok(())
    }

    fn is_handshaking(&self) -> bool {
        self.state.borrow().is_handshaking()
    }

    fn tls_info(&self) -> Option<TlsInfo> {
        self.state.borrow().chain.as_ref()?.tls()?.info()
    }

    fn set_tls_truncation_allowed(&self, allowed: bool) {
        if let Some(layer) = self.state.borrow_mut().chain.as_mut().and_then(|chain| chain.tls_mut()) {
            layer.set_truncation_allowed(allowed);
        }
    }
}
