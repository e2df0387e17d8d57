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
/// `http_body_util::BodyExt` collects it, and `Limited` limits how much. It is received only as it is read. When it was read to
/// the end, the connection is reused for other requests. Dropping it earlier ends the connection, or in HTTP/2 the stream, unless
/// the rest has already arrived.
///
/// # Errors
/// A [`ClientError`]: `Closed` if the body is shorter than announced, or ends in a way that may be a truncation; `TimedOut` if
/// the next piece does not arrive within the client's timeout.
pub struct ResponseBody {
    incoming: Incoming,
    /// `None` once it was read or has failed.
    reading: Option<SendWrapper<Reading>>,
}

struct Reading {
    pace: Pace,
    lease: Lease,
    /// Whether a piece is being awaited: only then does the timeout run.
    waiting: bool,
}

impl ResponseBody {
    pub(super) fn new(incoming: Incoming, pace: Pace, lease: Lease) -> Self {
        let mut body = Self { incoming, reading: Some(SendWrapper::new(Reading { pace, lease, waiting: false })) };
        body.finish_at_end();
        body
    }

    /// The body of a response that has none.
    pub(super) const fn ended(incoming: Incoming) -> Self {
        Self { incoming, reading: None }
    }

    /// Returns the connection to the pool if the response is complete.
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
        // hyper checks whether the rest is here when it finds the body dropped.
        self.finish(false);
    }
}

impl fmt::Debug for ResponseBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseBody").field("size_hint", &self.size_hint()).finish_non_exhaustive()
    }
}
