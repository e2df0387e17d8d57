//! The methods of a transport, called from inside or outside of a callback.

use std::fs::File;
use std::io;
use std::rc::Rc;
use std::time::Duration;

use torsade_protocols::spi::{
    Connection, ConnectionCompression, ConnectionLimits, ConnectionTls, ConnectionUnix, Registration, Work, weight,
};
use torsade_protocols::{
    Address, Compression, CompressionError, CompressionStats, Decompression, Delivery, Detect, Producer, ProducerError,
    ProxyHeader, Reason, SharedBytes, TlsError,
};
use torsade_reactor::spi::TcpOptions;
use torsade_reactor::{Deferred, Descriptor, PeerCredentials, Reactor, TaskGroup};

use super::StreamConnection;
use super::chain::Chain;
use super::state::CloseTimeout;

impl Connection for StreamConnection {
    fn reactor(&self) -> &Reactor {
        &self.shared.reactor
    }

    fn id(&self) -> u64 {
        self.id
    }

    fn peer(&self) -> Address {
        self.proxied(ProxyHeader::source).unwrap_or_else(|| self.peer.clone())
    }

    fn host(&self) -> Address {
        let state = self.state.borrow();
        let Some(stream) = &state.stream else { return Address::Unnamed };
        self.proxied(ProxyHeader::destination).or_else(|| stream.local_address().ok()).unwrap_or(Address::Unnamed)
    }

    fn write(&self, data: &[u8]) {
        let mut state = self.state.borrow_mut();
        self.append(&mut state, &[data]);
        self.settle_written(&state);
    }

    fn write_sequence(&self, pieces: &[&[u8]]) {
        let mut state = self.state.borrow_mut();
        self.append(&mut state, pieces);
        self.settle_written(&state);
    }

    fn write_shared(&self, data: &SharedBytes) {
        let mut state = self.state.borrow_mut();
        self.append_shared(&mut state, data);
        self.settle_written(&state);
    }

    fn send_file(&self, file: &File, limit: u64) -> Option<u64> {
        self.send_from(file, limit)
    }

    fn unsent(&self) -> usize {
        self.state.borrow().unsent()
    }

    fn delivery(&self) -> Delivery {
        self.count_delivered()
    }

    fn lose_connection(&self) {
        let mut state = self.state.borrow_mut();
        state.lifecycle.close(Reason::ConnectionDone);
        self.settle_later(&state);
    }

    fn lose_write_connection(&self) {
        let mut state = self.state.borrow_mut();
        state.outgoing.ask_end();
        self.settle_later(&state);
    }

    fn abort_connection(&self) {
        let mut state = self.state.borrow_mut();
        state.lifecycle.doom(Reason::ConnectionAborted);
        self.settle_later(&state);
    }

    fn fail_with(&self, reason: Reason) {
        self.fail("the protocol", reason);
        self.settle_later(&self.state.borrow());
    }

    fn tasks(&self) -> Option<TaskGroup> {
        let mut state = self.state.borrow_mut();
        (!state.lifecycle.is_lost()).then(|| state.rare().tasks.get_or_insert_default().clone())
    }

    fn is_connected(&self) -> bool {
        !self.state.borrow().lifecycle.is_lost()
    }

    fn is_closing(&self) -> bool {
        self.state.borrow().lifecycle.is_closing()
    }

    fn pause_producing(&self) {
        let mut state = self.state.borrow_mut();
        state.paused = true;
        self.work.reconsider();
        if let Some(stream) = &state.stream {
            stream.pause();
        }
        if state.has_failed_unseen() {
            self.settle_later(&state);
        }
    }

    fn resume_producing(&self) {
        let mut state = self.state.borrow_mut();
        if std::mem::replace(&mut state.paused, false) {
            state.resumed = true;
            if state.wants_input() {
                self.wake(&state);
            } else {
                self.settle_later(&state);
            }
        }
    }

    fn is_reading(&self) -> bool {
        self.state.borrow().is_reading()
    }

    fn work(&self) -> Option<&Work> {
        Some(&self.work)
    }

    // Called for every message: it must take one check of the state.
    fn can_deliver(&self) -> bool {
        let wanted = {
            let state = self.state.borrow();
            state.is_reading() && !state.is_handshaking()
        };
        if wanted && self.work.take(weight::MESSAGE) {
            self.work.record_wanted();
            return true;
        }
        if wanted {
            self.unread(b"");
        }
        false
    }

    fn unread(&self, data: &[u8]) {
        let mut state = self.state.borrow_mut();
        if state.lifecycle.is_lost() {
            return;
        }
        if !data.is_empty() && state.is_handshaking() {
            // They came in plaintext, and nothing in plaintext is delivered after the switch.
            state.lifecycle.doom(Reason::Tls(TlsError::Injected { bytes: data.len() }));
        } else if !data.is_empty() {
            state.bytes_in = state.bytes_in.saturating_sub(data.len() as u64);
            state.chain.get_or_insert_default().unread(data);
        }
        state.resumed = true;
        self.wake(&state);
    }

    fn register_producer(&self, producer: Box<dyn Producer>, streaming: bool) -> Result<(), ProducerError> {
        let refused = {
            let mut state = self.state.borrow_mut();
            let refused = state.register_producer(producer, streaming);
            self.settle_later(&state);
            refused
        };
        // Dropped outside of the borrow: the producer's destructor may use the transport.
        refused.map_err(|(error, producer)| {
            drop(producer);
            error
        })
    }

    fn unregister_producer(&self) {
        let producer = {
            let mut state = self.state.borrow_mut();
            self.settle_later(&state);
            state.take_producer()
        };
        // Outside of the borrow, as above.
        drop(producer);
    }

    fn add_consumer(&self, registration: &Rc<Registration>) {
        let mut state = self.state.borrow_mut();
        state.rare().consumers.add(registration);
        if state.lifecycle.is_lost() {
            drop(state);
            self.leave_consumers();
        } else {
            self.settle_later(&state);
        }
    }

    fn accept_proxy_header(&self, header: ProxyHeader, rest: &[u8]) {
        // If this fails there is one already, which stays.
        self.proxy_header.set(Box::new(header)).ok();
        let mut state = self.state.borrow_mut();
        // The client's stream begins here.
        state.bytes_in = 0;
        state.read_again(rest);
        self.wake(&state);
    }

    fn proxy_header(&self) -> Option<&ProxyHeader> {
        self.proxy_header.get().map(|header| &**header)
    }

    fn limits(&self) -> &dyn ConnectionLimits {
        self
    }

    fn compression(&self) -> Option<&dyn ConnectionCompression> {
        Some(self)
    }

    fn tls(&self) -> Option<&dyn ConnectionTls> {
        #[cfg(feature = "tls")]
        return Some(self);
        #[cfg(not(feature = "tls"))]
        return None;
    }

    fn copy_descriptor(&self) -> io::Result<Descriptor> {
        self.state.borrow().stream()?.copy_descriptor()
    }

    fn tcp(&self) -> Option<&dyn TcpOptions> {
        Some(self)
    }

    fn unix(&self) -> Option<&dyn ConnectionUnix> {
        Some(self)
    }
}

impl ConnectionLimits for StreamConnection {
    fn write_buffer_limits(&self) -> (usize, usize) {
        self.state.borrow().watermarks()
    }

    fn is_congested(&self) -> bool {
        self.state.borrow().is_congested()
    }

    fn when_unsent(&self, at_most: usize) -> Deferred<()> {
        self.when_unsent(at_most)
    }

    fn flush(&self) -> bool {
        self.flush_now()
    }

    fn set_write_buffer_limits(&self, low: usize, high: usize) {
        let mut state = self.state.borrow_mut();
        state.set_watermarks(low, high);
        // Now, so that the next question about room uses the new watermarks.
        state.update_congestion();
        self.settle_later(&state);
    }

    fn set_write_buffer_cap(&self, cap: usize) {
        let mut state = self.state.borrow_mut();
        state.set_cap(cap);
        self.settle_later(&state);
    }

    fn set_read_while_congested(&self, on: bool) {
        let mut state = self.state.borrow_mut();
        state.read_while_congested = on;
        // A framing protocol may hold messages back, which come before any new input.
        state.resumed |= on && state.is_congested();
        self.settle_later(&state);
    }

    fn set_close_timeout(&self, timeout: Duration) {
        self.state.borrow_mut().rare().close_timeout = CloseTimeout { flush: timeout, linger: timeout };
    }
}

impl ConnectionCompression for StreamConnection {
    fn set_compression(&self, compression: &Compression) -> Result<(), CompressionError> {
        let mut state = self.state.borrow_mut();
        state.check_open()?;
        self.with_compression(&mut state, |layer| layer.compress(compression))
    }

    fn expect_compression(&self, decompression: &Decompression, rest: &[u8]) -> Result<(), CompressionError> {
        let mut state = self.state.borrow_mut();
        // Our own stream may have ended: this is about the peer's.
        if !state.lifecycle.is_open() {
            return Err(CompressionError::Closed);
        }
        if !rest.is_empty() && state.is_handshaking() {
            // They came in plaintext, and nothing in plaintext is delivered after the switch.
            state.lifecycle.doom(Reason::Tls(TlsError::Injected { bytes: rest.len() }));
            self.settle_later(&state);
            return Err(CompressionError::Closed);
        }
        self.with_compression(&mut state, |_| {});
        state.chain.get_or_insert_default().expect_compression(decompression, rest)?;
        self.wake(&state);
        Ok(())
    }

    fn set_detection(&self, detect: Detect) {
        let mut state = self.state.borrow_mut();
        if !state.lifecycle.is_lost() {
            self.with_compression(&mut state, |layer| layer.set_detect(detect));
            state.silenced = detect == Detect::Off;
            // Bytes that were held back under the old setting may be due.
            self.wake(&state);
        }
    }

    fn set_decompression_limits(&self, limits: &Decompression) {
        let mut state = self.state.borrow_mut();
        if !state.lifecycle.is_lost() {
            self.with_compression(&mut state, |layer| layer.set_limits(limits));
        }
    }

    fn flush_compression(&self) {
        self.work_compressor(Chain::flush_compression);
    }

    fn compression_barrier(&self) {
        self.work_compressor(Chain::compression_barrier);
    }

    fn set_uncompressed(&self, on: bool) {
        if let Some(chain) = &mut self.state.borrow_mut().chain {
            chain.set_uncompressed(on);
        }
    }

    fn end_compression(&self) {
        self.work_compressor(Chain::end_compression);
    }

    fn take_trailing(&self) -> Vec<u8> {
        let mut state = self.state.borrow_mut();
        match &mut state.chain {
            Some(chain) => chain.take_trailing(),
            None => state.take_last_trailing(),
        }
    }

    fn compression_stats(&self) -> Option<CompressionStats> {
        self.state.borrow().compression_stats()
    }
}

impl TcpOptions for StreamConnection {
    fn nodelay(&self) -> io::Result<bool> {
        self.state.borrow().tcp()?.nodelay()
    }

    fn set_nodelay(&self, on: bool) -> io::Result<()> {
        self.state.borrow().tcp()?.set_nodelay(on)
    }

    fn keepalive(&self) -> io::Result<bool> {
        self.state.borrow().tcp()?.keepalive()
    }

    fn set_keepalive(&self, on: bool) -> io::Result<()> {
        self.state.borrow().tcp()?.set_keepalive(on)
    }
}

impl ConnectionUnix for StreamConnection {
    fn peer_credentials(&self) -> io::Result<PeerCredentials> {
        self.state.borrow().unix()?.peer_credentials()
    }

    fn send_descriptor(&self, descriptor: Descriptor) -> io::Result<()> {
        let state = self.state.borrow();
        let unix = state.unix()?;
        if state.takes_output() { unix.send_descriptor(descriptor) } else { Err(io::ErrorKind::NotConnected.into()) }
    }

    fn set_descriptor_limit(&self, limit: usize) -> io::Result<()> {
        self.state.borrow().unix()?.set_descriptor_limit(limit);
        Ok(())
    }
}
