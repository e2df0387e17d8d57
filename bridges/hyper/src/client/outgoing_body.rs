//! Request bodies.

use std::error::Error;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use hyper::body::{Body, Buf, Bytes, Frame, SizeHint};

use super::pace::Progress;

type BoxError = Box<dyn Error + Send + Sync>;

/// A body of any type that records progress as it is taken.
pub(super) struct OutgoingBody {
    /// `None` if it is empty.
    body: Option<Pin<Box<dyn AnyBody>>>,
    progress: Option<Progress>,
}

impl OutgoingBody {
    pub(super) fn new<B>(body: B) -> Self
    where
        B: Body + 'static,
        B::Error: Into<BoxError>,
    {
        let body = if body.is_end_stream() { None } else { Some(Box::pin(body) as Pin<Box<dyn AnyBody>>) };
        Self { body, progress: None }
    }

    pub(super) const fn empty() -> Self {
        Self { body: None, progress: None }
    }

    pub(super) fn set_progress(&mut self, progress: &Progress) {
        self.progress = Some(progress.clone());
    }
}

impl Body for OutgoingBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let Some(body) = &mut self.body else {
            return Poll::Ready(None);
        };
        let frame = ready!(body.as_mut().poll(context));
        if let Some(progress) = &self.progress {
            progress.note();
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(|body| body.is_ended())
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map_or_else(|| SizeHint::with_exact(0), |body| body.size())
    }
}

/// A body whose data type is converted to `Bytes`.
trait AnyBody {
    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>>;
    fn is_ended(&self) -> bool;
    fn size(&self) -> SizeHint;
}

impl<B> AnyBody for B
where
    B: Body,
    B::Error: Into<BoxError>,
{
    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let frame = ready!(self.poll_frame(context));
        Poll::Ready(frame.map(|frame| match frame {
            Ok(frame) => Ok(frame.map_data(|mut data| data.copy_to_bytes(data.remaining()))),
            Err(error) => Err(error.into()),
        }))
    }

    fn is_ended(&self) -> bool {
        self.is_end_stream()
    }

    fn size(&self) -> SizeHint {
        self.size_hint()
    }
}
