//! A table of names.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};

use super::{Resolver, parse_address};
use crate::backend::Resolved;
use crate::reactor::Reactor;

/// A table of names and their addresses, optionally with another resolver for all other names.
///
/// Names are compared ignoring case and a trailing dot.
///
/// # Examples
/// ```
/// use torsade::{FixedResolver, Reactor, SystemResolver};
///
/// let reactor = Reactor::new()?;
/// let hosts = FixedResolver::from_hosts("127.0.0.1 localhost # the loopback\n10.0.0.7 db.example db");
/// reactor.set_resolver(hosts.with("cache.example", ["10.0.0.8".parse()?]).or(SystemResolver));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Default)]
pub struct FixedResolver {
    names: HashMap<String, Vec<SocketAddr>>,
    otherwise: Option<Box<dyn Resolver>>,
}

impl FixedResolver {
    /// An empty table, in which every name is unknown.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Parses a table in the format of `/etc/hosts`: lines with an address and its names, and comments after `#`.
    ///
    /// A name on several lines has all their addresses, in that order. A line that does not begin with an address is ignored.
    /// Source: hosts(5).
    #[doc(alias = "searchFileFor")]
    #[must_use]
    pub fn from_hosts(text: &str) -> Self {
        let mut table = Self::new();
        for line in text.lines() {
            let mut words = line.split('#').next().unwrap_or_default().split_whitespace();
            let Some(address) = words.next().and_then(parse_address) else { continue };
            for name in words {
                table.add(name, address);
            }
        }
        table
    }

    /// Adds addresses to a name, after its existing ones. With no addresses, the name is known to have none.
    #[must_use]
    pub fn with(mut self, name: &str, addresses: impl IntoIterator<Item = IpAddr>) -> Self {
        self.names.entry(key(name)).or_default();
        for ip in addresses {
            self.add(name, SocketAddr::new(ip, 0));
        }
        self
    }

    /// Sets a resolver for names that are not in the table.
    #[must_use]
    pub fn or(mut self, otherwise: impl Resolver + 'static) -> Self {
        self.otherwise = Some(Box::new(otherwise));
        self
    }

    /// The addresses of a name; `None` if it is not in the table.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&[SocketAddr]> {
        self.names.get(&key(name)).map(Vec::as_slice)
    }

    fn add(&mut self, name: &str, address: SocketAddr) {
        let addresses = self.names.entry(key(name)).or_default();
        if !addresses.contains(&address) {
            addresses.push(address);
        }
    }
}

impl Resolver for FixedResolver {
    fn resolve(&self, reactor: &Reactor, name: &str, resolved: Resolved) {
        match (self.get(name), &self.otherwise) {
            (Some([]), _) | (None, None) => {
                resolved(Err(io::Error::new(io::ErrorKind::NotFound, "the table of names has no address for it")));
            }
            (Some(addresses), _) => resolved(Ok(addresses.to_vec())),
            (None, Some(otherwise)) => otherwise.resolve(reactor, name, resolved),
        }
    }
}

fn key(name: &str) -> String {
    name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_of_hosts_is_read_with_its_comments_aliases_and_scopes() {
        let text =
            "# a comment\n127.0.0.1\tlocalhost\n::1 LocalHost ip6-localhost#loopback\n\nnonsense here\nfe80::1%3 near\n10.0.0.1";
        let table = FixedResolver::from_hosts(text);
        let found = |name| table.get(name).map(|found| found.iter().map(ToString::to_string).collect::<Vec<_>>());
        assert_eq!(found("LOCALHOST."), Some(vec!["127.0.0.1:0".to_owned(), "[::1]:0".to_owned()]));
        assert_eq!(found("ip6-localhost"), Some(vec!["[::1]:0".to_owned()]));
        assert_eq!(found("near"), Some(vec!["[fe80::1%3]:0".to_owned()]));
        assert!(found("here").is_none() && found("loopback").is_none() && found("").is_none());
        assert_eq!(table.with("empty", []).get("empty"), Some(&[][..]));
    }
}
