//! Parts of a program that are started and stopped together.
//!
//! The counterpart of Twisted's `twisted.application.service` and `twisted.application.internet`.

mod backoff_policy;
mod client;
mod process_monitor;
mod run;
mod server;
mod systemd_notification;
mod timer;
mod tree;

pub use backoff_policy::backoff_policy;
pub use client::ClientService;
pub use process_monitor::ProcessMonitor;
pub use run::{run_service, run_service_on};
pub use server::StreamServerEndpointService;
pub use systemd_notification::SystemdNotification;
pub use timer::TimerService;
pub use tree::{MultiService, Parent};

use std::any::Any;
use std::rc::Rc;

use torsade_reactor::{Deferred, Reactor, Result};

/// A part of a program that can be started and stopped, and started again.
#[doc(alias = "IService")]
pub trait Service: Any {
    /// Starts the service. Called from the loop, or before the loop runs: it may begin work, but must not wait for it.
    ///
    /// # Errors
    /// The reason why it cannot start. The services that were started with it are then stopped again.
    #[doc(alias = "startService")]
    fn start_service(&self, reactor: &Reactor) -> Result;

    /// Stops the service. The Deferred fires once nothing of it is left, or at once if it is not running.
    #[doc(alias = "stopService")]
    fn stop_service(&self) -> Deferred<()>;

    /// Returns the service's name for the log.
    fn name(&self) -> String {
        "a service".to_owned()
    }

    /// Called when the service is added to a [`MultiService`]. A service that looks up others there keeps `parent`; the default
    /// ignores it.
    #[doc(alias = "setServiceParent")]
    fn set_service_parent(&self, parent: &Parent) {
        let _ = parent;
    }
}

impl<S: Service + ?Sized> Service for Rc<S> {
    fn start_service(&self, reactor: &Reactor) -> Result {
        (**self).start_service(reactor)
    }

    fn stop_service(&self) -> Deferred<()> {
        (**self).stop_service()
    }

    fn name(&self) -> String {
        (**self).name()
    }

    fn set_service_parent(&self, parent: &Parent) {
        (**self).set_service_parent(parent);
    }
}
