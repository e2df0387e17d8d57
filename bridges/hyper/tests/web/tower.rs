//! tower's services as hyper's: a request waits until its clone of the service is ready.

use std::cell::RefCell;
use std::future::{Ready, ready};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use http_body_util::Full;
use hyper::body::Bytes;
use hyper::{Request, Response};
use torsade::prelude::*;
use torsade_hyper::{HttpServer, RequestBody, TowerService};

use crate::simulated::heard;

/// Is ready, or has failed, once opened; answers with the client's address.
#[derive(Clone, Default)]
struct Gate {
    open: Rc<RefCell<Open>>,
    ready: bool,
}

#[derive(Default)]
struct Open {
    outcome: Option<Result<(), &'static str>>,
    waker: Option<Waker>,
}

impl tower_service::Service<Request<RequestBody>> for Gate {
    type Response = Response<Full<Bytes>>;
    type Error = &'static str;
    type Future = Ready<Result<Response<Full<Bytes>>, &'static str>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), &'static str>> {
        let mut open = self.open.borrow_mut();
        open.waker = Some(context.waker().clone());
        self.ready = open.outcome == Some(Ok(()));
        open.outcome.map_or(Poll::Pending, Poll::Ready)
    }

    fn call(&mut self, request: Request<RequestBody>) -> Self::Future {
        assert!(self.ready, "it is called when it has said that it is ready");
        ready(Ok(Response::new(Full::from(request.body().connection().peer().to_string()))))
    }
}

/// What a client receives in this many seconds from a service that is ready or fails after two.
fn heard_of(outcome: Result<(), &'static str>, seconds: u64) -> String {
    let start = |reactor: &Reactor| {
        let gate = Gate::default();
        let open = Rc::clone(&gate.open);
        reactor.call_later(Duration::from_secs(2), move || {
            let mut open = open.borrow_mut();
            open.outcome = Some(outcome);
            open.waker.take().expect("a request waits").wake();
        });
        Ok(HttpServer::new(TowerService::new(gate)).listen(reactor, "tcp:80")?)
    };
    heard(start, "/", seconds)
}

#[test]
fn a_request_waits_until_the_service_is_ready() {
    assert_eq!(heard_of(Ok(()), 1), "");
    let answer = heard_of(Ok(()), 3);
    assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("\r\n\r\n10.0.0.2:"), "{answer}");
}

#[test]
fn a_service_that_fails_before_it_is_ready_fails_the_request() {
    assert_eq!(heard_of(Err("overloaded"), 3), "");
}
