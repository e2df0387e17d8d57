//! Sources of data that a transport starts and stops.

pub(crate) mod consumers;
pub(crate) mod file_sender;

use std::error::Error;
use std::fmt;

use torsade_reactor::Result;

use crate::transport::Transport;

/// A source of data for a transport, which tells it when to go on and when to wait.
///
/// It is registered with [`Transport::register_producer`], as streaming (push) or not (pull):
/// - A *push* producer writes by itself. It is paused when the transport's output has reached the high watermark, and
///   resumed once it is below the low one.
/// - A *pull* producer writes once for each [`resume_producing`](Self::resume_producing), which comes whenever the
///   transport's output is empty; the first time it need not be, so that what it writes leaves with what was written before. If
///   it writes nothing, there is no further call until something was written.
///
/// A file, or whatever else is a [`Read`](std::io::Read), is sent by a [`FileSender`](crate::FileSender), which is a
/// pull producer and calls a function at the end.
///
/// The calls come from the loop, not from inside `write`. An `Err` closes the consumer's connection.
///
/// A [`Transport`] is itself a push producer: `there.register_producer(here.clone(), true)` reads no more from `here`
/// than `there` can send. Once `here` is lost or closing, or its peer's stream has ended, it unregisters itself.
#[doc(alias = "IPushProducer")]
#[doc(alias = "IPullProducer")]
pub trait Producer {
    /// Produce: go on (push), or write the next piece (pull).
    ///
    /// # Errors
    /// Any error closes the consumer's connection, with that reason.
    #[doc(alias = "resumeProducing")]
    fn resume_producing(&mut self, consumer: &Transport) -> Result;

    /// Wait, until resumed. Never called on a pull producer.
    ///
    /// # Errors
    /// Any error closes the consumer's connection, with that reason.
    #[doc(alias = "pauseProducing")]
    fn pause_producing(&mut self, consumer: &Transport) -> Result {
        let _ = consumer;
        Ok(())
    }

    /// The consumer is gone: nothing more is wanted. Comes once, before the consumer's `connection_lost`; not after
    /// [`Transport::unregister_producer`].
    #[doc(alias = "stopProducing")]
    fn stop_producing(&mut self) {}

    /// The transport that produces, if there is one; asked for once, when the producer is registered. A producer that wraps a
    /// transport passes this on, so that the transport's end unregisters it.
    fn as_transport(&self) -> Option<Transport> {
        None
    }
}

impl<P: Producer + ?Sized> Producer for Box<P> {
    fn resume_producing(&mut self, consumer: &Transport) -> Result {
        (**self).resume_producing(consumer)
    }

    fn pause_producing(&mut self, consumer: &Transport) -> Result {
        (**self).pause_producing(consumer)
    }

    fn stop_producing(&mut self) {
        (**self).stop_producing();
    }

    fn as_transport(&self) -> Option<Transport> {
        (**self).as_transport()
    }
}

impl Producer for Transport {
    fn resume_producing(&mut self, _consumer: &Transport) -> Result {
        Self::resume_producing(self);
        Ok(())
    }

    fn pause_producing(&mut self, _consumer: &Transport) -> Result {
        Self::pause_producing(self);
        Ok(())
    }

    fn stop_producing(&mut self) {
        self.lose_connection();
    }

    fn as_transport(&self) -> Option<Transport> {
        Some(self.clone())
    }
}

/// Why a producer was not registered.
#[derive(Clone, Copy, Eq, PartialEq)]
#[non_exhaustive]
pub enum ProducerError {
    /// Another one is registered. Unregister it first.
    AlreadyRegistered,
    /// The connection is lost or our stream has ended: nothing can be produced for it. The producer was dropped.
    Closed,
}

impl fmt::Display for ProducerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::AlreadyRegistered => "the transport has a producer already: unregister it first",
            Self::Closed => "the connection is lost or our stream has ended: nothing can be produced for it",
        })
    }
}

torsade_reactor::debug_as_display!(ProducerError);

impl Error for ProducerError {}
