//! The checker's end of one connection.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use torsade::TlsError;
use torsade::prelude::*;

use super::bytes::shown;
use super::observed::{End, Heard};

/// The most that is kept of what a program sends in one step.
const MOST: usize = 32 << 20;

#[derive(Default)]
struct State {
    transport: Option<Transport>,
    /// In this step.
    heard: Heard,
    ended: bool,
    /// What is wrong with the script's endpoint.
    wrong: Option<String>,
    /// What was expected and has not come.
    expected: Vec<u8>,
    /// What has come since the last expected byte.
    unexpected: Vec<u8>,
}

/// What was heard on a connection, and the means to speak on it; shared with its protocol.
#[derive(Clone, Default)]
pub struct Connection {
    state: Rc<RefCell<State>>,
    /// Counts whatever is heard on any connection of the side.
    changes: Rc<Cell<u64>>,
}

impl Connection {
    pub fn new(changes: &Rc<Cell<u64>>) -> Self {
        Self { state: Rc::default(), changes: changes.clone() }
    }

    /// The protocol that listens for it.
    pub fn protocol(&self) -> impl Protocol + use<> {
        Ear(self.clone())
    }

    /// Why it is not known yet whether the program takes it; `None` once it is made (with TLS: after the handshake) or refused.
    pub fn undecided(&self) -> Option<String> {
        let State { transport, ended, wrong, .. } = &*self.state.borrow();
        let is_made = transport.as_ref().is_some_and(|transport| !transport.is_handshaking());
        match wrong {
            Some(wrong) => Some(format!("is not connected: {wrong}")),
            None => (!is_made && !ended).then(|| "is not connected".into()),
        }
    }

    /// It could not be made.
    pub fn not_made(&self, failure: &Failure) {
        match failure.downcast_ref() {
            Some(error @ (ConnectError::Address(_) | ConnectError::Configuration(_) | ConnectError::Endpoint(_))) => {
                self.state.borrow_mut().wrong = Some(error.to_string());
            }
            _ => self.end(End::Refused),
        }
    }

    /// What was heard in this step.
    pub fn heard(&self) -> Heard {
        self.state.borrow().heard.clone()
    }

    /// A new step begins.
    pub fn next_step(&self) {
        self.state.borrow_mut().heard = Heard::default();
    }

    /// Whether more has come than is kept.
    pub fn is_flooded(&self) -> bool {
        self.state.borrow().heard.bytes.len() >= MOST
    }

    /// Whether the other end's system has all that was sent.
    pub fn is_delivered(&self) -> bool {
        let state = self.state.borrow();
        state.transport.as_ref().is_none_or(|transport| !transport.is_connected() || transport.delivery().outstanding == 0)
    }

    /// Has these bytes be waited for, behind those expected before.
    pub fn expect(&self, bytes: &[u8]) {
        let mut state = self.state.borrow_mut();
        state.expected.extend(bytes);
        state.compare();
    }

    /// What was expected and has not come, beside what has come in its place.
    pub fn unmet(&self) -> Option<String> {
        let State { expected, unexpected, .. } = &*self.state.borrow();
        (!expected.is_empty()).then(|| format!("{} was still expected, but {} arrived", shown(expected), shown(unexpected)))
    }

    /// Does something with the transport, if the connection was made.
    pub fn with(&self, act: impl FnOnce(&Transport)) {
        let transport = self.state.borrow().transport.clone();
        if let Some(transport) = transport {
            act(&transport);
        }
    }

    fn end(&self, end: End) {
        let mut state = self.state.borrow_mut();
        if !state.ended {
            state.ended = true;
            state.heard.end = Some(end);
            self.changes.set(self.changes.get() + 1);
        }
    }
}

impl State {
    /// Strikes out what was expected and has come.
    fn compare(&mut self) {
        let same = self.expected.iter().zip(&self.unexpected).take_while(|(one, other)| one == other).count();
        self.expected.drain(..same);
        self.unexpected.drain(..same);
    }
}

struct Ear(Connection);

impl Protocol for Ear {
    fn connection_made(&mut self, transport: &Transport) -> Result {
        // What comes is compared as it is on the wire.
        transport.set_detection(Detect::Off);
        transport.set_read_while_congested(true);
        self.0.state.borrow_mut().transport = Some(transport.clone());
        self.0.changes.set(self.0.changes.get() + 1);
        Ok(())
    }

    fn handshake_completed(&mut self, _transport: &Transport) -> Result {
        self.0.changes.set(self.0.changes.get() + 1);
        Ok(())
    }

    fn data_received(&mut self, transport: &Transport, data: &[u8]) -> Result {
        let mut state = self.0.state.borrow_mut();
        state.heard.bytes.extend(data);
        state.unexpected.extend(data);
        state.compare();
        self.0.changes.set(self.0.changes.get() + 1);
        if state.heard.bytes.len() >= MOST {
            transport.pause_producing();
        }
        Ok(())
    }

    fn read_connection_lost(&mut self, _transport: &Transport) -> Result {
        // Ours goes on until the script ends it.
        self.0.end(End::Stream);
        Ok(())
    }

    fn connection_lost(&mut self, _transport: &Transport, reason: &Reason) -> Result {
        match reason {
            Reason::ConnectionAborted | Reason::ShuttingDown => {}
            Reason::ConnectionDone => self.0.end(End::Stream),
            Reason::Tls(TlsError::AlertReceived { code, name }) => self.0.end(End::Tls(format!("alert {code} ({name})"))),
            Reason::Tls(TlsError::Certificate(problem)) => {
                // Our own refusal is the script's fault. As a mere end it would be the same for both programs, and pass.
                self.0.state.borrow_mut().wrong = Some(format!("its certificate is not accepted: {problem}"));
                self.0.end(End::Tls(reason.to_string()));
            }
            Reason::Tls(_) | Reason::TlsTruncated => self.0.end(End::Tls(reason.to_string())),
            _ => self.0.end(End::Reset),
        }
        Ok(())
    }
}
