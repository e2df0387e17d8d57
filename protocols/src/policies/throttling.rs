//! Limits on bandwidth.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::fmt;
use std::rc::{Rc, Weak};
use std::time::Duration;

use torsade_reactor::spi::catch;
use torsade_reactor::{DelayedCall, Reactor, Result};

use crate::address::Address;
use crate::factory::{ClientFactory, Factory};
use crate::policies::limits::counted;
use crate::policies::wrapping::{ProtocolWrapper, WrappedProtocol, WrapperTransport};
use crate::protocol::Protocol;
use crate::reason::Reason;
use crate::shared_bytes::SharedBytes;

/// How often the bytes are totalled.
const WINDOW: Duration = Duration::from_secs(1);

/// Limits how many connections a factory has, and how many bytes a second all of them together read and write.
///
/// The bytes of each second are counted. If there were more than allowed, reading stops on all connections for as long as the
/// excess should have taken: after 25 bytes at a limit of 10, for 1.5 s. Writing is throttled by pausing producers; a connection
/// without a producer is not throttled when it writes. Connections above the limit are closed at once.
///
/// Unlike in Twisted, a pause requested by a protocol outlasts the throttling, a new connection waits with the others while
/// reading is throttled, and throttling continues while there is no connection, so that it cannot be evaded by reconnecting.
///
/// # Examples
/// ```no_run
/// use torsade::{Reactor, ReactorTcp, policies::ThrottlingFactory, wire};
///
/// let reactor = Reactor::new()?;
/// let throttled = ThrottlingFactory::new(|_peer| wire::Echo).max_connection_count(100).read_limit(64 * 1024);
/// reactor.listen_tcp("127.0.0.1:8007", throttled)?;
/// reactor.run()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[doc(alias = "ThrottlingProtocol")]
pub struct ThrottlingFactory<F> {
    factory: F,
    max_connections: usize,
    count: Rc<Cell<usize>>,
    state: Rc<Throttling>,
}

/// State shared by all connections of a factory.
#[derive(Default)]
struct Throttling {
    connections: RefCell<BTreeMap<u64, WrapperTransport>>,
    reading: Direction,
    writing: Direction,
}

#[derive(Default)]
struct Direction {
    /// Bytes a second.
    limit: Cell<Option<u64>>,
    this_second: Cell<u64>,
    check: RefCell<Option<DelayedCall>>,
    release: RefCell<Option<DelayedCall>>,
}

#[derive(Clone, Copy)]
enum Way {
    In,
    Out,
}

impl<F: Factory> ThrottlingFactory<F> {
    /// Wraps `factory` with no limits yet.
    #[must_use]
    pub fn new(factory: F) -> Self {
        Self { factory, max_connections: usize::MAX, count: Rc::default(), state: Rc::default() }
    }

    /// Sets the maximum number of simultaneous connections; default no limit.
    #[doc(alias = "maxConnectionCount")]
    #[must_use]
    pub fn max_connection_count(mut self, count: usize) -> Self {
        self.max_connections = count;
        self
    }

    /// Sets how many bytes a second may be read, over all connections; default no limit. 0 counts as 1.
    #[doc(alias = "readLimit")]
    #[must_use]
    pub fn read_limit(self, bytes: u64) -> Self {
        self.state.reading.limit.set(Some(bytes.max(1)));
        self
    }

    /// Sets how many bytes a second may be written, over all connections; default no limit. 0 counts as 1.
    #[doc(alias = "writeLimit")]
    #[must_use]
    pub fn write_limit(self, bytes: u64) -> Self {
        self.state.writing.limit.set(Some(bytes.max(1)));
        self
    }
}

impl<F: Factory> Factory for ThrottlingFactory<F> {
    fn build_protocol(&mut self, peer: &Address) -> Option<Box<dyn Protocol>> {
        if self.count.get() >= self.max_connections {
            log::info!("refusing {peer}: there are already {} connections", self.count.get());
            return None;
        }
        let protocol = self.factory.build_protocol(peer)?;
        self.count.set(self.count.get() + 1);
        let wrapper = Throttled { state: Rc::clone(&self.state) };
        let count = Rc::clone(&self.count);
        Some(counted(Box::new(WrappedProtocol::new(wrapper, protocol)), move || count.set(count.get() - 1)))
    }

    fn wrapped(&mut self) -> Option<&mut dyn Factory> {
        Some(&mut self.factory)
    }
}

impl<F: ClientFactory> ClientFactory for ThrottlingFactory<F> {
    fn wrapped_client(&mut self) -> Option<&mut dyn ClientFactory> {
        Some(&mut self.factory)
    }
}

impl Throttling {
    fn direction(&self, way: Way) -> &Direction {
        match way {
            Way::In => &self.reading,
            Way::Out => &self.writing,
        }
    }

    /// A connection is established: starts counting, unless that is already going on.
    fn begin(self: &Rc<Self>, reactor: &Reactor) {
        for way in [Way::In, Way::Out] {
            let direction = self.direction(way);
            if direction.limit.get().is_some() && direction.check.borrow().is_none() {
                direction.this_second.set(0);
                self.check_later(way, reactor);
            }
        }
    }

    fn check_later(self: &Rc<Self>, way: Way, reactor: &Reactor) {
        let (state, on) = (Rc::downgrade(self), reactor.clone());
        let check = reactor.call_later(WINDOW, move || Self::check(&state, way, &on));
        self.direction(way).check.replace(Some(check));
    }

    fn check(state: &Weak<Self>, way: Way, reactor: &Reactor) {
        let Some(state) = state.upgrade() else { return };
        let direction = state.direction(way);
        direction.check.take();
        let bytes = direction.this_second.take();
        if let Some(limit) = direction.limit.get().filter(|limit| bytes > *limit) {
            log::info!("throttling: {bytes} bytes in one second, but {limit} are allowed");
            #[expect(clippy::cast_precision_loss, reason = "a wait needs no exactness")]
            let wait = Duration::try_from_secs_f64(bytes as f64 / limit as f64 - 1.0).unwrap_or(Duration::MAX);
            state.hold_all(way, true);
            state.release_later(way, reactor, wait);
        }
        // Without connections there is nothing to count, but reconnecting must not cancel an excess.
        if !state.connections.borrow().is_empty() || direction.release.borrow().is_some() {
            state.check_later(way, reactor);
        }
    }

    /// Ends throttling after `wait`, unless that is already due later.
    fn release_later(self: &Rc<Self>, way: Way, reactor: &Reactor, wait: Duration) {
        let mut release = self.direction(way).release.borrow_mut();
        if let Some(earlier) = &*release {
            let end = reactor.now().saturating_add(wait);
            if earlier.time().is_some_and(|time| time < end) {
                // It has a time, so it is active and can be reset.
                earlier.reset(wait).ok();
            }
            return;
        }
        let weak = Rc::downgrade(self);
        *release = Some(reactor.call_later(wait, move || {
            if let Some(state) = weak.upgrade() {
                state.direction(way).release.take();
                state.hold_all(way, false);
            }
        }));
    }

    fn hold_all(&self, way: Way, on: bool) {
        let connections: Vec<WrapperTransport> = self.connections.borrow().values().cloned().collect();
        for connection in connections {
            match way {
                Way::In => connection.hold_reading(on),
                // A producer that fails does not affect the other connections.
                Way::Out => match catch(|| connection.hold_producer(on)) {
                    Ok(Ok(())) => {}
                    Ok(Err(error)) => connection.connection().fail_with(Reason::Protocol(error.into())),
                    Err(panic) => connection.connection().fail_with(Reason::Panicked(panic)),
                },
            }
        }
    }
}

struct Throttled {
    state: Rc<Throttling>,
}

impl ProtocolWrapper for Throttled {
    fn connection_made(&self, below: &WrapperTransport) -> Result {
        self.state.connections.borrow_mut().insert(below.id(), below.clone());
        self.state.begin(below.reactor());
        if self.state.reading.release.borrow().is_some() {
            below.hold_reading(true);
        }
        Ok(())
    }

    fn data_received(&self, _: &WrapperTransport, data: &[u8], above: &mut dyn FnMut(&[u8]) -> Result) -> Result {
        let count = &self.state.reading.this_second;
        count.set(count.get().saturating_add(data.len() as u64));
        above(data)
    }

    fn connection_lost(&self, below: &WrapperTransport, _: &Reason) {
        let removed = self.state.connections.borrow_mut().remove(&below.id());
        drop(removed);
    }

    fn write(&self, below: &WrapperTransport, data: &[u8]) {
        let count = &self.state.writing.this_second;
        count.set(count.get().saturating_add(data.len() as u64));
        below.write(data);
    }

    fn write_shared(&self, below: &WrapperTransport, data: &SharedBytes) {
        let count = &self.state.writing.this_second;
        count.set(count.get().saturating_add(data.len() as u64));
        below.write_shared(data);
    }
}

impl<F> fmt::Debug for ThrottlingFactory<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ThrottlingFactory")
            .field("max_connections", &self.max_connections)
            .field("count", &self.count.get())
            .finish_non_exhaustive()
    }
}
