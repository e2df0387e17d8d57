//! The connections of a port, one after the other.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::fmt;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use torsade_protocols::{Address, Callback, Factory, Protocol, Transport};
use torsade_reactor::Result;

use super::AsyncConnection;
use super::protocol::AsyncProtocol;
use crate::ends::port::Port;

/// How many connections may wait to be taken before the port stops accepting.
const MOST: usize = 64;

/// The connections of a port, from [`listen_async`](super::ReactorAsync::listen_async).
///
/// At most 64 connections wait here (with TLS, after their handshake). The port then accepts no more until there is room,
/// and others wait in the system's queue. Dropping it stops listening and aborts the waiting connections.
pub struct Incoming {
    port: Port,
    queue: Rc<Queue>,
}

#[derive(Default)]
struct Queue {
    waiting: RefCell<Waiting>,
    /// `None` once it has ended.
    port: RefCell<Option<Port>>,
}

#[derive(Default)]
struct Waiting {
    connections: VecDeque<AsyncConnection>,
    /// The port has ended, and no more connections will come.
    ended: bool,
    waker: Option<Waker>,
}

impl Incoming {
    /// The port that listens, for its address.
    #[must_use]
    pub const fn port(&self) -> &Port {
        &self.port
    }

    /// Returns the next connection; `None` once the port has stopped listening and no connection waits.
    ///
    /// Cancelling it loses no connection.
    pub async fn accept(&mut self) -> Option<AsyncConnection> {
        poll_fn(|context| self.poll_accept(context)).await
    }

    /// [`accept`](Self::accept) as a poll function. Only the task that polled last is woken.
    pub fn poll_accept(&mut self, context: &mut Context<'_>) -> Poll<Option<AsyncConnection>> {
        let mut waiting = self.queue.waiting.borrow_mut();
        let next = waiting.connections.pop_front();
        if next.is_none() && !waiting.ended {
            waiting.waker = Some(context.waker().clone());
            return Poll::Pending;
        }
        if waiting.connections.len() == MOST - 1 {
            self.port.resume_producing();
        }
        Poll::Ready(next)
    }

    /// A factory for a port, and a function that takes the port once it listens.
    pub(super) fn begin() -> (impl Factory + 'static, impl FnOnce(Port) -> Self) {
        let queue = Rc::<Queue>::default();
        let accepting = Accepting(Rc::clone(&queue));
        let finish = move |port: Port| {
            // Nothing was accepted before, since callbacks come from the loop.
            queue.port.replace(Some(port.clone()));
            Self { port, queue }
        };
        (accepting, finish)
    }
}

impl Drop for Incoming {
    fn drop(&mut self) {
        self.port.stop_listening();
        self.queue.port.take();
        let mut waiting = self.queue.waiting.borrow_mut();
        waiting.ended = true;
        let connections = std::mem::take(&mut waiting.connections);
        drop(waiting);
        drop(connections);
    }
}

impl fmt::Debug for Incoming {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Incoming").field("port", &self.port).finish_non_exhaustive()
    }
}

impl Queue {
    fn push(&self, connection: AsyncConnection) {
        let mut waiting = self.waiting.borrow_mut();
        if waiting.ended {
            // The `Incoming` is gone: nobody will take it.
            drop(waiting);
            return;
        }
        waiting.connections.push_back(connection);
        if waiting.connections.len() == MOST
            && let Some(port) = &*self.port.borrow()
        {
            port.pause_producing();
        }
        if let Some(waker) = waiting.waker.take() {
            waker.wake();
        }
    }
}

struct Accepting(Rc<Queue>);

impl Factory for Accepting {
    fn build_protocol(&mut self, _: &Address) -> Option<Box<dyn Protocol>> {
        Some(Box::new(Accepted { queue: Rc::clone(&self.0), protocol: AsyncProtocol::default(), connection: None }))
    }

    fn stop_factory(&mut self) {
        let mut waiting = self.0.waiting.borrow_mut();
        waiting.ended = true;
        // The port owns this factory, which owns the port.
        self.0.port.take();
        if let Some(waker) = waiting.waker.take() {
            waker.wake();
        }
    }
}

/// The protocol of an accepted connection, which it puts into the queue once the connection is ready (with TLS, after the
/// handshake).
struct Accepted {
    queue: Rc<Queue>,
    protocol: AsyncProtocol,
    /// Until it is in the queue.
    connection: Option<AsyncConnection>,
}

impl Accepted {
    fn offer(&mut self) {
        if let Some(connection) = self.connection.take() {
            self.queue.push(connection);
        }
    }
}

impl Protocol for Accepted {
    fn connection_made(&mut self, transport: &Transport) -> Result {
        self.connection = Some(AsyncConnection::new(transport, self.protocol.received()));
        if !transport.is_handshaking() {
            self.offer();
        }
        Ok(())
    }

    fn handshake_completed(&mut self, _: &Transport) -> Result {
        self.offer();
        Ok(())
    }

    fn data_received(&mut self, transport: &Transport, data: &[u8]) -> Result {
        self.protocol.data_received(transport, data)
    }

    fn fallback(&mut self, transport: &Transport, callback: Callback<'_>) -> Result {
        if let Callback::ConnectionLost(_) = callback {
            self.connection = None;
        }
        callback.dispatch(&mut self.protocol, transport)
    }
}
