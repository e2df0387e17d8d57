//! The part that all protocols of messages share.

use std::cell::{Cell, Ref};
use std::fmt;
use std::rc::Rc;
use std::time::Duration;

use torsade_reactor::Result;

use crate::framing::byte_buffer::ByteBuffer;
use crate::framing::frame_transport::FrameTransport;
use crate::framing::inbox::Inbox;
use crate::protocol::{Callback, Protocol};
use crate::transport::Transport;
use crate::work::Work;

/// Splits its input into the messages of a format, and delivers them.
///
/// Between two messages it checks whether data is still wanted. While the connection is paused, closing, congested, or has used
/// its work for the turn, it keeps the rest and continues in `reading_resumed`. Plaintext received after a switch to TLS is
/// refused. A message that has begun has a deadline.
pub(crate) struct Receiver<M, T> {
    messages: M,
    inbox: Rc<Inbox>,
    /// The transport of the messages' protocol; made at the first callback.
    transport: Option<T>,
}

/// A format of messages, with the user's protocol for them: everything in which receivers differ.
pub(crate) trait Messages {
    /// The transport that the protocol is given.
    type Transport;

    /// The default maximum length of a message.
    const MAX_LENGTH: usize;

    /// Makes the protocol's transport.
    fn transport(&self, frames: FrameTransport) -> Self::Transport;

    /// Delivers whole messages as long as the run [goes on](Run::goes_on). When none is left, returns how many bytes of an
    /// incomplete message are held, if its rest is awaited.
    fn deliver(&mut self, transport: &Self::Transport, run: &Run<'_>) -> Result<Option<usize>>;

    /// Passes on a callback without data.
    fn call_back(&mut self, transport: &Self::Transport, callback: Callback<'_>) -> Result;
}

/// A run of messages, delivered one after another as long as callbacks do nothing but write.
pub(crate) struct Run<'a> {
    pub(crate) inbox: &'a Inbox,
    pub(crate) buffer: Ref<'a, ByteBuffer>,
    work: Option<&'a Work>,
    any: &'a Cell<bool>,
}

impl Run<'_> {
    #[inline]
    pub(crate) fn record_delivery(&self) {
        self.any.set(true);
    }

    /// Notes that a message was delivered. Returns whether the next may be delivered without checking connection and inbox again.
    #[inline]
    pub(crate) fn goes_on(&self) -> bool {
        self.record_delivery();
        !self.inbox.was_touched() && self.work.is_some_and(Work::take_message)
    }
}

impl<M: Messages> Receiver<M, M::Transport> {
    pub(crate) fn new(messages: M) -> Self {
        Self { messages, inbox: Rc::new(Inbox::new(M::MAX_LENGTH)), transport: None }
    }

    pub(crate) fn max_length(self, max_length: usize) -> Self {
        self.inbox.max_length.set(max_length);
        self
    }

    pub(crate) fn message_timeout(self, timeout: Option<Duration>) -> Self {
        self.inbox.deadline.set_timeout(timeout);
        self
    }

    pub(crate) fn messages(&self) -> &M {
        &self.messages
    }

    #[inline]
    fn parts(&mut self, transport: &Transport) -> (&mut M, &M::Transport, &Inbox) {
        let Self { messages, inbox, transport: own } = self;
        let own = own
            .get_or_insert_with(|| messages.transport(FrameTransport { transport: transport.clone(), inbox: Rc::clone(inbox) }));
        (messages, own, inbox)
    }

    fn deliver(&mut self, transport: &Transport) -> Result {
        let (messages, own, inbox) = self.parts(transport);
        let connection = transport.connection();
        let (work, any) = (connection.work(), Cell::new(false));
        let result = loop {
            inbox.take_extra();
            if !connection.can_deliver() {
                if transport.is_handshaking() {
                    transport.refuse_plaintext(&inbox.take_rest());
                }
                break Ok(0);
            }
            let run = Run { inbox, buffer: inbox.buffer.borrow(), work, any: &any };
            match messages.deliver(own, &run) {
                Ok(Some(held)) => break Ok(held),
                Ok(None) => {}
                Err(error) => break Err(error),
            }
        };
        if any.get() {
            inbox.deadline.restart();
        }
        inbox.deadline.wait_for_rest(transport, *result.as_ref().unwrap_or(&0));
        inbox.buffer.borrow_mut().drop_taken();
        result.map(drop)
    }
}

impl<M: Messages> Protocol for Receiver<M, M::Transport> {
    fn data_received(&mut self, transport: &Transport, data: &[u8]) -> Result {
        if self.inbox.gate.has_failed() {
            return Ok(());
        }
        self.inbox.buffer.borrow_mut().feed(data);
        self.deliver(transport)
    }

    fn fallback(&mut self, transport: &Transport, callback: Callback<'_>) -> Result {
        match callback {
            Callback::HandshakeCompleted if transport.refuse_plaintext(&self.inbox.take_rest()) => return Ok(()),
            Callback::ReadingResumed => {
                self.inbox.deadline.restart();
                return self.deliver(transport);
            }
            Callback::ReadConnectionLost | Callback::ConnectionLost(_) => self.inbox.deadline.forget(),
            _ => {}
        }
        let (messages, own, _) = self.parts(transport);
        messages.call_back(own, callback)
    }
}

impl<M: fmt::Debug, T> fmt::Debug for Receiver<M, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.messages.fmt(f)
    }
}

/// Implements what public receivers share: their limits, and passing callbacks to the [`Receiver`].
macro_rules! receiver {
    ($name:ident, $($parameter:ident: $bound:path),+) => {
        impl<$($parameter: $bound),+> $name<$($parameter),+> {
            /// Sets the maximum length of a message, as [`FrameTransport::set_max_length`](crate::FrameTransport::set_max_length)
            /// counts it.
            #[must_use]
            pub fn max_length(self, max_length: usize) -> Self {
                Self(self.0.max_length(max_length))
            }

            /// Sets how long a message may take to arrive whole, once it has begun; `None` for no limit.
            ///
            /// Default 60 s, plus one second for each 1,000 bytes of the message that have arrived. After that the connection is
            /// closed with `Reason::TimedOut(Deadline::Message)`. The time starts at the first byte of the message (of a frame,
            /// at the first byte its decoder has not used), restarts whenever reading is resumed, and does not run in raw mode.
            /// Where people type and every key is sent at once, set a long time or `None`. For idle peers there is
            /// [`TimeoutFactory`](crate::policies::TimeoutFactory).
            #[must_use]
            pub fn message_timeout(self, timeout: Option<std::time::Duration>) -> Self {
                Self(self.0.message_timeout(timeout))
            }
        }

        impl<$($parameter: $bound),+> crate::Protocol for $name<$($parameter),+> {
            fn data_received(&mut self, transport: &crate::Transport, data: &[u8]) -> Result {
                crate::Protocol::data_received(&mut self.0, transport, data)
            }

            fn fallback(&mut self, transport: &crate::Transport, callback: crate::Callback<'_>) -> Result {
                crate::Protocol::fallback(&mut self.0, transport, callback)
            }
        }
    };
}

pub(crate) use receiver;
