//! The protocol behind an async connection: it keeps input and events until they are asked for.

use std::cell::RefCell;
use std::fmt;
use std::io::{Error, Result as IoResult};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use torsade_protocols::{Protocol, Reason, Transport};
use torsade_reactor::Result;

/// Input and events that were not asked for yet, and the tasks that wait for more.
#[derive(Default)]
pub(super) struct Received {
    bytes: Vec<u8>,
    read_ended: bool,
    write_ended: bool,
    lost: Option<Reason>,
    reader: Option<Waker>,
    closer: Option<Waker>,
}

impl Received {
    pub(super) const fn lost(&self) -> Option<&Reason> {
        self.lost.as_ref()
    }

    /// Moves what was received into `bytes`, which have to be empty and stay so at the end of the peer's stream.
    pub(super) fn poll_take(&mut self, context: &Context<'_>, bytes: &mut Vec<u8>) -> Poll<IoResult<()>> {
        if !self.bytes.is_empty() {
            std::mem::swap(&mut self.bytes, bytes);
            return Poll::Ready(Ok(()));
        }
        match &self.lost {
            Some(reason) if !self.read_ended && !reason.is_clean() => Poll::Ready(Err(reason.into())),
            None if !self.read_ended => {
                remember(&mut self.reader, context);
                Poll::Pending
            }
            _ => Poll::Ready(Ok(())),
        }
    }

    /// What was received and not taken yet.
    pub(super) fn take(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.bytes)
    }

    /// Ready once our stream has ended.
    pub(super) fn poll_write_end(&mut self, context: &Context<'_>) -> Poll<IoResult<()>> {
        match &self.lost {
            _ if self.write_ended => Poll::Ready(Ok(())),
            Some(reason) if reason.is_clean() => Poll::Ready(Ok(())),
            Some(reason) => Poll::Ready(Err(Error::from(reason))),
            None => {
                remember(&mut self.closer, context);
                Poll::Pending
            }
        }
    }
}

fn remember(waker: &mut Option<Waker>, context: &Context<'_>) {
    match waker {
        Some(waker) => waker.clone_from(context.waker()),
        none => *none = Some(context.waker().clone()),
    }
}

fn wake(waker: &mut Option<Waker>) {
    if let Some(waker) = waker.take() {
        waker.wake();
    }
}

/// Receives for an [`AsyncConnection`](super::AsyncConnection): pass all callbacks to it from a protocol that has called
/// [`from_protocol`](super::AsyncConnection::from_protocol).
#[derive(Default)]
pub struct AsyncProtocol(Rc<RefCell<Received>>);

impl AsyncProtocol {
    /// A protocol that has received `rest` already.
    pub(super) fn with(rest: &[u8]) -> Self {
        Self(Rc::new(RefCell::new(Received { bytes: rest.to_vec(), ..Received::default() })))
    }

    /// What it receives, shared with the connection.
    pub(super) fn received(&self) -> Rc<RefCell<Received>> {
        Rc::clone(&self.0)
    }
}

impl fmt::Debug for AsyncProtocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AsyncProtocol").field("unread", &self.0.borrow().bytes.len()).finish_non_exhaustive()
    }
}

impl Protocol for AsyncProtocol {
    fn data_received(&mut self, transport: &Transport, data: &[u8]) -> Result {
        let mut received = self.0.borrow_mut();
        received.bytes.extend_from_slice(data);
        // Nothing more is received before this was read: what follows may belong to a layer that is switched on by then.
        transport.pause_producing();
        wake(&mut received.reader);
        Ok(())
    }

    fn read_connection_lost(&mut self, _: &Transport) -> Result {
        let mut received = self.0.borrow_mut();
        received.read_ended = true;
        wake(&mut received.reader);
        Ok(())
    }

    fn write_connection_lost(&mut self, _: &Transport) -> Result {
        let mut received = self.0.borrow_mut();
        received.write_ended = true;
        wake(&mut received.closer);
        Ok(())
    }

    fn connection_lost(&mut self, _: &Transport, reason: &Reason) -> Result {
        let mut received = self.0.borrow_mut();
        received.lost = Some(reason.clone());
        wake(&mut received.reader);
        wake(&mut received.closer);
        Ok(())
    }
}
