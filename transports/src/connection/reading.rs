//! From the socket to the protocol.

use std::cell::RefMut;
use std::io;
use std::rc::Rc;

use torsade_protocols::{Callback, PassedDescriptor, Reason};
use torsade_reactor::report_error;
use torsade_reactor::spi::{Ready, UnixSocket};

use crate::compression::unsought;
use crate::connection::chain::Chain;

use super::StreamConnection;
use super::state::State;

impl StreamConnection {
    /// Delivers at most one buffer of input, unless the work of this turn is used up.
    pub(super) fn read<'a>(self: &'a Rc<Self>, state: RefMut<'a, State>) {
        if !self.work.is_left() || !state.wants_input() {
            return;
        }
        if state.holds_input() {
            drop(state);
            self.read_layers(&[]);
        } else if state.incoming.wire_has_ended() {
            drop(state);
            self.end_layers();
        } else {
            self.read_socket(state);
        }
    }

    /// Calls `reading_resumed` once, after which the protocol may go on with input that it held back.
    #[inline]
    pub(super) fn resume_protocol<'a>(self: &'a Rc<Self>, mut state: RefMut<'a, State>) -> RefMut<'a, State> {
        if state.resumed && state.is_reading() {
            state.resumed = false;
            drop(state);
            self.call(Callback::ReadingResumed);
            state = self.state.borrow_mut();
        }
        state
    }

    /// Makes the loop come back to this connection in its next turn.
    pub(super) fn wake(&self, state: &State) {
        self.work.reconsider();
        if !state.lifecycle.is_lost() {
            self.shared.reactor.requeue(self.token.get(), Ready::NONE);
        }
    }

    fn read_socket<'a>(self: &'a Rc<Self>, mut state: RefMut<'a, State>) {
        if let Some(wire) = state.take_read_again() {
            return self.deliver(state, &wire);
        }
        let Some(stream) = &state.stream else { return };
        let Ok(mut buffer) = self.shared.read_buffer.try_borrow_mut() else {
            // The transport below is delivering from it right now.
            return self.wake(&state);
        };
        match stream.read(&mut buffer) {
            Ok(0) => {
                state.socket_ended = true;
                state.incoming.end_wire();
                state.readable = false;
                drop((state, buffer));
                self.end_layers();
            }
            Ok(count) => {
                if state.passes_descriptors && stream.unix().is_some_and(UnixSocket::was_cut_short) {
                    // There may be more, however short the read was.
                    state = self.deliver_descriptors(state);
                } else if count < buffer.len() {
                    state.drained();
                }
                self.deliver(state, buffer.get(..count).unwrap_or_default());
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => state.readable = false,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => {
                let cause = state.take_refusal().unwrap_or(error);
                state.lifecycle.doom(cause.into());
            }
        }
    }

    /// Delivers the descriptors that came with what was read, or closes them if the connection is being closed.
    #[cold]
    fn deliver_descriptors<'a>(self: &'a Rc<Self>, mut state: RefMut<'a, State>) -> RefMut<'a, State> {
        while let Some(descriptor) = state.stream.as_ref().and_then(|stream| stream.unix()?.take_descriptor()) {
            if !state.drops_input() {
                drop(state);
                self.call(Callback::Descriptor(&PassedDescriptor::new(descriptor)));
                state = self.state.borrow_mut();
            }
        }
        state
    }

    /// Delivers bytes from the socket to the protocol, or drops them if the connection is being closed.
    pub(super) fn deliver(self: &Rc<Self>, mut state: RefMut<'_, State>, wire: &[u8]) {
        if state.drops_input() {
            return;
        }
        if let Some(chain) = &mut state.chain {
            if !chain.reads_directly() {
                drop(state);
                return self.read_layers(wire);
            }
            chain.passed_in(wire.len() as u64);
        }
        self.check_unsought(&mut state, wire);
        state.bytes_in += wire.len() as u64;
        drop(state);
        self.call(Callback::Data(wire));
    }

    /// Reports once if bytes that are about to be delivered unchanged announce a compressed stream.
    #[inline]
    fn check_unsought(&self, state: &mut State, plain: &[u8]) {
        if unsought::may_announce(plain, state.bytes_in) && !state.silenced {
            self.report_unsought(state, plain);
        }
    }

    #[cold]
    fn report_unsought(&self, state: &mut State, plain: &[u8]) {
        let Some((format, before)) = unsought::find(plain, state.bytes_in) else { return };
        state.silenced = true;
        state.unsought = Some(format);
        let (id, peer) = (self.id, &self.peer);
        let remedy = if before == 0 { "Detect::AtStart" } else { "Detect::Anywhere" };
        // As an error, since a call in the program is missing, and nothing else will say so.
        report_error(
            "compression",
            format_args!(
                "connection {id} with {peer}: the peer compresses ({format}) after {before} bytes, which was not expected, so \
                 its bytes are delivered as they are; call set_detection({remedy}) in connection_made"
            ),
        );
    }

    /// Passes bytes (none if input is held) through the layers and delivers what comes out.
    fn read_layers(self: &Rc<Self>, wire: &[u8]) {
        let (plain, result) = {
            let mut state = self.state.borrow_mut();
            if state.drops_input() {
                // The held input is for a protocol that wants no more.
                if let Some(chain) = &mut state.chain {
                    chain.drop_input();
                }
                return;
            }
            let wanted = state.is_reading();
            let Some(chain) = &mut state.chain else { return };
            let mut plain = self.shared.take_plain_buffer();
            let now = self.shared.reactor.now();
            let result =
                if wanted { chain.read(wire, &mut plain, &self.work, now) } else { chain.handshake(wire, &self.work, now) };
            if chain.has_ended() {
                // What the socket still has does not belong to the peer's stream.
                state.incoming.end_wire();
                state.readable = false;
            }
            if state.chain.as_ref().is_some_and(|chain| chain.passes_plain()) {
                self.check_unsought(&mut state, &plain);
            }
            state.bytes_in += plain.len() as u64;
            if state.chain.as_mut().is_some_and(|chain| chain.drop_spent()) {
                state.drop_chain();
            }
            (plain, result)
        };
        let completed = self.report_handshake();
        self.deliver_plain(&plain, result.err());
        self.shared.give_plain_buffer(plain);
        // Input that came with the end of the handshake: so the answer leaves together with our last handshake message.
        if completed && self.work.is_left() && self.state.borrow().holds_input() {
            self.read_layers(&[]);
        }
    }

    /// Calls `handshake_completed` once, unless the connection is closing. No data comes in the same step.
    fn report_handshake(self: &Rc<Self>) -> bool {
        let is_due = {
            let mut state = self.state.borrow_mut();
            let completed = state.chain.as_mut().is_some_and(|chain| chain.take_handshake_completed());
            completed && state.lifecycle.is_open()
        };
        if is_due {
            self.call(Callback::HandshakeCompleted);
            self.notify_ready();
        }
        is_due
    }

    /// Delivers the output of the layers, and then handles their failure.
    fn deliver_plain(self: &Rc<Self>, plain: &[u8], failure: Option<Reason>) {
        if !plain.is_empty() {
            self.call(Callback::Data(plain));
        }
        if let Some(reason) = failure {
            self.fail_layers(reason);
        }
    }

    /// Handles the failure of a layer, which may first send something to inform the peer.
    fn fail_layers(&self, reason: Reason) {
        let mut state = self.state.borrow_mut();
        let sends = !state.outgoing.has_ended() && !state.outgoing.has_failed();
        if sends && state.chain.as_ref().is_some_and(|chain| chain.wants_flush()) {
            self.write_through(&mut state, Chain::flush);
            state.give_up(reason);
        } else {
            state.lifecycle.doom(reason);
        }
    }

    /// Passes the socket's end to the layers, one per turn, and at last to the protocol.
    fn end_layers(self: &Rc<Self>) {
        let mut plain = self.shared.take_plain_buffer();
        let result = {
            let mut state = self.state.borrow_mut();
            let dropped = state.drops_input();
            let result = match &mut state.chain {
                Some(chain) if !dropped => chain.read_end(&mut plain),
                _ => Ok(true),
            };
            state.bytes_in += plain.len() as u64;
            // A failed write has taken the socket's error: what then looks like the end of the stream is the failure.
            result.map_err(|truncated| state.take_refusal().map_or(truncated, Reason::from))
        };
        // What the layers held back may make the protocol pause: then the end waits too.
        let ended = matches!(result, Ok(true)) && plain.is_empty();
        self.deliver_plain(&plain, result.err());
        self.shared.give_plain_buffer(plain);
        if ended {
            self.end_reading();
        }
    }

    fn end_reading(self: &Rc<Self>) {
        let is_open = {
            let mut state = self.state.borrow_mut();
            state.incoming.end();
            if let Some(error) = state.take_refusal() {
                state.lifecycle.doom(error.into());
            }
            state.lifecycle.is_open()
        };
        if is_open {
            self.call(Callback::ReadConnectionLost);
        }
    }
}
