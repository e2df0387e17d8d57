//! Resolvers of host names.

mod fixed;

use std::fmt;
use std::net::SocketAddr;
use std::rc::Rc;

pub use fixed::FixedResolver;

use crate::backend::Resolved;
use crate::reactor::Reactor;

/// Looks up host names for a reactor: see [`Reactor::set_resolver`].
///
/// The reactor asks for each name once at a time, for at most 32 names at a time, and never for an address.
///
/// # Examples
/// A resolver that logs each request:
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
    /// Begins to look up `name`, and calls `resolved` once with the result: now or later, on any thread.
    ///
    /// Addresses are tried in the given order, alternating between IPv4 and IPv6; their ports are ignored. The name is as the
    /// program wrote it, in any case, perhaps with a trailing dot. This must neither block nor call [`Reactor::resolve`], which
    /// may have to wait for the slot that this look-up has. The connection's own timeout runs meanwhile, but `resolved` has to be
    /// called anyway: the look-up keeps its slot until then, even if nothing waits for it.
    #[doc(alias = "resolveHostName")]
    fn resolve(&self, reactor: &Reactor, name: &str, resolved: Resolved);
}

impl<R: Resolver + ?Sized> Resolver for Rc<R> {
    fn resolve(&self, reactor: &Reactor, name: &str, resolved: Resolved) {
        (**self).resolve(reactor, name, resolved);
    }
}

/// The resolver of the reactor's world: the system's `getaddrinfo`, or the names of a simulated network.
///
/// `getaddrinfo` uses every source the system is configured for (files, DNS, mDNS, directories), and sorts addresses by RFC 6724.
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

/// Parses an address, perhaps with an interface index (`fe80::1%2`); its port is 0.
pub(crate) fn parse_address(text: &str) -> Option<SocketAddr> {
    text.parse().map(|ip| SocketAddr::new(ip, 0)).or_else(|_| format!("[{text}]:0").parse()).ok()
}

impl fmt::Debug for dyn Resolver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a resolver")
    }
}
