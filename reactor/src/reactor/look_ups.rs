//! Look-ups of host names, shared by all callers that ask for the same name and limited in number, whatever the resolver.
//!
//! A query waits, is under way, or has ended; the table has those of the first two kinds. Each asker is called exactly once from
//! the loop, unless it drops its [`LookUp`] first.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::error::Error;
use std::fmt;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::rc::{Rc, Weak};

use super::Reactor;
use super::reactor_handle::ReactorHandle;
use crate::error::copy_error;
use crate::panic::catch;
use crate::report::{drop_quietly, report_error};
use crate::resolver::{Resolver, SystemResolver};

/// How many are under way at a time. On the operating system each uses a thread, for half a minute if no server answers.
const UNDER_WAY: usize = 32;
/// How many more names may wait.
const WAITING: usize = 1024;

/// Called with the addresses for one asker.
type Done = Box<dyn FnOnce(io::Result<Vec<SocketAddr>>)>;

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
    askers: RefCell<BTreeMap<u64, Done>>,
}

/// A pending look-up, made by [`Reactor::resolve`]. If dropped, it no longer calls back.
///
/// If it is dropped before it has begun, and nothing else waits for the name, it never begins.
#[must_use = "dropped at once, it never calls back"]
pub struct LookUp {
    query: Rc<Query>,
    id: u64,
    look_ups: Weak<LookUps>,
}

/// Too many names are waiting to be looked up: 1,024, while 32 are under way.
///
/// Try again once some have ended. A name that is already being waited for can be asked for at any time.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct TooManyLookUps;

impl Reactor {
    /// Looks up the addresses of a host name without blocking the loop. Then calls `done` from the loop, unless the [`LookUp`]
    /// was dropped.
    ///
    /// The addresses have port 0, and link-local ones their scope id; they are in the order in which they should be tried.
    /// Callers that ask for the same name share one look-up. 32 look-ups are under way at a time, and 1,024 more names may wait,
    /// in order. Unless [`set_resolver`](Self::set_resolver) was called, the system does each look-up, on a thread of its own
    /// outside the pool. Text that is already an address (`::1`, `fe80::1%eth0`) always goes to the system.
    ///
    /// # Errors
    /// [`TooManyLookUps`]. A name without addresses is an error passed to `done`.
    ///
    /// # Examples
    /// ```
    /// use torsade::Reactor;
    ///
    /// let reactor = Reactor::new()?;
    /// let stopper = reactor.clone();
    /// let look_up = reactor.resolve("localhost", move |found| {
    ///     assert!(found.is_ok_and(|addresses| addresses.iter().all(|address| address.ip().is_loopback())));
    ///     stopper.stop().expect("it runs");
    /// })?;
    /// reactor.run()?;
    /// drop(look_up);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// A Deferred, as Twisted's returns, is fired by `done`. Keep the look-up until then.
    /// ```
    /// use torsade::{Deferred, Reactor};
    ///
    /// let reactor = Reactor::new()?;
    /// let (addresses, firer) = Deferred::new();
    /// let look_up = reactor.resolve("localhost", move |found| match found {
    ///     Ok(addresses) => firer.callback(addresses),
    ///     Err(error) => firer.errback(error),
    /// })?;
    /// let addresses = reactor.run_until(async move { Ok(addresses.await?) })?;
    /// drop(look_up);
    /// assert!(addresses.iter().all(|address| address.ip().is_loopback()));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[doc(alias = "getHostByName")]
    pub fn resolve(
        &self,
        name: &str,
        done: impl FnOnce(io::Result<Vec<SocketAddr>>) + 'static,
    ) -> Result<LookUp, TooManyLookUps> {
        let look_ups = &self.0.look_ups;
        let query = look_ups.query(name)?;
        let id = look_ups.next_id.get();
        look_ups.next_id.set(id + 1);
        query.askers.borrow_mut().insert(id, Box::new(done));
        self.begin_look_ups();
        Ok(LookUp { query, id, look_ups: Rc::downgrade(look_ups) })
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
    /// let stopper = reactor.clone();
    /// let look_up = reactor.resolve("db.test", move |found| {
    ///     assert_eq!(found.expect("it is in the table").len(), 2);
    ///     stopper.stop().expect("it runs");
    /// })?;
    /// reactor.run()?;
    /// drop(look_up);
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
        loop {
            // Taken one by one, because a callback may drop other look-ups.
            let asker = query.askers.borrow_mut().pop_first();
            let Some((_, done)) = asker else { break };
            let found = found.as_ref().map(Vec::clone).map_err(copy_error);
            if let Err(panic) = catch(|| done(found)) {
                report_error("a look-up", format_args!("what waited for the addresses of {name:?} {panic}"));
            }
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

    /// The last asker has left: a query that has not begun need not begin.
    fn forget(&self, query: &Rc<Query>) {
        if !query.begun.get() {
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
            query.askers.take().into_values().for_each(|done| drop_quietly("what waited for a look-up", done));
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

impl Drop for LookUp {
    fn drop(&mut self) {
        let done = self.query.askers.borrow_mut().remove(&self.id);
        if let Some(look_ups) = self.look_ups.upgrade().filter(|_| self.query.askers.borrow().is_empty()) {
            look_ups.forget(&self.query);
        }
        // Outside any borrow, because what it holds may use the reactor.
        drop(done);
    }
}

impl fmt::Debug for LookUp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LookUp").field("name", &self.query.name).finish_non_exhaustive()
    }
}

impl fmt::Display for TooManyLookUps {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{WAITING} other names wait to be looked up: try again later")
    }
}

impl Error for TooManyLookUps {}
