//! Services that consist of others.

use std::cell::RefCell;
use std::fmt;
use std::rc::Rc;

use torsade_reactor::{Deferred, Reactor, Result, defer, report_error};

use super::Service;

/// Services that start in the order in which they were added, and stop in reverse; a cheap handle.
#[derive(Clone, Default)]
pub struct MultiService(Rc<RefCell<Parts>>);

#[derive(Default)]
struct Parts {
    services: Vec<Rc<dyn Service>>,
    running: Option<Reactor>,
}

impl MultiService {
    /// A service without parts.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a part, and starts it if this service is running.
    ///
    /// # Errors
    /// Those of its start; it is not added then.
    #[doc(alias = "addService")]
    #[doc(alias = "setServiceParent")]
    pub fn add_service(&self, service: impl Service + 'static) -> Result {
        let running = self.0.borrow().running.clone();
        if let Some(reactor) = running {
            service.start_service(&reactor)?;
        }
        self.0.borrow_mut().services.push(Rc::new(service));
        Ok(())
    }

    /// How many parts there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.borrow().services.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether it was started and not stopped.
    #[must_use]
    pub fn is_running(&self) -> bool {
        self.0.borrow().running.is_some()
    }
}

impl Service for MultiService {
    fn start_service(&self, reactor: &Reactor) -> Result {
        // Not borrowed while they start: a service may add others.
        let mut started = Vec::new();
        let next = |index: usize| self.0.borrow().services.get(index).cloned();
        while let Some(service) = next(started.len()) {
            log::debug!("starting {}", service.name());
            if let Err(error) = service.start_service(reactor) {
                report_error("service", format_args!("{} does not start: {error}", service.name()));
                stop_all(&started).detach();
                return Err(error);
            }
            started.push(service);
        }
        self.0.borrow_mut().running = Some(reactor.clone());
        Ok(())
    }

    fn stop_service(&self) -> Deferred<()> {
        let services = {
            let mut parts = self.0.borrow_mut();
            if parts.running.take().is_none() {
                return defer::succeed(());
            }
            parts.services.clone()
        };
        stop_all(&services)
    }

    fn name(&self) -> String {
        format!("{} services", self.len())
    }
}

/// Stops them, from the last to the first, and waits for all.
fn stop_all(services: &[Rc<dyn Service>]) -> Deferred<()> {
    let stopping = services.iter().rev().map(|service| {
        log::debug!("stopping {}", service.name());
        let name = service.name();
        service.stop_service().add_errback(move |failure| {
            report_error("service", format_args!("{name} does not stop gracefully: {failure}"));
        })
    });
    defer::deferred_list(stopping).add_callback(|_| ())
}

impl fmt::Debug for MultiService {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MultiService").field("len", &self.len()).field("running", &self.is_running()).finish()
    }
}
