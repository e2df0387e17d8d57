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
    /// Delivers at most one buffer of what there is to read, unless the work of this turn is done already.
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

    /// Tells the protocol once that it may go on with what it kept back.
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

    /// Has the loop come back to this connection, in its next turn.
    pub(super) fn wake(&self, state: &State) {
        self.work.reconsider();
        if !state.life.is_lost() {
            self.shared.reactor.requeue(self.token.get(), Ready::NONE);
        }
    }

    fn read_socket<'a>(self: &'a Rc<Self>, mut state: RefMut<'a, State>) {
        if let Some(wire) = state.take_read_again() {
            return self.deliver(state, &wire);
        }
        let Some(stream) = &state.stream else { return };
        let Ok(mut buffer) = self.shared.read_buffer.try_borrow_mut() else {
            // The transport below is just delivering out of it.
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
                    // More may be there, however short it was.
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
                state.life.doom(cause.into());
            }
        }
    }

    /// Gives the protocol the descriptors that belong before what was read, or closes them when the connection is being closed.
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

    /// Takes bytes from the socket to the protocol, or drops them when the connection is being closed.
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
        self.note_unsought(&mut state, wire);
        state.bytes_in += wire.len() as u64;
        drop(state);
        self.call(Callback::Data(wire));
    }

    /// Bytes are about to be delivered as they are. Says so, once, if they are a compressed stream that announces itself.
    #[inline]
    fn note_unsought(&self, state: &mut State, plain: &[u8]) {
        if unsought::is_worth_a_look(plain, state.bytes_in) && !state.hushed {
            self.tell_unsought(state, plain);
        }
    }

    #[cold]
    fn tell_unsought(&self, state: &mut State, plain: &[u8]) {
        let Some((format, before)) = unsought::find(plain, state.bytes_in) else { return };
        state.hushed = true;
        state.unsought = Some(format);
        let (id, peer) = (self.id, &self.peer);
        let remedy = if before == 0 { "Detect::AtStart" } else { "Detect::Anywhere" };
        // At the level of errors, since it is a call of the program that is missing, and nothing else will say so.
        report_error(
            "compression",
            format_args!(
                "connection {id} with {peer}: the peer compresses ({format}) after {before} bytes, and nobody looks for that here, so \
                 its bytes are delivered as they are; call set_detection({remedy}) in connection_made"
            ),
        );
    }

    /// Takes bytes, or none if some are held, through the layers and delivers what comes out.
    fn read_layers(self: &Rc<Self>, wire: &[u8]) {
        let (plain, result) = {
            let mut state = self.state.borrow_mut();
            if state.drops_input() {
                // What is held belongs to a protocol that wants no more of it.
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
                // Whatever the socket still has is not the peer's any more.
                state.incoming.end_wire();
                state.readable = false;
            }
            if state.chain.as_ref().is_some_and(|chain| chain.passes_plain()) {
                self.note_unsought(&mut state, &plain);
            }
            state.bytes_in += plain.len() as u64;
            if state.chain.as_mut().is_some_and(|chain| chain.drop_spent()) {
                state.drop_chain();
            }
            (plain, result)
        };
        let completed = self.note_handshake();
        self.deliver_plain(&plain, result.err());
        self.shared.give_plain_buffer(plain);
        // What came with the end of the handshake, so that what answers it leaves with our own end of it.
        if completed && self.work.is_left() && self.state.borrow().holds_input() {
            self.read_layers(&[]);
        }
    }

    /// Tells the protocol once that the handshake is complete, unless it is closing. No data comes in the same step.
    fn note_handshake(self: &Rc<Self>) -> bool {
        let told = {
            let mut state = self.state.borrow_mut();
            let completed = state.chain.as_mut().is_some_and(|chain| chain.take_handshake_completed());
            completed && state.life.is_open()
        };
        if told {
            self.call(Callback::HandshakeCompleted);
            self.tell_ready();
        }
        told
    }

    /// Delivers what came out of the layers; their failure comes after what they made of the bytes before it.
    fn deliver_plain(self: &Rc<Self>, plain: &[u8], failure: Option<Reason>) {
        if !plain.is_empty() {
            self.call(Callback::Data(plain));
        }
        if let Some(reason) = failure {
            self.fail_layers(reason);
        }
    }

    /// A layer has failed. If it has something to tell the peer about it, that is sent first.
    fn fail_layers(&self, reason: Reason) {
        let mut state = self.state.borrow_mut();
        let sends = !state.outgoing.has_ended() && !state.outgoing.has_failed();
        if sends && state.chain.as_ref().is_some_and(|chain| chain.wants_flush()) {
            self.write_through(&mut state, Chain::flush);
            state.give_up(reason);
        } else {
            state.life.doom(reason);
        }
    }

    /// The socket has no more: tells the layers, one a turn, and at last the protocol.
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
            // A write that failed has taken the socket's error: what looks like the end of the stream is none then.
            result.map_err(|truncated| state.take_refusal().map_or(truncated, Reason::from))
        };
        // What the layers had held back may make the protocol pause: then the end waits, too.
        let ended = matches!(result, Ok(true)) && plain.is_empty();
        self.deliver_plain(&plain, result.err());
        self.shared.give_plain_buffer(plain);
        if ended {
            self.end_reading();
        }
    }

    fn end_reading(self: &Rc<Self>) {
        let told = {
            let mut state = self.state.borrow_mut();
            state.incoming.end();
            if let Some(error) = state.take_refusal() {
                state.life.doom(error.into());
            }
            state.life.is_open()
        };
        if told {
            self.call(Callback::ReadConnectionLost);
        }
    }
}
