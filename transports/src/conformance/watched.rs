//! The protocol under test, what observes it, and its peer.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::rc::Rc;
use std::time::Duration;

use torsade_protocols::policies::{ProtocolWrapper, WrapperTransport};
use torsade_protocols::{Callback, Protocol, Reason, Transport};
use torsade_reactor::Result;

use super::replay::Step;

/// How long a pause lasts.
const PAUSE: Duration = Duration::from_millis(100);

/// Records what a protocol under test received; a cheap handle, which the protocol keeps.
///
/// Replays compare the notes: note what a user of the protocol would see, such as each line or message. They also
/// pause reading at each note, as the protocol itself might.
#[derive(Clone, Default)]
pub struct Notes(Rc<Noted>);

#[derive(Default)]
struct Noted {
    lines: RefCell<Vec<String>>,
    /// Callbacks so far, and the one to pause at.
    callbacks: Cell<usize>,
    pause_at: Cell<usize>,
    transport: RefCell<Option<Transport>>,
    /// Where the kit pauses reading, if it does: separate from the protocol's own pauses.
    below: RefCell<Option<WrapperTransport>>,
    reason: RefCell<Option<Reason>>,
    /// A handshake was under way when a callback returned.
    handshaking: Cell<bool>,
}

impl Notes {
    /// Notes one thing that the protocol received.
    pub fn note(&self, text: impl Into<String>) {
        self.0.lines.borrow_mut().push(text.into());
        self.count();
    }

    pub(super) fn lines(&self) -> Vec<String> {
        self.0.lines.borrow().clone()
    }

    pub(super) fn callbacks(&self) -> usize {
        self.0.callbacks.get()
    }

    pub(super) fn pause_at(&self, callback: usize) {
        self.0.pause_at.set(callback);
    }

    pub(super) fn reason(&self) -> Option<Reason> {
        self.0.reason.borrow().clone()
    }

    pub(super) fn has_switched_tls_on(&self) -> bool {
        self.0.handshaking.get()
    }

    fn look_for_tls(&self, transport: &Transport) {
        self.0.handshaking.set(self.0.handshaking.get() || transport.is_handshaking());
    }

    pub(super) fn transport(&self) -> Option<Transport> {
        self.0.transport.borrow().clone()
    }

    /// Counts a callback, and pauses reading if it is the one to pause at.
    fn count(&self) {
        self.0.callbacks.set(self.0.callbacks.get() + 1);
        if self.0.callbacks.get() == self.0.pause_at.get()
            && let Some(below) = self.0.below.borrow().clone()
        {
            hold_reading(&below, PAUSE);
        }
    }
}

fn hold_reading(below: &WrapperTransport, time: Duration) {
    below.hold_reading(true);
    let held = below.clone();
    below.reactor().call_later(time, move || held.hold_reading(false));
}

impl fmt::Debug for Notes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(&*self.0.lines.borrow()).finish()
    }
}

/// A wrapper that delays reading, for the replays that test it.
pub(super) struct Holding {
    pub(super) notes: Notes,
    /// Reading begins after this time, and every unsent byte congests the connection.
    pub(super) congested: Option<Duration>,
}

impl ProtocolWrapper for Holding {
    fn connection_made(&self, below: &WrapperTransport) -> Result {
        self.notes.0.below.replace(Some(below.clone()));
        if let Some(wait) = self.congested {
            below.set_write_buffer_limits(0, 0);
            hold_reading(below, wait);
        }
        Ok(())
    }

    fn connection_lost(&self, _below: &WrapperTransport, _reason: &Reason) {
        self.notes.0.below.take();
    }
}

/// The protocol under test.
pub(super) struct Watched {
    pub(super) protocol: Box<dyn Protocol>,
    pub(super) notes: Notes,
    pub(super) compressed: bool,
}

impl Protocol for Watched {
    fn data_received(&mut self, transport: &Transport, data: &[u8]) -> Result {
        let result = self.protocol.data_received(transport, data);
        self.notes.look_for_tls(transport);
        self.notes.count();
        result
    }

    fn fallback(&mut self, transport: &Transport, callback: Callback<'_>) -> Result {
        match callback {
            Callback::ConnectionMade => {
                self.notes.0.transport.replace(Some(transport.clone()));
                if self.compressed {
                    transport.set_compression("deflate")?;
                }
            }
            Callback::ConnectionLost(reason) => {
                self.notes.0.reason.replace(Some(reason.clone()));
            }
            _ => {}
        }
        let result = callback.dispatch(&mut *self.protocol, transport);
        self.notes.look_for_tls(transport);
        result
    }
}

/// Sends its pieces one by one, and records what comes back.
#[derive(Clone)]
pub(super) struct Peer {
    pub(super) steps: Rc<Vec<(Duration, Step)>>,
    pub(super) compressed: bool,
    pub(super) received: Rc<RefCell<Vec<u8>>>,
}

impl Protocol for Peer {
    fn connection_made(&mut self, transport: &Transport) -> Result {
        if self.compressed {
            transport.set_compression("deflate")?;
        }
        for number in 0..self.steps.len() {
            let (steps, transport) = (Rc::clone(&self.steps), transport.clone());
            transport.reactor().clone().call_later(self.steps[number].0, move || match &steps[number].1 {
                Step::Send(piece) => transport.write(piece),
                Step::SendLast(piece) => {
                    transport.write(piece);
                    transport.lose_write_connection();
                }
                Step::End => transport.lose_write_connection(),
            });
        }
        Ok(())
    }

    fn data_received(&mut self, _transport: &Transport, data: &[u8]) -> Result {
        self.received.borrow_mut().extend_from_slice(data);
        Ok(())
    }
}
