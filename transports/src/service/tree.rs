//! Services that consist of other services.

use std::any::Any;
use std::cell::RefCell;
use std::fmt;
use std::rc::{Rc, Weak};

use torsade_reactor::{Deferred, Reactor, Result, defer, report_error};

use super::Service;

/// Services that start in the order in which they were added, and stop in reverse; a cheap handle.
///
/// # Examples
/// A service finds another by its name:
/// ```
/// use std::cell::RefCell;
/// use torsade::{Deferred, Reactor, Result, defer};
/// use torsade::service::{MultiService, Parent, Service};
///
/// struct Database;
///
/// impl Service for Database {
///     fn start_service(&self, _: &Reactor) -> Result {
///         Ok(())
///     }
///
///     fn stop_service(&self) -> Deferred<()> {
///         defer::succeed(())
///     }
/// }
///
/// #[derive(Default)]
/// struct Web(RefCell<Parent>);
///
/// impl Service for Web {
///     fn start_service(&self, _: &Reactor) -> Result {
///         let program = self.0.borrow().get().ok_or("it is part of the program")?;
///         assert!(program.get_service_named::<Database>("db").is_some());
///         Ok(())
///     }
///
///     fn stop_service(&self) -> Deferred<()> {
///         defer::succeed(())
///     }
///
///     fn set_service_parent(&self, parent: &Parent) {
///         self.0.replace(parent.clone());
///     }
/// }
///
/// let program = MultiService::new();
/// program.add_service_named("db", Database)?;
/// program.add_service(Web::default())?;
/// program.start_service(&Reactor::new()?)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Default)]
pub struct MultiService(Rc<RefCell<Parts>>);

/// A weak handle to the [`MultiService`] that a service was added to.
#[derive(Clone, Default)]
pub struct Parent(Weak<RefCell<Parts>>);

#[derive(Default)]
struct Parts {
    services: Vec<Part>,
    running: Option<Reactor>,
    parent: Parent,
}

struct Part {
    /// `None` if it was added without a name.
    name: Option<Rc<str>>,
    service: Rc<dyn Service>,
}

impl MultiService {
    /// Makes a service without parts.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a part, and starts it if this service is running.
    ///
    /// # Errors
    /// The error of its start; it is not added then.
    #[doc(alias = "addService")]
    #[doc(alias = "setServiceParent")]
    pub fn add_service(&self, service: impl Service) -> Result {
        self.add(None, service)
    }

    /// Like [`add_service`](Self::add_service), with a name by which [`get_service_named`](Self::get_service_named) finds the
    /// part.
    ///
    /// # Errors
    /// As [`add_service`](Self::add_service), and if the name is taken.
    #[doc(alias = "setName")]
    pub fn add_service_named(&self, name: &str, service: impl Service) -> Result {
        if self.find(name).is_some() {
            return Err(format!("there is already a service named {name:?}: give this one another name").into());
        }
        self.add(Some(name.into()), service)
    }

    fn add(&self, name: Option<Rc<str>>, service: impl Service) -> Result {
        service.set_service_parent(&Parent(Rc::downgrade(&self.0)));
        let running = self.0.borrow().running.clone();
        if let Some(reactor) = running {
            service.start_service(&reactor)?;
        }
        self.0.borrow_mut().services.push(Part { name, service: Rc::new(service) });
        Ok(())
    }

    /// Returns the part that was added under this name; `None` if there is none, or if it has another type.
    #[doc(alias = "getServiceNamed")]
    #[must_use]
    pub fn get_service_named<S: Service>(&self, name: &str) -> Option<Rc<S>> {
        let service: Rc<dyn Any> = self.find(name)?;
        service.downcast().ok()
    }

    fn find(&self, name: &str) -> Option<Rc<dyn Service>> {
        let parts = self.0.borrow();
        parts.services.iter().find(|part| part.name.as_deref() == Some(name)).map(|part| Rc::clone(&part.service))
    }

    /// Returns the services that this one was added to; `None` if it was not added to any, or they are gone.
    #[must_use]
    pub fn parent(&self) -> Option<Self> {
        self.0.borrow().parent.get()
    }

    /// Returns the number of parts.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.borrow().services.len()
    }

    /// Whether it has no parts.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether it was started, and not stopped since.
    #[must_use]
    pub fn is_running(&self) -> bool {
        self.0.borrow().running.is_some()
    }
}

impl Service for MultiService {
    fn start_service(&self, reactor: &Reactor) -> Result {
        // Not borrowed while a service starts: it may add others.
        let mut started = Vec::new();
        let next = |index: usize| self.0.borrow().services.get(index).map(|part| Rc::clone(&part.service));
        while let Some(service) = next(started.len()) {
            log::debug!("starting {}", service.name());
            if let Err(error) = service.start_service(reactor) {
                report_error("service", format_args!("{} did not start: {error}", service.name()));
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
            parts.services.iter().map(|part| Rc::clone(&part.service)).collect::<Vec<_>>()
        };
        stop_all(&services)
    }

    fn name(&self) -> String {
        format!("{} services", self.len())
    }

    fn set_service_parent(&self, parent: &Parent) {
        self.0.borrow_mut().parent = parent.clone();
    }
}

impl Parent {
    /// Returns the services; `None` if the service was not added to any, or they are gone.
    #[must_use]
    pub fn get(&self) -> Option<MultiService> {
        self.0.upgrade().map(MultiService)
    }
}

/// Stops the services from the last to the first, and waits for all.
fn stop_all(services: &[Rc<dyn Service>]) -> Deferred<()> {
    let stopping = services.iter().rev().map(|service| {
        log::debug!("stopping {}", service.name());
        let name = service.name();
        service.stop_service().add_errback(move |failure| {
            report_error("service", format_args!("{name} did not stop gracefully: {failure}"));
        })
    });
    defer::deferred_list(stopping).add_callback(|_| ())
}

impl fmt::Debug for MultiService {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MultiService").field("len", &self.len()).field("running", &self.is_running()).finish()
    }
}

impl fmt::Debug for Parent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Parent").field(&self.get()).finish()
    }
}
