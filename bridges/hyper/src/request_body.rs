//! The body of a request.

use std::error::Error;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use hyper::body::{Body, Bytes, Frame, Incoming, SizeHint};
use hyper::rt::{Sleep, Timer};

use crate::{ConnectionInfo, TorsadeTimer};

/// The body of a request that [`HttpServer`](crate::HttpServer) passes to its service, as a stream of pieces.
///
/// If an awaited piece does not arrive within the server's [`timeout`](crate::HttpServer::timeout), the body ends with an error.
/// The service has to limit the length of a body itself, for example with `http_body_util::Limited`.
///
/// It is `Send`, as axum requires, but can be used only on its reactor's thread: elsewhere it panics.
pub struct RequestBody {
    incoming: Incoming,
    common: Arc<CommonOfBodies>,
    /// The deadline of the awaited piece.
    deadline: Option<Pin<Box<dyn Sleep>>>,
    timed_out: bool,
}

/// What the bodies of all requests of a connection share.
pub(crate) struct CommonOfBodies {
    pub(crate) connection: ConnectionInfo,
    pub(crate) timer: TorsadeTimer,
    pub(crate) timeout: Duration,
}

impl RequestBody {
    pub(crate) fn new(incoming: Incoming, common: &Arc<CommonOfBodies>) -> Self {
        Self { incoming, common: Arc::clone(common), deadline: None, timed_out: false }
    }

    /// The connection that the request came on.
    #[must_use]
    pub fn connection(&self) -> &ConnectionInfo {
        &self.common.connection
    }

    fn poll_deadline(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let Self { common, deadline, .. } = self;
        deadline.get_or_insert_with(|| common.timer.sleep(common.timeout)).as_mut().poll(context)
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = RequestBodyError;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, RequestBodyError>>> {
        if self.timed_out {
            return Poll::Ready(None);
        }
        if let Poll::Ready(frame) = Pin::new(&mut self.incoming).poll_frame(context) {
            self.deadline = None;
            return Poll::Ready(frame.map(|frame| frame.map_err(RequestBodyError::Connection)));
        }
        ready!(self.poll_deadline(context));
        self.timed_out = true;
        Poll::Ready(Some(Err(RequestBodyError::TimedOut)))
    }

    fn is_end_stream(&self) -> bool {
        self.timed_out || self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}

impl fmt::Debug for RequestBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RequestBody").field("size_hint", &self.size_hint()).finish_non_exhaustive()
    }
}

/// Why a request's body is incomplete.
#[derive(Debug)]
#[non_exhaustive]
pub enum RequestBodyError {
    /// The connection was lost, the request was cancelled, or it was not valid HTTP.
    Connection(hyper::Error),
    /// The peer sent nothing of the body within the server's [`timeout`](crate::HttpServer::timeout).
    TimedOut,
}

impl fmt::Display for RequestBodyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connection(error) => error.fmt(f),
            Self::TimedOut => f.write_str("timed out: the next piece of the request's body did not arrive"),
        }
    }
}

impl Error for RequestBodyError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Connection(error) => error.source(),
            Self::TimedOut => None,
        }
    }
}
