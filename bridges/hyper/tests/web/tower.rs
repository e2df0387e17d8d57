//! tower's services as hyper's: a request waits until its clone of the service is ready.

use std::cell::Cell;
use std::future::{Ready, ready};
use std::rc::Rc;
use std::task::{Context, Poll};

use futures_lite::future::{block_on, poll_once};
use hyper::service::Service;
use torsade_hyper::TowerService;

/// Gives a number back, if the number before was ready.
#[derive(Clone, Default)]
struct Gate {
    open: Rc<Cell<Option<Result<(), &'static str>>>>,
    ready: bool,
}

impl tower_service::Service<u32> for Gate {
    type Response = u32;
    type Error = &'static str;
    type Future = Ready<Result<u32, &'static str>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), &'static str>> {
        self.ready = self.open.get() == Some(Ok(()));
        self.open.get().map_or(Poll::Pending, Poll::Ready)
    }

    fn call(&mut self, number: u32) -> Self::Future {
        assert!(self.ready, "it is called when it has said that it is ready");
        ready(Ok(number))
    }
}

#[test]
fn a_request_waits_until_the_service_is_ready() {
    let gate = Gate::default();
    let service = TowerService::new(gate.clone());
    let (mut first, mut second) = (service.call(1), service.call(2));
    block_on(async {
        assert_eq!(poll_once(&mut first).await, None);
        gate.open.set(Some(Ok(())));
        assert_eq!(poll_once(&mut second).await, Some(Ok(2)), "each has a clone");
        assert_eq!(poll_once(&mut first).await, Some(Ok(1)));
    });
}

#[test]
fn a_service_that_fails_before_it_is_ready_fails_the_request() {
    let gate = Gate::default();
    gate.open.set(Some(Err("overloaded")));
    assert_eq!(block_on(TowerService::new(gate).call(1)), Err("overloaded"));
}
