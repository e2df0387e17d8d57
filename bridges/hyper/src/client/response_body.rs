//! The body of a response.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use hyper::body::{Body, Bytes, Frame, Incoming, SizeHint};
use send_wrapper::SendWrapper;

use super::error::ClientError;
use super::lease::Lease;
use super::pace::Pace;

/// The body of a response to a [`Client`](crate::Client)'s request, as a stream of pieces.
///
/// `http_body_util::BodyExt` collects it; `Limited` bounds what is collected. What is not read is not received: the connection
/// waits. Once it was read to its end, the connection is used for other requests. Dropped before, it ends the connection, or
/// the stream in HTTP/2, unless the rest was here already.
///
/// # Errors
/// A [`ClientError`]: `Closed` where the body is shorter than it says, or its end is not known to be one, `TimedOut` where the
/// next piece does not come within the client's timeout.
pub struct ResponseBody {
    incoming: Incoming,
    /// None once it was read, or has failed.
    reading: Option<SendWrapper<Reading>>,
}

struct Reading {
    pace: Pace,
    lease: Lease,
    /// A piece is being waited for: only then does time count.
    waiting: bool,
}

impl ResponseBody {
    pub(super) fn new(incoming: Incoming, pace: Pace, lease: Lease) -> Self {
        let mut body = Self { incoming, reading: Some(SendWrapper::new(Reading { pace, lease, waiting: false })) };
        body.finish_at_end();
        body
    }

    /// One of a response that has none.
    pub(super) const fn ended(incoming: Incoming) -> Self {
        Self { incoming, reading: None }
    }

    /// Gives the connection back if nothing more belongs to this response.
    fn finish_at_end(&mut self) {
        if self.incoming.is_end_stream() {
            self.finish(true);
        }
    }

    fn finish(&mut self, complete: bool) {
        if let Some(reading) = self.reading.take() {
            reading.take().lease.finish(complete);
        }
    }
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = ClientError;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, ClientError>>> {
        let Self { incoming, reading: Some(reading) } = &mut *self else {
            return Poll::Ready(None);
        };
        let error = match Pin::new(incoming).poll_frame(context) {
            Poll::Ready(Some(Ok(frame))) => {
                reading.waiting = false;
                self.finish_at_end();
                return Poll::Ready(Some(Ok(frame)));
            }
            Poll::Ready(None) => {
                self.finish(true);
                return Poll::Ready(None);
            }
            Poll::Ready(Some(Err(error))) => error.into(),
            Poll::Pending => {
                if !std::mem::replace(&mut reading.waiting, true) {
                    reading.pace.progress().note();
                }
                ready!(reading.pace.poll_late(context))
            }
        };
        if let Some(reading) = self.reading.take() {
            reading.take().lease.abandon(&error);
        }
        Poll::Ready(Some(Err(error)))
    }

    fn is_end_stream(&self) -> bool {
        self.reading.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        if self.reading.is_none() { SizeHint::with_exact(0) } else { self.incoming.size_hint() }
    }
}

impl Drop for ResponseBody {
    fn drop(&mut self) {
        // hyper looks whether the rest is here, once it sees that nobody wants it.
        self.finish(false);
    }
}

impl fmt::Debug for ResponseBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseBody").field("size_hint", &self.size_hint()).finish_non_exhaustive()
    }
}
