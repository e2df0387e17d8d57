//! The service, for the requests of one connection.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use hyper::Request;
use hyper::body::Incoming;
use hyper::service::Service;

use super::connections::Open;
use super::logging::{Chain, ServiceFailed};
use crate::request_body::CommonOfBodies;
use crate::{ConnectionInfo, RequestBody, TorsadeTimer};

pub(super) struct ConnectionService<S> {
    service: S,
    common: Arc<CommonOfBodies>,
}

impl<S> ConnectionService<S>
where
    S: Service<Request<RequestBody>>,
    S::Error: Into<Box<dyn Error + Send + Sync>>,
{
    pub(super) fn new(service: S, open: &Open, timer: &TorsadeTimer, timeout: Duration) -> Self {
        let connection = ConnectionInfo::of(open.transport());
        Self { service, common: Arc::new(CommonOfBodies { connection, timer: timer.clone(), timeout }) }
    }

    pub(super) fn call(&self, request: Request<Incoming>) -> S::Future {
        self.service.call(request.map(|body| RequestBody::new(body, &self.common)))
    }

    /// Logs that the service has failed.
    pub(super) fn failed(&self, error: S::Error) -> ServiceFailed {
        let error = error.into();
        log::error!("the HTTP service failed for {}: {}", self.common.connection.peer(), Chain(&*error));
        ServiceFailed(error)
    }
}
