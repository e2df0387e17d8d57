//! The requests of an HTTP/2 connection, and their answers.

use std::any::Any;
use std::error::Error;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use hyper::body::Incoming;
use hyper::service::Service;
use hyper::{Request, Response};
use pin_project_lite::pin_project;

use super::connection_service::ConnectionService;
use super::connections::Open;
use super::logging::ServiceFailed;
use super::stream::{Pieces, Stream, Streams};
use crate::RequestBody;

/// The service of an HTTP/2 connection, as hyper calls it.
pub(super) struct Http2<S> {
    pub(super) service: Rc<ConnectionService<S>>,
    pub(super) open: Rc<Open>,
    pub(super) streams: Streams,
}

impl<S, B> Service<Request<Incoming>> for Http2<S>
where
    S: Service<Request<RequestBody>, Response = Response<B>>,
    S::Error: Into<Box<dyn Error + Send + Sync>>,
{
    type Response = Response<Pieces<B>>;
    type Error = ServiceFailed;
    type Future = AnswerFuture<S>;

    fn call(&self, request: Request<Incoming>) -> AnswerFuture<S> {
        let stream = self.streams.begin(&self.open);
        // A panic must end only the stream; this task is the connection's.
        let (answer, panic) = match catch_unwind(AssertUnwindSafe(|| self.service.call(request))) {
            Ok(answer) => (Some(answer), None),
            Err(panic) => (None, Some(panic)),
        };
        AnswerFuture { stream, service: Rc::clone(&self.service), answer, panic }
    }
}

pin_project! {
    pub(super) struct AnswerFuture<S: Service<Request<RequestBody>>> {
        #[pin]
        answer: Option<S::Future>,
        // The panic of the call, instead of an answer.
        panic: Option<Box<dyn Any + Send>>,
        service: Rc<ConnectionService<S>>,
        stream: Rc<Stream>,
    }
}

impl<S, B> Future for AnswerFuture<S>
where
    S: Service<Request<RequestBody>, Response = Response<B>>,
    S::Error: Into<Box<dyn Error + Send + Sync>>,
{
    type Output = Result<Response<Pieces<B>>, ServiceFailed>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        if let Some(panic) = this.panic.take() {
            resume_unwind(panic);
        }
        let Some(answer) = this.answer.as_pin_mut() else { return Poll::Pending };
        let response = ready!(answer.poll(context)).map_err(|error| this.service.failed(error))?;
        Poll::Ready(Ok(response.map(|body| Pieces::new(body, Rc::clone(this.stream)))))
    }
}
