//! A simulated world: several hosts in one process, with one virtual time and one seed.
//!
//! A [`Simulation`] has hosts, each with an IP address and a [`Reactor`], and a network between them. A program takes `&Reactor`
//! and does not see the difference. Nothing waits: when no host has anything to do, time jumps to the next event. While callbacks
//! run, it stands still. All randomness is drawn from the seed, within the bounds of [`Faults`], so the same seed gives the same
//! run, byte for byte.
//!
//! [`simulate`] runs a scenario with many seeds, and says how to repeat a failing one.
//!
//! # Like the real world
//! Sockets behave as on Linux under mio:
//!
//! - Readiness is reported once for each edge. A short write means that the buffer is full; room is reported once a third of it
//!   is free.
//! - A receiver announces new room once it amounts to half its buffer or a full segment.
//! - What arrived in order is read before a reset is seen. Closing a socket with unread data resets the connection, and data for
//!   a closed socket is answered with a reset.
//! - Bytes arrive in the order in which they were written; connections may overtake each other.
//! - A [partition](Simulation::partition) holds back what is sent until it is healed or the sender gives up.
//! - Sockets of other systems, [without edges](Faults::without_edges), are available too.
//!
//! UDP datagrams are lost, duplicated and reordered according to [`Faults`]; they are also lost in a partition, or when the
//! receiver's buffer is full. A connected socket is told if nothing receives at its peer. Multicast and broadcast reach all
//! hosts. UNIX datagrams stay within their host and are never lost: a sender finds no room instead.
//!
//! # Simplifications
//! - A host has one interface besides 127.0.0.1, so the interface on which a group is joined does not matter. All hosts are on
//!   one local network.
//! - The sender knows at once what has arrived and what was read: acknowledgements take no time.
//! - Hosts reach each other whatever the families of their addresses.
//! - `set_tcp_nodelay` and `set_tcp_keepalive` are remembered and have no effect: no small write is ever delayed.
//! - No attempt connects to itself: if nothing listens it is refused, whatever its own port.
//! - Thread-pool jobs run on the one thread, in one piece, at the time at which they end. A blocking job blocks everything.
//! - Everyone may connect to a UNIX socket, whatever its mode, and directories need not exist.
//! - Real threads may call into a simulated reactor, but a simulation does not wait for them.
//!
//! # Addresses
//! `127.0.0.1`, `localhost`, `[::1]`, `0.0.0.0` and `[::]` mean the host itself. Port 0 takes free ports from 49152 on, in order.
//! Names are added by [`Host::add_name`] and [`Simulation::add_name`]; `localhost` is the host itself, in both families. An
//! address of no host is unreachable, after 3 s.
//!
//! UNIX socket names are local to a host. Their files behave as on a real system: closing a port removes its file, a killed
//! program or crashed host leaves it behind, and listening with a lock replaces it.

mod children;
pub(crate) mod clock;
mod console;
mod datagram_traffic;
mod datagrams;
mod ending;
mod error;
mod faults;
mod host;
mod link;
mod local;
pub(crate) mod memory;
mod memory_peer;
mod network;
mod passing;
mod places;
mod process;
mod program;
mod queue;
mod rng;
mod script;
mod seeds;
mod sockets;
mod traffic;
mod world;

use std::fmt;
use std::net::IpAddr;
use std::rc::Rc;
use std::time::Duration;

use crate::event_log::Log;
#[cfg(doc)]
use crate::reactor::Reactor;

use world::{Ended, World};

pub use console::Console;
pub use error::SimulationError;
pub use faults::Faults;
pub use host::Host;
pub use program::Program;
pub use seeds::{Outcome, simulate, simulate_with};

/// A set of hosts with a network between them and a virtual time; a cheap handle.
///
/// The simulation ends when the value returned by [`new`](Self::new) is dropped: connections are aborted, and everything the
/// hosts' reactors hold is dropped. Clones are for callbacks that change the network while it runs; they do not keep it alive.
///
/// # Limits
/// A run ends with an error after 5 million turns ([`set_turn_limit`](Self::set_turn_limit)), or after 100,000 turns without time
/// passing, so that a bug does not hang.
///
/// # Examples
/// ```
/// use std::cell::Cell;
/// use std::rc::Rc;
/// use std::time::Duration;
/// use torsade::simulated::Simulation;
///
/// let simulation = Simulation::new(1);
/// let host = simulation.host("10.0.0.1");
/// let rung = Rc::new(Cell::new(false));
/// let bell = Rc::clone(&rung);
/// host.call_later(Duration::from_secs(3600), move || bell.set(true));
///
/// simulation.run_until(|| rung.get())?; // takes no time
/// assert_eq!(simulation.now(), Duration::from_secs(3600));
/// # Ok::<(), torsade::simulated::SimulationError>(())
/// ```
#[doc(alias = "FakeDatagramTransport")]
#[doc(alias = "loopbackTCP")]
#[doc(alias = "loopbackUNIX")]
pub struct Simulation {
    world: Rc<World>,
    seed: u64,
    /// Whether it came from `new`, and so ends the simulation.
    owns: bool,
}

impl Simulation {
    /// Makes an empty simulation without faults.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self::with_faults(seed, Faults::calm())
    }

    /// Makes an empty simulation with these faults.
    #[must_use]
    pub fn with_faults(seed: u64, faults: Faults) -> Self {
        Self { world: World::new(seed, faults), seed, owns: true }
    }

    /// The seed of all randomness.
    #[must_use]
    pub const fn seed(&self) -> u64 {
        self.seed
    }

    /// The time since the simulation was made.
    #[must_use]
    pub fn now(&self) -> Duration {
        self.world.now()
    }

    /// The host with this IP address; made if it does not exist.
    ///
    /// Its reactor is started by the next run. After a host's program has ended, [`restart`](Host::restart) starts another.
    ///
    /// # Panics
    /// If `ip` is not an IP address or is a loopback or wildcard one, or if the simulation has ended.
    pub fn host(&self, ip: &str) -> Host {
        Host::new(Rc::clone(&self.world), parse_other(ip))
    }

    /// Makes `name` resolve to `ip` on every host. Added again, the name gets several addresses. For a host's own name there is
    /// [`Host::add_name`].
    ///
    /// # Panics
    /// If `ip` is not an IP address.
    pub fn add_name(&self, name: &str, ip: impl AsRef<str>) {
        self.world.network.borrow_mut().add_name(name, parse(ip.as_ref()));
    }

    /// The current faults.
    #[must_use]
    pub fn faults(&self) -> Faults {
        self.world.network.borrow().faults.clone()
    }

    /// Changes the faults from now on. Sockets keep the buffers and slowness they were drawn with.
    pub fn set_faults(&self, faults: Faults) {
        self.world.network.borrow_mut().faults = faults;
    }

    /// Cuts the network between two hosts: what they send each other is held back.
    ///
    /// # Panics
    /// If there is no such host.
    pub fn partition(&self, a: impl AsRef<str>, b: impl AsRef<str>) {
        let (a, b) = (self.place(a.as_ref()), self.place(b.as_ref()));
        self.world.network.borrow_mut().part(a, b);
    }

    /// Ends a partition: what was held back arrives after a retransmission.
    ///
    /// # Panics
    /// If there is no such host.
    pub fn heal(&self, a: impl AsRef<str>, b: impl AsRef<str>) {
        let (a, b) = (self.place(a.as_ref()), self.place(b.as_ref()));
        self.world.network.borrow_mut().heal(a, b);
    }

    /// Draws a number below `bound` from the seed, to vary a scenario.
    #[must_use]
    pub fn draw(&self, bound: u64) -> u64 {
        self.world.network.borrow_mut().rng.below(bound)
    }

    /// Runs until `condition` is true; it is checked after each turn of all hosts.
    ///
    /// # Limits
    /// An hour of simulated time: see [`set_time_limit`](Self::set_time_limit).
    ///
    /// # Errors
    /// If it is not true in that time, or if nothing more will ever happen: see [`SimulationError`].
    pub fn run_until(&self, condition: impl FnMut() -> bool) -> Result<(), SimulationError> {
        let limit = self.world.time_limit.get();
        match self.world.run(Some(self.now().saturating_add(limit)), condition)? {
            Ended::Done => Ok(()),
            Ended::Idle => Err(SimulationError::Idle { report: self.world.report() }),
            Ended::Time => Err(SimulationError::TimeLimit { limit, report: self.world.report() }),
        }
    }

    /// Runs for this long, whatever happens.
    ///
    /// # Errors
    /// If there were too many turns: see [`SimulationError`].
    pub fn run_for(&self, time: Duration) -> Result<(), SimulationError> {
        let until = self.now().saturating_add(time);
        self.world.run(Some(until), || false)?;
        self.world.jump(until);
        Ok(())
    }

    /// Runs until nothing is left to happen: no delayed call on any host, and nothing in transit.
    ///
    /// # Errors
    /// If there were too many turns, as with a program that sends heartbeats: see [`SimulationError`].
    pub fn run_until_idle(&self) -> Result<(), SimulationError> {
        self.world.run(None, || false).map(drop)
    }

    /// Sets the maximum number of turns of a run; default 5 million.
    pub fn set_turn_limit(&self, turns: u64) {
        self.world.turn_limit.set(turns);
    }

    /// Sets the maximum simulated time of a [`run_until`](Self::run_until); default an hour.
    pub fn set_time_limit(&self, time: Duration) {
        self.world.time_limit.set(time);
    }

    /// Everything dispatched so far, on all hosts.
    #[must_use]
    pub fn log(&self) -> Log {
        self.world.log.borrow().clone()
    }

    /// Sets whether a log is kept; default true. An event costs about 150 bytes of memory.
    pub fn set_logging(&self, on: bool) {
        self.world.logging.set(on);
    }

    /// The number of connections the network still knows; one that both sides have closed is removed once everything has arrived.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.world.network.borrow().links.len()
    }

    /// The current state: hosts, connections, partitions. For messages; the format is not stable.
    #[must_use]
    pub fn report(&self) -> String {
        self.world.report()
    }

    fn place(&self, ip: &str) -> usize {
        let place = self.world.network.borrow().find_host(parse(ip));
        let Some(place) = place else { panic!("there is no host {ip} in the simulation") };
        place
    }
}

impl Clone for Simulation {
    fn clone(&self) -> Self {
        Self { world: Rc::clone(&self.world), seed: self.seed, owns: false }
    }
}

impl Drop for Simulation {
    fn drop(&mut self) {
        if self.owns {
            self.world.end();
        }
    }
}

impl fmt::Debug for Simulation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Simulation").field("seed", &self.seed).field("now", &self.now()).finish_non_exhaustive()
    }
}

/// Parses an address that belongs to a single host.
fn parse_other(ip: &str) -> IpAddr {
    let address = parse(ip);
    assert!(!address.is_loopback() && !address.is_unspecified(), "{ip} means each host itself: choose another address");
    address
}

fn parse(ip: &str) -> IpAddr {
    let Ok(address) = ip.parse() else { panic!("{ip:?} is not an IP address") };
    address
}
