//! One host of a simulation.

use std::fmt;
use std::net::IpAddr;
use std::ops::Deref;
use std::rc::Rc;

use crate::backend::Signal;
use crate::reactor::Reactor;

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
        Self { world, place, ip, name: ip.to_string().into(), reactor }
    }

    /// The reactor of the program on this host.
    #[must_use]
    pub const fn reactor(&self) -> &Reactor {
        &self.reactor
    }

    /// Its address.
    #[must_use]
    pub const fn ip(&self) -> IpAddr {
        self.ip
    }

    /// Sends the program a signal, as from outside: an orderly stop begins in its next turn.
    pub fn signal(&self, signal: Signal) {
        self.world.network.borrow_mut().signal(self.place, signal);
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
