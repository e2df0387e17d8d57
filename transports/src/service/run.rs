//! Running a program that is one service.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use torsade_reactor::{Reactor, Result};

use super::Service;

/// Runs a service, most often a [`MultiService`](super::MultiService), until SIGINT or SIGTERM, and stops it gracefully.
///
/// Stopping waits for the service for at most `deadline`. Connections that are still open then have the same time again to
/// finish writing, and are aborted after that.
///
/// # Errors
/// The error of the service's start, or those of [`Reactor::run`].
///
/// # Examples
/// ```no_run
/// use std::time::Duration;
/// use torsade::prelude::*;
/// use torsade::service::{MultiService, StreamServerEndpointService, run_service};
///
/// struct Echo;
///
/// impl Protocol for Echo {
///     fn data_received(&mut self, transport: &Transport, data: &[u8]) -> Result {
///         transport.write(data);
///         Ok(())
///     }
/// }
///
/// fn main() -> Result {
///     let services = MultiService::new();
///     services.add_service(StreamServerEndpointService::new("127.0.0.1:8000", |_peer| Echo)?)?;
///     run_service(services, Duration::from_secs(5))
/// }
/// ```
#[doc(alias = "Application")]
#[doc(alias = "twistd")]
pub fn run_service(service: impl Service + 'static, deadline: Duration) -> Result {
    run_service_on(&Reactor::new()?, service, deadline)
}

/// Like [`run_service`], on your own reactor, which [`Reactor::stop`] stops as well.
///
/// # Errors
/// As [`run_service`].
pub fn run_service_on(reactor: &Reactor, service: impl Service + 'static, deadline: Duration) -> Result {
    reactor.set_stop_timeout(deadline);
    let service = Rc::new(service);
    let failed = Rc::new(RefCell::new(None));
    let (there, started, starter) = (Rc::clone(&failed), Rc::clone(&service), reactor.clone());
    reactor.call_when_running(move || {
        if let Err(error) = started.start_service(&starter) {
            there.replace(Some(error));
            // An error means that it is stopping already.
            starter.stop().ok();
        }
    });
    reactor.before_shutdown(move || service.stop_service());
    reactor.run()?;
    failed.take().map_or(Ok(()), Err)
}
