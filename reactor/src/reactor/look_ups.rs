//! Look-ups of host names, shared by all callers that ask for the same name and limited in number, whatever the resolver.
//!
//! A query waits, is under way, or has ended; the table has those of the first two kinds. Each asker's Deferred is fired from the
//! loop, unless it is cancelled first.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::error::Error;
use std::fmt;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::rc::Rc;

use super::Reactor;
use super::reactor_handle::ReactorHandle;
use crate::defer::{Deferred, Failure, Firer, fail};
use crate::panic::catch;
use crate::report::{drop_quietly, report_error};
use crate::resolver::{Resolver, SystemResolver};

/// How many are under way at a time. On the operating system each uses a thread, for half a minute if no server answers.
const UNDER_WAY: usize = 32;
/// How many more names may wait.
const WAITING: usize = 1024;

/// The names being looked up, those that wait, and their askers.
#[derive(Default)]
pub(super) struct LookUps {
    /// `None` for the system's resolver.
    resolver: RefCell<Option<Rc<dyn Resolver>>>,
    queries: RefCell<HashMap<String, Rc<Query>>>,
    /// Queries not under way yet, in the order in which they were asked for; each has an asker.
    waiting: RefCell<VecDeque<Rc<Query>>>,
    under_way: Cell<usize>,
    next_id: Cell<u64>,
}

/// A name and its askers, in order. While the query is under way it may lose its last asker.
struct Query {
    name: String,
    begun: Cell<bool>,
    askers: RefCell<BTreeMap<u64, Firer<Vec<SocketAddr>>>>,
}

/// Too many names are waiting to be looked up: 1,024, while 32 are under way.
///
/// Try again once some have ended. A name that is already being waited for can be asked for at any time.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct TooManyLookUps;

impl Reactor {
    /// Looks up the addresses of a host name, without blocking the loop.
    ///
    /// The addresses have port 0, and link-local ones their scope id; they are in the order in which they should be tried.
    /// Callers that ask for the same name share one look-up. 32 look-ups are under way at a time, and 1,024 more names may wait,
    /// in order. Unless [`set_resolver`](Self::set_resolver) was called, the system does each look-up, on a thread of its own
    /// outside the pool. Text that is already an address (`::1`, `fe80::1%eth0`) always goes to the system.
    ///
    /// Cancelling the Deferred withdraws the question: a look-up that has not begun, and that nothing else waits for, never
    /// begins. A Deferred that is only dropped keeps its place.
    ///
    /// # Errors
    /// The Deferred fails with the resolver's [`io::Error`], also if the name has no addresses; with [`TooManyLookUps`], at once;
    /// or with a [`DeferredError`](crate::DeferredError), if it is cancelled or the reactor stops first.
    ///
    /// # Examples
    /// ```
    /// use torsade::Reactor;
    ///
    /// let reactor = Reactor::new()?;
    /// let addresses = reactor.resolve("localhost");
    /// let addresses = reactor.run_until(async move { Ok(addresses.await?) })?;
    /// assert!(addresses.iter().all(|address| address.ip().is_loopback()));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[doc(alias = "getHostByName")]
    #[track_caller]
    pub fn resolve(&self, name: &str) -> Deferred<Vec<SocketAddr>> {
        let look_ups = &self.0.look_ups;
        let query = match look_ups.query(name) {
            Ok(query) => query,
            Err(error) => return fail(error),
        };
        let id = look_ups.next_id.get();
        look_ups.next_id.set(id + 1);
        let (asked, weak) = (Rc::clone(&query), Rc::downgrade(look_ups));
        let (addresses, firer) = Deferred::with_canceller(move |_| {
            if let Some(look_ups) = weak.upgrade() {
                look_ups.withdraw(&asked, id);
            }
        });
        query.askers.borrow_mut().insert(id, firer);
        self.begin_look_ups();
        addresses
    }

    /// Sets the resolver for all further look-ups; default [`SystemResolver`].
    ///
    /// Everything that connects by name uses it. Look-ups under way continue with the previous one. The limits and the sharing of
    /// look-ups apply to every resolver: see [`resolve`](Self::resolve). It is dropped once the reactor has stopped.
    ///
    /// # Examples
    /// ```
    /// use torsade::{FixedResolver, Reactor, SystemResolver};
    ///
    /// let reactor = Reactor::new()?;
    /// let names = FixedResolver::new().with("db.test", ["127.0.0.1".parse()?, "::1".parse()?]);
    /// reactor.set_resolver(names.or(SystemResolver));
    /// let addresses = reactor.resolve("db.test");
    /// assert_eq!(reactor.run_until(async move { Ok(addresses.await?) })?.len(), 2);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[doc(alias = "IReactorPluggableResolver")]
    #[doc(alias = "IReactorPluggableNameResolver")]
    #[doc(alias = "installResolver")]
    #[doc(alias = "installNameResolver")]
    #[doc(alias = "nameResolver")]
    pub fn set_resolver(&self, resolver: impl Resolver + 'static) {
        let old = self.0.look_ups.resolver.replace(Some(Rc::new(resolver)));
        // Outside the borrow, because what it holds may use the reactor.
        drop(old);
    }

    fn begin_look_ups(&self) {
        while let Some(query) = self.0.look_ups.next() {
            let place = UnderWay { name: query.name.clone(), handle: self.handle(), ended: false };
            let resolved = Box::new(move |found| place.end(found));
            let resolver = self.0.look_ups.resolver.borrow().clone().filter(|_| !is_address(&query.name));
            let begun = catch(|| match resolver {
                Some(resolver) => resolver.resolve(self, &query.name, resolved),
                None => SystemResolver.resolve(self, &query.name, resolved),
            });
            if let Err(panic) = begun {
                report_error("a look-up", format_args!("the resolver, asked for {:?}, {panic}", query.name));
            }
        }
    }

    fn looked_up(&self, name: &str, found: io::Result<Vec<SocketAddr>>) {
        let query = self.0.look_ups.end(name);
        self.begin_look_ups();
        let Some(query) = query else { return };
        let found = found.map_err(Failure::new);
        loop {
            // Taken one by one, because a callback may cancel other look-ups.
            let asker = query.askers.borrow_mut().pop_first();
            let Some((_, firer)) = asker else { break };
            firer.fire(found.clone());
        }
    }
}

impl LookUps {
    /// The query for this name, which is new if nothing asks for it yet.
    fn query(&self, name: &str) -> Result<Rc<Query>, TooManyLookUps> {
        let known = self.queries.borrow().get(name).cloned();
        if let Some(query) = known {
            return Ok(query);
        }
        if self.waiting.borrow().len() >= WAITING {
            return Err(TooManyLookUps);
        }
        let query = Rc::new(Query { name: name.to_owned(), begun: Cell::new(false), askers: RefCell::default() });
        self.queries.borrow_mut().insert(name.to_owned(), Rc::clone(&query));
        self.waiting.borrow_mut().push_back(Rc::clone(&query));
        Ok(query)
    }

    /// The next query that may begin; from here on it counts as under way.
    fn next(&self) -> Option<Rc<Query>> {
        if self.under_way.get() >= UNDER_WAY {
            return None;
        }
        let query = self.waiting.borrow_mut().pop_front()?;
        query.begun.set(true);
        self.under_way.set(self.under_way.get() + 1);
        Some(query)
    }

    /// A look-up has ended: the next request for its name begins another.
    fn end(&self, name: &str) -> Option<Rc<Query>> {
        let query = self.queries.borrow_mut().remove(name)?;
        self.under_way.set(self.under_way.get() - 1);
        Some(query)
    }

    /// Removes an asker. After the last one, a query that has not begun need not begin.
    fn withdraw(&self, query: &Rc<Query>, id: u64) {
        // Dropped outside the borrow, because what it holds may use the reactor.
        let _firer = query.askers.borrow_mut().remove(&id);
        if query.askers.borrow().is_empty() && !query.begun.get() {
            self.queries.borrow_mut().remove(&query.name);
            self.waiting.borrow_mut().retain(|other| !Rc::ptr_eq(other, query));
        }
    }

    /// The number of names being waited for.
    pub(super) fn asked_for(&self) -> usize {
        self.queries.borrow().values().filter(|query| !query.askers.borrow().is_empty()).count()
    }

    /// Drops all askers and the resolver; look-ups under way end by themselves.
    pub(super) fn clear(&self) {
        drop_quietly("the resolver", self.resolver.take());
        let queries = self.queries.take();
        self.waiting.take();
        for query in queries.into_values() {
            query.askers.take().into_values().for_each(|firer| drop_quietly("what waited for a look-up", firer));
        }
    }
}

/// A look-up under way. It ends once; if the resolver drops its callback, with an error.
struct UnderWay {
    name: String,
    handle: ReactorHandle,
    ended: bool,
}

impl UnderWay {
    fn end(mut self, found: io::Result<Vec<SocketAddr>>) {
        self.tell(found);
    }

    fn tell(&mut self, found: io::Result<Vec<SocketAddr>>) {
        self.ended = true;
        let name = std::mem::take(&mut self.name);
        if self.handle.call_from_thread(move |reactor| reactor.looked_up(&name, found)).is_err() {
            log::debug!("a look-up ended after the reactor had stopped");
        }
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        if !self.ended {
            self.tell(Err(io::Error::other("the resolver gave no answer")));
        }
    }
}

/// Returns whether the text is an address, perhaps with a scope: no name contains a colon.
fn is_address(name: &str) -> bool {
    name.contains(':') || name.parse::<Ipv4Addr>().is_ok()
}

impl fmt::Display for TooManyLookUps {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{WAITING} other names wait to be looked up: try again later")
    }
}

impl Error for TooManyLookUps {}
