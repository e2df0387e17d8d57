//! Parts of a program that are started and stopped together.
//!
//! They are in this crate because most services listen or connect. The counterpart of Twisted's `twisted.application.service`
//! and `twisted.application.internet`.

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

/// Something that is started and stopped, and may be started again.
#[doc(alias = "IService")]
pub trait Service: Any {
    /// Starts it; called from the loop, or before the loop runs. It may begin work, but not wait for it.
    ///
    /// # Errors
    /// Whatever keeps it from starting: the services that were started with it are stopped again.
    #[doc(alias = "startService")]
    fn start_service(&self, reactor: &Reactor) -> Result;

    /// Stops it. The Deferred fires once nothing of it is left; at once if it is not running.
    #[doc(alias = "stopService")]
    fn stop_service(&self) -> Deferred<()>;

    /// Its name in the log.
    fn name(&self) -> String {
        "a service".to_owned()
    }

    /// It was added to a [`MultiService`]. A service that looks others up there keeps this; by default it does not.
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
