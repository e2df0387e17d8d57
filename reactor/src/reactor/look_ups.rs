//! Look-ups of host names: shared by all who ask for the same name, and bounded in number, whichever resolver does them.
//!
//! A query waits, is under way, or has ended; in the table are those of the first two kinds. Each asker is called exactly once
//! from the loop, unless it drops its [`LookUp`] first.

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

/// How many are under way at a time. On the operating system each takes a thread, for half a minute if no server answers.
const UNDER_WAY: usize = 32;
/// How many further names may wait.
const WAITING: usize = 1024;

/// Called with the addresses on behalf of one asker.
type Done = Box<dyn FnOnce(io::Result<Vec<SocketAddr>>)>;

/// The names that are being looked up, those that wait, and who asked for them.
#[derive(Default)]
pub(super) struct LookUps {
    /// None: the system's.
    resolver: RefCell<Option<Rc<dyn Resolver>>>,
    queries: RefCell<HashMap<String, Rc<Query>>>,
    /// Those that are not under way yet, in the order in which they were asked for; each has an asker.
    waiting: RefCell<VecDeque<Rc<Query>>>,
    under_way: Cell<usize>,
    next_id: Cell<u64>,
}

/// A name and its askers, in the order in which they asked. While it is under way the last asker may leave.
struct Query {
    name: String,
    begun: Cell<bool>,
    askers: RefCell<BTreeMap<u64, Done>>,
}

/// A look-up that somebody waits for; dropped, it does not call back any more. Made by [`Reactor::resolve`].
///
/// If it is dropped before it has begun, and nobody else waits for the name, it never begins.
#[must_use = "dropped at once, it never calls back"]
pub struct LookUp {
    query: Rc<Query>,
    id: u64,
    look_ups: Weak<LookUps>,
}

/// Too many names wait to be looked up: 1,024, and 32 are under way.
///
/// Ask again once some have ended. A name that somebody else waits for already can be asked for at any time.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct TooManyLookUps;

impl Reactor {
    /// Looks up the addresses of a host name off the loop, and then calls `done` on the loop, unless the [`LookUp`] was
    /// dropped before.
    ///
    /// The addresses have ports of 0, and link-local ones the scope that tells the link; they are in the order in which they
    /// should be tried. All who ask for a name while it is being looked up share one look-up. 32 are under way at a time, and
    /// 1,024 more names may wait, in the order in which they were asked for. Unless [`set_resolver`](Self::set_resolver) was
    /// called, each is done by the system, on its own thread outside of the pool. What is an address already (`::1`,
    /// `fe80::1%eth0`) is always left to the system.
    ///
    /// # Errors
    /// [`TooManyLookUps`]. That a name has no addresses, `done` is told.
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

    /// Has names looked up by `resolver` from now on; by the [`SystemResolver`] unless set.
    ///
    /// Whatever connects by name uses it. What is under way ends as it began. How many look-ups there may be, and that those
    /// for one name are shared, holds for every resolver: see [`resolve`](Self::resolve). It is dropped when the reactor has
    /// stopped.
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
        // Outside of the borrow: what it holds may use the reactor.
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
            // Taken one by one: what is called may drop the look-ups of others.
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
    /// The query for this name; a new one if nobody has asked for it.
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

    /// The next that may begin, which counts as under way from here on.
    fn next(&self) -> Option<Rc<Query>> {
        if self.under_way.get() >= UNDER_WAY {
            return None;
        }
        let query = self.waiting.borrow_mut().pop_front()?;
        query.begun.set(true);
        self.under_way.set(self.under_way.get() + 1);
        Some(query)
    }

    /// A look-up has ended: the next who asks for its name begins another.
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

    /// For how many names somebody waits.
    pub(super) fn asked_for(&self) -> usize {
        self.queries.borrow().values().filter(|query| !query.askers.borrow().is_empty()).count()
    }

    /// Drops all askers, and the resolver; what is under way ends by itself.
    pub(super) fn clear(&self) {
        drop_quietly("the resolver", self.resolver.take());
        let queries = self.queries.take();
        self.waiting.take();
        for query in queries.into_values() {
            query.askers.take().into_values().for_each(|done| drop_quietly("what waited for a look-up", done));
        }
    }
}

/// A look-up that is under way: it ends once, and if the resolver drops what it was to call, with an error.
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

/// Whether the text is an address, perhaps with a scope: no name has a colon.
fn is_address(name: &str) -> bool {
    name.contains(':') || name.parse::<Ipv4Addr>().is_ok()
}

impl Drop for LookUp {
    fn drop(&mut self) {
        let done = self.query.askers.borrow_mut().remove(&self.id);
        if let Some(look_ups) = self.look_ups.upgrade().filter(|_| self.query.askers.borrow().is_empty()) {
            look_ups.forget(&self.query);
        }
        // Outside of any borrow: what it holds may use the reactor.
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
