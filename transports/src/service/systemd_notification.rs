//! Notifying systemd of a service's state, sd_notify(3).

use std::cell::RefCell;
use std::env;
use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

use torsade_protocols::{Address, DatagramProtocol, DatagramTransport, UnixName};
use torsade_reactor::{Deferred, Reactor, Result, defer, report_error};

use super::{Service, TimerService};
use crate::ends::reactor_unix::ReactorUnix;

/// Notifies systemd of the program's state, as `Type=notify` of systemd.service(5) requires; a cheap handle.
///
/// Add it last to a [`MultiService`](super::MultiService): the services added before it have then started when it starts, and
/// still run when it stops. Its start sends `READY=1`, its stop `STOPPING=1`. If the unit has a `WatchdogSec=`, it sends
/// `WATCHDOG=1` from the loop, twice per period: if the loop hangs, systemd gets nothing and restarts the program.
///
/// A program that was not started by systemd (without `NOTIFY_SOCKET`) sends nothing. A failure to send is reported, and the
/// program goes on.
///
/// # Examples
/// ```
/// use torsade::prelude::*;
/// use torsade::service::{MultiService, StreamServerEndpointService, SystemdNotification};
/// use torsade::wire::Echo;
///
/// let services = MultiService::new();
/// services.add_service(StreamServerEndpointService::new("127.0.0.1:0", |_peer| Echo)?)?;
/// let systemd = SystemdNotification::from_env();
/// services.add_service(systemd.clone())?;
/// systemd.set_status("waiting for connections");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
#[doc(alias = "sd_notify")]
pub struct SystemdNotification(Rc<Notification>);

struct Notification {
    socket: Option<UnixName>,
    watchdog: Option<Duration>,
    running: RefCell<Option<Running>>,
}

struct Running {
    transport: DatagramTransport,
    heartbeat: Option<TimerService>,
}

impl SystemdNotification {
    /// Uses the socket and the watchdog period in the environment: `NOTIFY_SOCKET`, and `WATCHDOG_USEC` if `WATCHDOG_PID` is this
    /// process or not set.
    #[must_use]
    pub fn from_env() -> Self {
        let socket = env::var_os("NOTIFY_SOCKET").map(socket_name);
        let number = |name: &str| env::var(name).ok().and_then(|value| value.parse::<u64>().ok());
        let is_ours = env::var_os("WATCHDOG_PID").is_none_or(|process| process == *std::process::id().to_string());
        let watchdog = number("WATCHDOG_USEC").filter(|time| *time > 0 && is_ours).map(Duration::from_micros);
        Self(Rc::new(Notification { socket, watchdog, running: RefCell::default() }))
    }

    /// Sends to the datagram socket `socket`; with a `watchdog` period, also `WATCHDOG=1` twice per period.
    #[must_use]
    pub fn new(socket: impl Into<UnixName>, watchdog: Option<Duration>) -> Self {
        Self(Rc::new(Notification { socket: Some(socket.into()), watchdog, running: RefCell::default() }))
    }

    /// Sets the line of text that `systemctl status` shows. Does nothing unless the service is running.
    ///
    /// Control characters, such as a line break, become spaces: a line break would begin another message.
    #[doc(alias = "STATUS")]
    pub fn set_status(&self, text: &str) {
        if let Some(running) = &*self.0.running.borrow() {
            running.transport.write(format!("STATUS={}", text.replace(char::is_control, " ")));
        }
    }
}

/// An abstract name begins with `@`.
fn socket_name(name: OsString) -> UnixName {
    match name.to_str().and_then(|name| name.strip_prefix('@')) {
        Some(name) => UnixName::Abstract(name.into()),
        None => UnixName::Path(PathBuf::from(name)),
    }
}

impl Service for SystemdNotification {
    fn start_service(&self, reactor: &Reactor) -> Result {
        let Some(socket) = self.0.socket.clone().filter(|_| self.0.running.borrow().is_none()) else { return Ok(()) };
        let transport = match reactor.connect_unix_datagram(socket.clone(), Unheard) {
            Ok(transport) => transport,
            Err(error) => {
                report_error("systemd", format_args!("{socket} cannot be notified: {error}"));
                return Ok(());
            }
        };
        transport.write("READY=1");
        let beating = transport.clone();
        let heartbeat = self.0.watchdog.map(|time| TimerService::new(time / 2, move || beating.write("WATCHDOG=1")));
        if let Some(heartbeat) = &heartbeat {
            heartbeat.start_service(reactor)?;
        }
        self.0.running.replace(Some(Running { transport, heartbeat }));
        Ok(())
    }

    fn stop_service(&self) -> Deferred<()> {
        let running = self.0.running.take();
        let Some(Running { transport, heartbeat }) = running else { return defer::succeed(()) };
        transport.write("STOPPING=1");
        transport.stop_listening();
        heartbeat.map_or_else(|| defer::succeed(()), |heartbeat| heartbeat.stop_service())
    }

    fn name(&self) -> String {
        "what systemd is told".to_owned()
    }
}

impl fmt::Debug for SystemdNotification {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Notification { socket, watchdog, .. } = &*self.0;
        f.debug_struct("SystemdNotification").field("socket", socket).field("watchdog", watchdog).finish_non_exhaustive()
    }
}

/// Receives nothing: systemd does not answer.
struct Unheard;

impl DatagramProtocol for Unheard {
    fn datagram_received(&mut self, _: &DatagramTransport, _: &[u8], _: &Address) -> Result {
        Ok(())
    }
}
