//! Producers: sources of data that a transport pauses and resumes.

pub(crate) mod consumers;
pub(crate) mod file_sender;

use std::error::Error;
use std::fmt;

use torsade_reactor::Result;

use crate::transport::Transport;

/// A source of data for a transport, which pauses and resumes it.
///
/// It is registered with [`Transport::register_producer`], as streaming (push) or not (pull):
/// - A *push* producer writes by itself. It is paused when the transport's unsent bytes reach the high watermark, and resumed
///   once they fall below the low one.
/// - A *pull* producer writes once for each [`resume_producing`](Self::resume_producing), which is called whenever the transport
///   has no unsent bytes. The first call does not wait for that, so that the first piece leaves with what was written before. If
///   the producer writes nothing, it is not called again until something was written.
///
/// To send a file or any other [`Read`](std::io::Read), use a [`FileSender`](crate::FileSender), a pull producer that calls a
/// function at the end.
///
/// Calls come from the loop, not from inside `write`. An `Err` closes the consumer's connection.
///
/// A [`Transport`] is itself a push producer: after `there.register_producer(here.clone(), true)`, `here` is read no faster than
/// `there` can send. Once `here` is lost or closing, or its peer has ended its stream, it unregisters itself.
#[doc(alias = "IPushProducer")]
#[doc(alias = "IPullProducer")]
pub trait Producer {
    /// Produce: continue (push), or write the next piece (pull).
    ///
    /// # Errors
    /// Any error closes the consumer's connection, with that reason.
    #[doc(alias = "resumeProducing")]
    fn resume_producing(&mut self, consumer: &Transport) -> Result;

    /// Pause until resumed. Never called on a pull producer.
    ///
    /// # Errors
    /// Any error closes the consumer's connection, with that reason.
    #[doc(alias = "pauseProducing")]
    fn pause_producing(&mut self, consumer: &Transport) -> Result {
        let _ = consumer;
        Ok(())
    }

    /// The consumer is gone: stop producing. Called once, before the consumer's `connection_lost`; not called after
    /// [`Transport::unregister_producer`].
    #[doc(alias = "stopProducing")]
    fn stop_producing(&mut self) {}

    /// The transport that produces, if there is one. Asked once, at registration. A producer that wraps a transport returns that
    /// transport, so that the end of the transport unregisters the producer.
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
    /// The connection is lost or our stream has ended, so nothing can be sent. The producer was dropped.
    Closed,
}

impl fmt::Display for ProducerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::AlreadyRegistered => "the transport already has a producer: unregister it first",
            Self::Closed => "the connection is lost or our stream has ended: nothing can be produced for it",
        })
    }
}

torsade_reactor::debug_as_display!(ProducerError);

impl Error for ProducerError {}
