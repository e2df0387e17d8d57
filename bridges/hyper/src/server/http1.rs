//! The requests of an HTTP/1 connection, and their answers.

use std::cell::RefCell;
use std::error::Error;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::service::Service;
use hyper::{Method, Request, Response, StatusCode};
use pin_project_lite::pin_project;

use super::connection_service::ConnectionService;
use super::head_deadline::{Answering, HeadDeadline};
use super::logging::ServiceFailed;
use crate::RequestBody;
use crate::upgrade::Upgrade;

/// The service of an HTTP/1 connection, as hyper calls it.
pub(super) struct Http1<S> {
    pub(super) service: Rc<ConnectionService<S>>,
    pub(super) deadline: Rc<HeadDeadline>,
    /// An upgrade that was requested and answered: the connection leaves HTTP.
    pub(super) upgrade: Rc<RefCell<Option<Upgrade>>>,
}

impl<S, B> Service<Request<Incoming>> for Http1<S>
where
    S: Service<Request<RequestBody>, Response = Response<B>>,
    S::Error: Into<Box<dyn Error + Send + Sync>>,
{
    type Response = Response<Answer<B>>;
    type Error = ServiceFailed;
    type Future = AnswerFuture<S>;

    fn call(&self, mut request: Request<Incoming>) -> AnswerFuture<S> {
        let upgrade = Upgrade::begin(&mut request).map(|upgrade| Asked {
            upgrade,
            tunnel: request.method() == Method::CONNECT,
            answered: Rc::clone(&self.upgrade),
        });
        AnswerFuture {
            answering: Some(Answering::begin(&self.deadline)),
            service: Rc::clone(&self.service),
            upgrade,
            answer: self.service.call(request),
        }
    }
}

/// An upgrade that a request asks for.
struct Asked {
    upgrade: Upgrade,
    tunnel: bool,
    answered: Rc<RefCell<Option<Upgrade>>>,
}

impl Asked {
    fn answer(self, status: StatusCode) {
        if status == StatusCode::SWITCHING_PROTOCOLS || self.tunnel && status.is_success() {
            self.answered.replace(Some(self.upgrade));
        } else {
            self.upgrade.decline();
        }
    }
}

pin_project! {
    /// A pending answer. A type rather than an `async` block, which would be moved three more times together with the request.
    pub(super) struct AnswerFuture<S: Service<Request<RequestBody>>> {
        #[pin]
        answer: S::Future,
        service: Rc<ConnectionService<S>>,
        upgrade: Option<Asked>,
        answering: Option<Answering>,
    }
}

impl<S, B> Future for AnswerFuture<S>
where
    S: Service<Request<RequestBody>, Response = Response<B>>,
    S::Error: Into<Box<dyn Error + Send + Sync>>,
{
    type Output = Result<Response<Answer<B>>, ServiceFailed>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let response = ready!(this.answer.poll(context)).map_err(|error| this.service.failed(error))?;
        if let Some(asked) = this.upgrade.take() {
            asked.answer(response.status());
        }
        let answering = this.answering.take();
        Poll::Ready(Ok(response.map(|body| Answer { body, answering })))
    }
}

pin_project! {
    /// The body of an answer; hyper drops it when it has taken all of it.
    pub(super) struct Answer<B> {
        #[pin]
        body: B,
        answering: Option<Answering>,
    }
}

impl<B: Body> Body for Answer<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        self.project().body.poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
