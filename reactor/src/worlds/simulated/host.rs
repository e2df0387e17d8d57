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

/// One host of a simulation; a cheap handle that can stand wherever a [`Reactor`] can.
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

    /// The reactor of the program on this host.
    #[must_use]
    pub const fn reactor(&self) -> &Reactor {
        &self.reactor
    }

    /// Its address; the first one, if it has several.
    #[must_use]
    pub const fn ip(&self) -> IpAddr {
        self.ip
    }

    /// Gives it a further address, such as one of the other family: its programs can listen there, and use it towards hosts of that
    /// family.
    ///
    /// # Panics
    /// If `ip` is no IP address, is another host's, or means every host itself.
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
        assert!(known.is_none(), "{ip} is an address of a host already");
        self.world.network.borrow_mut().add_address(self.place, address);
    }

    /// Has `name` looked up as this host, with all the addresses that it has now, by every host and by itself.
    pub fn add_name(&self, name: &str) {
        let addresses: Vec<_> = self.world.network.borrow().addresses(self.place).collect();
        addresses.into_iter().for_each(|ip| self.world.network.borrow_mut().add_name(name, ip));
    }

    /// Sends the program a signal, as from outside. Does nothing if it has ended.
    ///
    /// What the program [takes](Reactor::on_signal) is called in its next turn; SIGINT and SIGTERM begin a graceful stop
    /// otherwise, SIGHUP, SIGUSR1 and SIGUSR2 [kill](Self::kill) it, and the others do nothing.
    pub fn signal(&self, signal: Signal) {
        if !self.reactor.has_stopped() {
            self.world.signal(self.place, signal.into());
        }
    }

    /// Kills the program, as SIGKILL does: none of its callbacks is called any more, and its system closes its sockets.
    ///
    /// So its peers see the end of the stream behind all that was written to the socket, or a reset if there was unread
    /// input. Called from one of the program's own callbacks, it comes after the present turn. What the program holds is
    /// dropped, which may run its `Drop`, and fails the Deferreds that nobody can fire any more. Does nothing to a program
    /// that has ended.
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

    /// Crashes the host, as a power failure does: it is silent until its [`restart`](Self::restart).
    ///
    /// Its connections vanish, and its peers are not told: what they send gets no answer, and is lost with ETIMEDOUT after
    /// [`retransmission_timeout`](super::Faults::retransmission_timeout); if the host is restarted sooner, with a reset. Who only
    /// waits to be sent something waits for ever, unless it has a timeout of its own. The program ends as by
    /// [`kill`](Self::kill).
    pub fn crash(&self) {
        self.world.end_program(self.place, Ending::PowerFailed);
    }

    /// Gives the program a standard input and output, whose other ends the test has; its next `standard_io` takes them.
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

    /// Installs a program on this host, which the programs there can start as a child process, by `spawn_process` with this name.
    ///
    /// `main` is called when it is started, with a [`Program`] of its own: a program of a closure, with a reactor like any other,
    /// whose standard input, output and error are pipes to its parent. It has ended when its reactor has stopped, with status 0;
    /// by [`Program::exit`], with that status; with 1 if `main` fails, and 101 if it panics; or by a signal. SIGINT and SIGTERM stop
    /// its reactor gracefully, every other signal kills it. That its parent ends is for it the end of its pipes alone; a
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

    /// Begins a new program on this host, with a fresh reactor, which the next run starts.
    ///
    /// The old handle stays with the old program; [`Simulation::host`](super::Simulation::host) gives the new one from now on.
    /// Names, partitions and faults stay.
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

/// The text of its address, for [`Simulation::partition`](super::Simulation::partition) and
/// [`Log::on`](crate::event_log::Log::on).
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
