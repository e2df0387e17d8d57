//! The service, as the requests of one connection have it.

use std::error::Error;
use std::time::Duration;

use hyper::Request;
use hyper::body::Incoming;
use hyper::service::Service;

use super::connections::Open;
use super::telling::{Chain, ServiceFailed};
use crate::{ConnectionInfo, RequestBody, TorsadeTimer};

/// The service of one connection.
pub(super) struct ConnectionService<S> {
    service: S,
    info: ConnectionInfo,
    timer: TorsadeTimer,
    timeout: Duration,
}

impl<S> ConnectionService<S>
where
    S: Service<Request<RequestBody>>,
    S::Error: Into<Box<dyn Error + Send + Sync>>,
{
    pub(super) fn new(service: S, open: &Open, timer: &TorsadeTimer, timeout: Duration) -> Self {
        Self { service, info: ConnectionInfo::of(open.transport()), timer: timer.clone(), timeout }
    }

    pub(super) fn call(&self, mut request: Request<Incoming>) -> S::Future {
        request.extensions_mut().insert(self.info.clone());
        self.service.call(request.map(|body| RequestBody::new(body, &self.timer, self.timeout)))
    }

    /// Tells the log that the service has failed.
    pub(super) fn failed(&self, error: S::Error) -> ServiceFailed {
        let error = error.into();
        log::error!("the HTTP service failed for {}: {}", self.info.peer(), Chain(&*error));
        ServiceFailed(error)
    }
}
