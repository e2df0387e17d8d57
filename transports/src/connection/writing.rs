//! From the protocol to the socket.

use std::io;
use std::rc::Rc;
use std::time::Duration;

use torsade_protocols::{Detect, Reason, SharedBytes};

use crate::compression::CompressionLayer;
use crate::connection::chain::Chain;

use super::StreamConnection;
use super::state::State;

impl StreamConnection {
    /// Queues all `pieces`, through the layers that are on.
    #[inline(always)]
    pub(super) fn append(&self, state: &mut State, pieces: &[&[u8]]) {
        if state.chain.is_some() || !state.takes_output() {
            return self.append_to_layers(state, pieces);
        }
        let unsent = state.output.own(&self.shared.buffers);
        let buffer = unsent.buffer();
        let before = buffer.len();
        for piece in pieces {
            match **piece {
                [byte] => buffer.push(byte),
                [one, two] => buffer.extend_from_slice(&[one, two]),
                _ => buffer.extend_from_slice(piece),
            }
        }
        state.bytes_out += (buffer.len() - before) as u64;
        if unsent.len() >= state.noted_from as usize {
            state.handle_overfull();
            self.work.reconsider();
        }
    }

    /// The same with layers, or if writes are no longer accepted. Out of line, so that plain bytes do not pay for it.
    #[inline(never)]
    fn append_to_layers(&self, state: &mut State, pieces: &[&[u8]]) {
        let length = pieces.iter().map(|piece| piece.len() as u64).sum::<u64>();
        if state.takes_output() {
            state.bytes_out += length;
            self.write_through(state, |chain, wire, now| chain.write(pieces, wire, now));
            state.check_unsent();
            self.work.reconsider();
        } else {
            log::debug!("connection {}: {length} bytes written after its end are dropped", self.id);
        }
    }

    /// Queues bytes without a copy, unless a layer transforms them.
    pub(super) fn append_shared(&self, state: &mut State, bytes: &SharedBytes) {
        if state.chain.is_some() || !state.takes_output() {
            return self.append_shared_to_layers(state, bytes);
        }
        let length = bytes.len();
        if length == 0 {
            return;
        }
        state.bytes_out += length as u64;
        if state.output.share(bytes, length, &self.shared.buffers) >= state.noted_from as usize {
            state.handle_overfull();
            self.work.reconsider();
        }
    }

    /// The same with layers, or if writes are no longer accepted.
    #[inline(never)]
    fn append_shared_to_layers(&self, state: &mut State, bytes: &SharedBytes) {
        if !bytes.keeps_forms() || !state.takes_output() {
            return self.append_to_layers(state, &[bytes]);
        }
        state.bytes_out += bytes.len() as u64;
        let mut form = None;
        self.write_through(state, |chain, wire, now| {
            form = chain.write_shared(bytes, wire, now)?;
            Ok(())
        });
        if let Some(form) = form {
            state.output.share(&form, form.len(), &self.shared.buffers);
        }
        state.check_unsent();
        self.work.reconsider();
    }

    /// Lets the compressor append something, in order with the writes.
    pub(super) fn work_compressor(&self, step: impl FnOnce(&mut Chain, &mut Vec<u8>, Duration) -> Result<(), Reason>) {
        let mut state = self.state.borrow_mut();
        // After an abort nothing is sent. After a failed write the streams go on, since it was not reported yet.
        if state.lifecycle.is_doomed() {
            return;
        }
        self.write_through(&mut state, step);
        state.check_unsent();
        self.settle_later(&state);
    }

    /// Lets the layers append to the output. Their failure ends the connection.
    pub(super) fn write_through(
        &self,
        state: &mut State,
        step: impl FnOnce(&mut Chain, &mut Vec<u8>, Duration) -> Result<(), Reason>,
    ) {
        let Some(chain) = &mut state.chain else { return };
        let result = step(chain, state.output.buffer(&self.shared.buffers), self.shared.reactor.now());
        if state.output.is_empty() {
            // There is no output yet, so no buffer is needed.
            state.output.clear(&self.shared.buffers);
        }
        if let Err(reason) = result {
            state.lifecycle.doom(reason);
        }
    }

    /// Flushes the layers, and writes the output to the socket, once.
    pub(super) fn flush(&self, state: &mut State) {
        if state.lifecycle.is_lost() || state.lifecycle.is_doomed() {
            return;
        }
        // Even if everything is finished: the end itself may have waited for a handshake.
        if state.chain.as_ref().is_some_and(|chain| chain.needs_flush()) {
            self.write_through(state, Chain::flush);
        }
        self.write_out(state);
    }

    /// Writes the output to the socket, once.
    #[inline(always)]
    pub(super) fn write_out(&self, state: &mut State) {
        if state.writable {
            self.write_socket(state);
        }
        if state.is_congested() || state.is_overfull() {
            state.update_congestion();
            if !state.outgoing.has_finished() {
                // The layers may have added to the output. Once they have finished, only their end comes.
                state.check_unsent();
            }
        }
    }

    #[inline]
    fn write_socket(&self, state: &mut State) {
        let Some(stream) = &state.stream else { return };
        let Some(bytes) = state.output.whole() else { return self.write_pieces(state) };
        if bytes.is_empty() {
            return;
        }
        let length = bytes.len();
        match stream.write(bytes) {
            Ok(count) if count == length => {
                self.in_flight.set(true);
                state.bytes_sent += count as u64;
                state.output.clear(&self.shared.buffers);
            }
            written => self.handle_written(state, length, written),
        }
    }

    /// Writes output in several pieces, with as many calls as necessary.
    #[cold]
    fn write_pieces(&self, state: &mut State) {
        let Some(stream) = &state.stream else { return };
        let (length, written) = state.output.write_pieces(&**stream);
        let all = length > 0 && written.as_ref().is_ok_and(|count| *count == length);
        self.handle_written(state, length, written);
        if all && !state.output.is_empty() {
            self.write_socket(state);
        }
    }

    /// Handles the result of writing `length` bytes.
    #[inline(never)]
    fn handle_written(&self, state: &mut State, length: usize, written: io::Result<usize>) {
        match written {
            Ok(count) => {
                let ends_edge = state.stream.as_ref().is_some_and(|stream| stream.short_io_ends_edge());
                // There is no more room, and an edge will report it; on other sockets writing goes on until `WouldBlock`.
                if count < length && ends_edge {
                    state.writable = false;
                } else if count < length {
                    self.wake(state);
                }
                self.in_flight.set(true);
                state.bytes_sent += count as u64;
                state.output.consume(count, &self.shared.buffers);
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => state.writable = false,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => self.wake(state),
            Err(error) => self.fail_writing(state, error),
        }
    }

    /// Handles a failed write. The peer's earlier input may still be on its way to the protocol, so reading goes on
    /// until it finds the end, unless nobody wants the data.
    pub(super) fn fail_writing(&self, state: &mut State, error: io::Error) {
        state.output.clear(&self.shared.buffers);
        state.record_refusal(error);
        state.readable = true;
        state.handle_failure();
    }

    /// Does something with the compression layer, made if there is none.
    pub(super) fn with_compression<T>(&self, state: &mut State, act: impl FnOnce(&mut CompressionLayer) -> T) -> T {
        let chain = state.chain.get_or_insert_default();
        // Bytes that wait to be delivered again are above all layers, and do not pass through this one.
        let (passed_in, passed_out) = (state.bytes_in + chain.unread_len() as u64, state.bytes_out);
        let make = || CompressionLayer::new(&self.shared.encoders, Detect::Off, passed_in, passed_out).owned_by(self.token.get());
        chain.with_compression(make, act)
    }

    /// Keeps the timer of the layers up to date.
    pub(super) fn arm_layer_timer(self: &Rc<Self>) {
        let mut state = self.state.borrow_mut();
        let lost = state.lifecycle.is_lost();
        let Some(chain) = state.chain.as_mut().filter(|_| !lost) else { return };
        let Some(deadline) = chain.deadline() else { return };
        if chain.timer.as_ref().and_then(torsade_reactor::DelayedCall::time).is_some_and(|time| time <= deadline) {
            return;
        }
        let connection = Rc::downgrade(self);
        let delay = deadline.saturating_sub(self.shared.reactor.now());
        let timer = self.shared.reactor.call_later(delay, move || {
            if let Some(connection) = connection.upgrade() {
                connection.shared.reactor.call_for(connection.token.get(), |_| connection.expire_layers());
            }
        });
        if let Some(old) = chain.timer.replace(timer) {
            // It may have fired just now.
            old.cancel().ok();
        }
    }

    fn expire_layers(self: &Rc<Self>) {
        {
            let mut state = self.state.borrow_mut();
            let (unseen, dropped) = (state.readable || state.holds_input(), state.drops_input());
            match &mut state.chain {
                Some(chain) if dropped => chain.drop_input(),
                Some(chain) if unseen => chain.hold_on(self.shared.reactor.now()),
                _ => {}
            }
            // Even after our own stream has ended: input may still be held back.
            self.write_through(&mut state, Chain::expire);
            self.wake(&state);
        }
        self.settle();
    }
}
