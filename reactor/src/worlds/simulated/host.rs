//! One host of a simulation.

use std::ffi::OsStr;
use std::fmt;
use std::net::IpAddr;
use std::ops::Deref;
use std::rc::Rc;

use crate::backend::{ProcessSignal, Signal};
use crate::error::Result;
use crate::reactor::Reactor;

use super::console::Console;
use super::ending::Ending;
use super::parse_other;
use super::program::Program;
use super::world::World;

/// One host of a simulation; a cheap handle that can be used as a [`Reactor`].
#[derive(Clone)]
pub struct Host {
    world: Rc<World>,
    place: usize,
    ip: IpAddr,
    name: Rc<str>,
    reactor: Reactor,
}

impl Host {
    pub(super) fn new(world: Rc<World>, ip: IpAddr) -> Self {
        let (place, reactor) = world.host(ip);
        let ip = world.network.borrow().host_ip(place);
        Self { world, place, ip, name: ip.to_string().into(), reactor }
    }

    /// The reactor of this host's program.
    #[must_use]
    pub const fn reactor(&self) -> &Reactor {
        &self.reactor
    }

    /// Its address; the first one if it has several.
    #[must_use]
    pub const fn ip(&self) -> IpAddr {
        self.ip
    }

    /// Adds another address, for example of the other IP version: its programs can listen on it, and use it towards hosts of that
    /// version.
    ///
    /// # Panics
    /// If `ip` is not an IP address, belongs to another host, or is a loopback or wildcard address.
    ///
    /// # Examples
    /// ```
    /// use torsade::{prelude::*, simulated::Simulation, wire::Echo};
    ///
    /// let simulation = Simulation::new(1);
    /// let server = simulation.host("10.0.0.2");
    /// server.add_address("fd00::2");
    /// server.add_name("server.test");
    /// server.listen_tcp("[fd00::2]:7", |_peer| Echo)?;
    /// let client = simulation.host("10.0.0.1");
    /// let connected = client.connect_protocol("server.test:7", Echo);
    /// simulation.run_until(|| connected.is_called())?;
    /// assert_eq!(connected.into_result().expect("it has fired")?.peer(), Address::Tcp("[fd00::2]:7".parse()?));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn add_address(&self, ip: &str) {
        let address = parse_other(ip);
        let known = self.world.network.borrow().find_host(address);
        assert!(known.is_none(), "{ip} already belongs to a host");
        self.world.network.borrow_mut().add_address(self.place, address);
    }

    /// Makes `name` resolve to this host's current addresses on every host, including this one.
    pub fn add_name(&self, name: &str) {
        let addresses: Vec<_> = self.world.network.borrow().addresses(self.place).collect();
        addresses.into_iter().for_each(|ip| self.world.network.borrow_mut().add_name(name, ip));
    }

    /// Sends the program a signal from outside. Does nothing if it has ended.
    ///
    /// If the program [handles](Reactor::on_signal) the signal, its call is made in the next turn. Otherwise SIGINT and SIGTERM
    /// begin a graceful stop, SIGHUP, SIGUSR1 and SIGUSR2 [kill](Self::kill) the program, and the others do nothing.
    pub fn signal(&self, signal: Signal) {
        if !self.reactor.has_stopped() {
            self.world.signal(self.place, signal.into());
        }
    }

    /// Kills the program, as SIGKILL does: none of its callbacks is called any more, and the system closes its sockets.
    ///
    /// Its peers see the end of the stream after everything written to the socket, or a reset if there was unread input. Called
    /// from one of the program's own callbacks, it takes effect after the current turn. What the program holds is dropped, which
    /// may run its `Drop`, and fails Deferreds that can no longer fire. Does nothing if the program has ended.
    ///
    /// # Examples
    /// ```
    /// use std::time::Duration;
    /// use torsade::{prelude::*, simulated::Simulation, wire::Echo};
    ///
    /// let simulation = Simulation::new(1);
    /// let server = simulation.host("10.0.0.1");
    /// server.listen_tcp("0.0.0.0:7", |_peer| Echo)?;
    /// simulation.run_for(Duration::from_secs(1))?;
    /// server.kill();
    /// let server = server.restart();
    /// server.listen_tcp("0.0.0.0:7", |_peer| Echo)?;
    /// simulation.run_for(Duration::from_secs(1))?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn kill(&self) {
        if !self.reactor.has_stopped() {
            self.world.end_program(self.place, Ending::Killed(ProcessSignal::KILL));
        }
    }

    /// Crashes the host, like a power failure: it is silent until [`restart`](Self::restart).
    ///
    /// Its connections vanish without notice to the peers. What they send is not answered, and the connection is lost with
    /// ETIMEDOUT after [`retransmission_timeout`](super::Faults::retransmission_timeout), or with a reset if the host is
    /// restarted sooner. A peer that only waits for data waits forever, unless it has a timeout of its own. The program ends as
    /// by [`kill`](Self::kill).
    pub fn crash(&self) {
        self.world.end_program(self.place, Ending::PowerFailed);
    }

    /// Gives the program a standard input and output whose other ends the test holds; its next `standard_io` uses them.
    ///
    /// # Examples
    /// ```
    /// use torsade::{prelude::*, simulated::Simulation, wire::Echo};
    ///
    /// let simulation = Simulation::new(1);
    /// let host = simulation.host("10.0.0.1");
    /// let console = host.console();
    /// host.standard_io(Echo)?;
    /// console.type_line("hello");
    /// simulation.run_until(|| console.shows("hello"))?;
    /// console.end();
    /// simulation.run_until(|| console.has_end())?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn console(&self) -> Console {
        Console::new(&self.world, self.place)
    }

    /// Installs a program on this host, which programs there can start as a child process, by calling `spawn_process` with this
    /// name.
    ///
    /// `main` is called at each start, with a [`Program`] that has a reactor like any other, and whose standard input, output and
    /// error are pipes to its parent. The program ends with status 0 when its reactor stops; with a status of its own by
    /// [`Program::exit`]; with 1 if `main` returns an error, and 101 if it panics; or by a signal. SIGINT and SIGTERM stop its
    /// reactor gracefully, every other signal kills it. When its parent ends, it only sees the end of its pipes; a
    /// [`crash`](Self::crash) ends all programs of the host. In the log it is `ADDRESS/NAME.PID`.
    ///
    /// # Examples
    /// ```
    /// use torsade::simulated::Simulation;
    /// use torsade::{get_process_output, prelude::*};
    ///
    /// let simulation = Simulation::new(1);
    /// let host = simulation.host("10.0.0.1");
    /// host.add_program("hello", |program| {
    ///     program.write(1, "hello, world");
    ///     program.exit(0);
    ///     Ok(())
    /// });
    /// let output = get_process_output(&host, Command::new("hello"));
    /// simulation.run_until(|| output.is_called())?;
    /// assert_eq!(output.into_result().expect("it has fired")?, b"hello, world");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn add_program(&self, name: impl AsRef<OsStr>, main: impl Fn(&Program) -> Result + 'static) {
        self.world.add_program(self.place, name.as_ref(), Rc::new(main));
    }

    /// Starts a new program on this host, with a fresh reactor, in the next run.
    ///
    /// The old handle stays with the old program; from now on [`Simulation::host`](super::Simulation::host) returns the new one.
    /// Names, partitions and faults are kept.
    ///
    /// # Panics
    /// If the program has not ended: [stop](Reactor::stop), [`kill`](Self::kill) or [`crash`](Self::crash) it first.
    #[must_use]
    pub fn restart(&self) -> Self {
        Self { reactor: self.world.restart(self.place), ..self.clone() }
    }
}

impl Deref for Host {
    type Target = Reactor;

    fn deref(&self) -> &Reactor {
        &self.reactor
    }
}

/// Its address as text, for [`Simulation::partition`](super::Simulation::partition) and [`Log::on`](crate::event_log::Log::on).
impl AsRef<str> for Host {
    fn as_ref(&self) -> &str {
        &self.name
    }
}

impl fmt::Debug for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Host").field("ip", &self.ip).field("reactor", &self.reactor).finish()
    }
}
