//! A simulated outside world: several hosts in one process, one virtual time, one seed.
//!
//! A [`Simulation`] has hosts, each with an IP address and a [`Reactor`] of its own, and a network between them. A
//! program takes `&Reactor` and does not see the difference. Nothing waits: when no host has anything to do, the time
//! jumps to what happens next. While callbacks run, it stands still. Everything that chance decides is drawn from the
//! seed, within the bounds of [`Faults`], so the same seed gives the same run, byte for byte.
//!
//! [`simulate`] runs a scenario with many seeds, and says how to repeat the one that fails.
//!
//! # What is as in the real world
//! Sockets behave as those of Linux under mio: readiness is reported once for each edge; a short write means that the
//! buffer is full, and room is reported once a third of it is free; a receiver tells its peer of new room once that is half
//! its buffer or a full segment; what arrived in order is read before a reset is seen; a socket that is closed with unread
//! data resets its peer, and data for a closed socket is answered with a reset. Bytes arrive in the order in which they
//! were written; connections overtake each other. A [partition](Simulation::partition) holds back what is sent, until it is
//! healed or the sender gives up. Sockets of other systems, [without edges](Faults::without_edges), can be had, too.
//!
//! Datagrams of UDP are lost, doubled and overtaken as [`Faults`] say, and also lost in a partition, or when the receiver's buffer is
//! full; who is connected to a port that nobody has is told. Groups and broadcasts reach all hosts. UNIX datagrams stay within their
//! host and are never lost: a sender finds no room instead.
//!
//! # What is simpler
//! - A host has one interface, besides 127.0.0.1: on which one a group is joined does not matter. All hosts are of one local network.
//! - The sender knows at once what has arrived, and what was read: acknowledgements take no time.
//! - Hosts reach each other whichever family their addresses are of.
//! - `set_tcp_nodelay` and `set_tcp_keepalive` are remembered and do nothing: no small write is ever held back.
//! - No attempt meets itself: where nobody listens it is refused, whichever port it has itself.
//! - Thread-pool jobs run on the one thread, in one piece, at the time at which they end. One that blocks blocks all.
//! - Everybody may connect to a UNIX socket, whatever mode it was given, and no directory has to exist.
//! - Real threads may call into a simulated reactor, but a simulation does not wait for them.
//!
//! # Addresses
//! `127.0.0.1`, `localhost`, `[::1]`, `0.0.0.0` and `[::]` mean the host itself. Port 0 chooses free ports from 49152 on,
//! in order. Names are those of [`Host::add_name`] and [`Simulation::add_name`]; `localhost` is the host itself, in both families. An address that no host has is unreachable, after 3 s.
//!
//! The names of UNIX sockets are each host's own. Their files live and end as those of the system do: a port that is closed removes
//! its file, a program that is killed or a host that crashes leaves it behind, and who listens with a lock replaces it.

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

/// Hosts, a network between them, and a virtual time; a cheap handle.
///
/// The simulation ends when the value that [`new`](Self::new) returned is dropped: connections are aborted, and whatever
/// the hosts' reactors hold is let go. Clones are for callbacks, which may change the network while it runs; they do not
/// keep it going.
///
/// # Limits
/// A run ends with an error after 5 million turns ([`set_turn_limit`](Self::set_turn_limit)), or after 100,000 turns at
/// one moment; so a bug does not hang.
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
    /// It came from `new` and ends the simulation.
    owns: bool,
}

impl Simulation {
    /// Makes an empty world in which nothing fails.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self::with_faults(seed, Faults::calm())
    }

    /// Makes an empty world that is as bad as `faults` says.
    #[must_use]
    pub fn with_faults(seed: u64, faults: Faults) -> Self {
        Self { world: World::new(seed, faults), seed, owns: true }
    }

    /// The number that everything is drawn from.
    #[must_use]
    pub const fn seed(&self) -> u64 {
        self.seed
    }

    /// The time since the simulation was made.
    #[must_use]
    pub fn now(&self) -> Duration {
        self.world.now()
    }

    /// The host with the given IP address, which is made if there is none.
    ///
    /// Its reactor is started by the next run. A host whose program has ended gets another by
    /// [`restart`](Host::restart).
    ///
    /// # Panics
    /// If `ip` is no IP address, or one that means every host itself; or if the simulation has ended.
    pub fn host(&self, ip: &str) -> Host {
        Host::new(Rc::clone(&self.world), parse_other(ip))
    }

    /// Has `name` looked up as `ip` by every host; added again, a name gets several addresses. For a host's own name there is
    /// [`Host::add_name`].
    ///
    /// # Panics
    /// If `ip` is no IP address.
    pub fn add_name(&self, name: &str, ip: impl AsRef<str>) {
        self.world.network.borrow_mut().add_name(name, parse(ip.as_ref()));
    }

    /// How bad the world is now.
    #[must_use]
    pub fn faults(&self) -> Faults {
        self.world.network.borrow().faults.clone()
    }

    /// Makes the world better or worse from now on; buffers and slowness of sockets stay as they were drawn.
    pub fn set_faults(&self, faults: Faults) {
        self.world.network.borrow_mut().faults = faults;
    }

    /// Cuts the way between two hosts: what they send each other is held back.
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

    /// Draws a number below `bound` from the seed; for scenarios that vary with it.
    #[must_use]
    pub fn draw(&self, bound: u64) -> u64 {
        self.world.network.borrow_mut().rng.below(bound)
    }

    /// Runs until `condition` holds; it is looked at after each turn of all hosts.
    ///
    /// # Limits
    /// An hour of simulated time, see [`set_time_limit`](Self::set_time_limit).
    ///
    /// # Errors
    /// If it does not hold in that time, or nothing will ever happen any more; see [`SimulationError`].
    pub fn run_until(&self, condition: impl FnMut() -> bool) -> Result<(), SimulationError> {
        let limit = self.world.time_limit.get();
        match self.world.run(Some(self.now().saturating_add(limit)), condition)? {
            Ended::Done => Ok(()),
            Ended::Idle => Err(SimulationError::Idle { report: self.world.report() }),
            Ended::Time => Err(SimulationError::TimeLimit { limit, report: self.world.report() }),
        }
    }

    /// Runs for some time, whatever happens.
    ///
    /// # Errors
    /// If there were too many turns; see [`SimulationError`].
    pub fn run_for(&self, time: Duration) -> Result<(), SimulationError> {
        let until = self.now().saturating_add(time);
        self.world.run(Some(until), || false)?;
        self.world.jump(until);
        Ok(())
    }

    /// Runs until nothing is left to happen: no delayed call on any host, nothing on the way between them.
    ///
    /// # Errors
    /// If there were too many turns, as with a program that has heartbeats; see [`SimulationError`].
    pub fn run_until_idle(&self) -> Result<(), SimulationError> {
        self.world.run(None, || false).map(drop)
    }

    /// Sets how many turns one run may take; 5 million unless set.
    pub fn set_turn_limit(&self, turns: u64) {
        self.world.turn_limit.set(turns);
    }

    /// Sets how long [`run_until`](Self::run_until) goes on, in simulated time; an hour unless set.
    pub fn set_time_limit(&self, time: Duration) {
        self.world.time_limit.set(time);
    }

    /// What was dispatched so far, on all hosts.
    #[must_use]
    pub fn log(&self) -> Log {
        self.world.log.borrow().clone()
    }

    /// Keeps a log or not; on unless set. An event costs about 150 bytes of memory.
    pub fn set_logging(&self, on: bool) {
        self.world.logging.set(on);
    }

    /// How many connections the network still knows; those that both sides have closed are gone once all has arrived.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.world.network.borrow().links.len()
    }

    /// What is going on: hosts, connections, partitions. For messages, in no fixed format.
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

/// An address that is one host's.
fn parse_other(ip: &str) -> IpAddr {
    let address = parse(ip);
    assert!(!address.is_loopback() && !address.is_unspecified(), "{ip} means every host itself: choose another address");
    address
}

fn parse(ip: &str) -> IpAddr {
    let Ok(address) = ip.parse() else { panic!("{ip:?} is no IP address") };
    address
}
