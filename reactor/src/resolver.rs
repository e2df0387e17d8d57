//! Who looks up host names.

mod fixed;

use std::fmt;
use std::net::SocketAddr;
use std::rc::Rc;

pub use fixed::FixedResolver;

use crate::backend::Resolved;
use crate::reactor::Reactor;

/// Looks up host names for a reactor: see [`Reactor::set_resolver`].
///
/// The reactor asks for a name once at a time, and for 32 names at a time; it does not ask for what is an address already.
///
/// # Examples
/// A resolver that tells of what it is asked for:
/// ```
/// use torsade::spi::Resolved;
/// use torsade::{Reactor, Resolver, SystemResolver};
///
/// struct Telling;
///
/// impl Resolver for Telling {
///     fn resolve(&self, reactor: &Reactor, name: &str, resolved: Resolved) {
///         println!("looking up {name}");
///         SystemResolver.resolve(reactor, name, resolved);
///     }
/// }
///
/// let reactor = Reactor::new()?;
/// reactor.set_resolver(Telling);
/// # Ok::<(), std::io::Error>(())
/// ```
#[doc(alias = "IHostnameResolver")]
#[doc(alias = "IResolverSimple")]
pub trait Resolver {
    /// Begins to look up `name`, and calls `resolved` once with what comes: at once or later, on any thread.
    ///
    /// The addresses are tried in the order in which they are given, IPv4 and IPv6 by turns; their ports do not matter. The name
    /// is as the program wrote it, in upper or lower case, perhaps with a dot at the end. It must neither block nor call
    /// [`Reactor::resolve`], which may have to wait for a place that this look-up has. The connection's own timeout
    /// goes on meanwhile, but `resolved` has to be called even so: if nobody waits for it any more, its place is still taken.
    #[doc(alias = "resolveHostName")]
    fn resolve(&self, reactor: &Reactor, name: &str, resolved: Resolved);
}

impl<R: Resolver + ?Sized> Resolver for Rc<R> {
    fn resolve(&self, reactor: &Reactor, name: &str, resolved: Resolved) {
        (**self).resolve(reactor, name, resolved);
    }
}

/// The resolver of the world that the reactor is in: the system's `getaddrinfo`, or the names of a simulated network.
///
/// `getaddrinfo` knows all that the system is configured to ask (files, DNS, mDNS, directories), and sorts addresses by RFC 6724.
/// Each look-up has a thread of its own, for half a minute if no server answers.
#[derive(Clone, Copy, Debug, Default)]
#[expect(clippy::exhaustive_structs, reason = "it has no state")]
#[doc(alias = "GAIResolver")]
#[doc(alias = "ThreadedResolver")]
#[doc(alias = "getaddrinfo")]
pub struct SystemResolver;

impl Resolver for SystemResolver {
    fn resolve(&self, reactor: &Reactor, name: &str, resolved: Resolved) {
        reactor.backend().resolve(name.to_owned(), resolved);
    }
}

/// The address that a text is, perhaps with the number of a link (`fe80::1%2`); its port is 0.
pub(crate) fn parse_address(text: &str) -> Option<SocketAddr> {
    text.parse().map(|ip| SocketAddr::new(ip, 0)).or_else(|_| format!("[{text}]:0").parse()).ok()
}

impl fmt::Debug for dyn Resolver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a resolver")
    }
}
