//! Look-ups by DNS.

use std::cell::RefCell;
use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::rc::Rc;
use std::time::Duration;

use hickory_proto::rr::{Name, RecordType};
use torsade_reactor::spi::Resolved;
use torsade_reactor::{DeferredError, Failure, FixedResolver, Reactor, Resolver};

use super::answer::{self, Answer};
use super::cache::Cache;
use super::config::DnsConfig;
use super::precedence;
use super::query::{Query, Question, is_truncated};
use super::servers::Servers;
use super::{tcp, udp};

/// How long to wait for IPv6 addresses once there are IPv4 ones: the Resolution Delay of RFC 8305, 3 and 8.
const RESOLUTION_DELAY: Duration = Duration::from_millis(50);

/// A [`Resolver`] that asks name servers itself, on the loop: no thread waits for an answer, and answers are cached for as
/// long as they are valid.
///
/// A name is first looked up in the table of [hosts](Self::with_hosts); `localhost` and names that end in it are this host (RFC
/// 6761, 6.3). Then both families are asked for in parallel, for each name that the [search list](DnsConfig::search) derives,
/// until one has an address. Once there are IPv4 addresses, the look-up waits 50 ms longer for IPv6 ones (RFC 8305, 3), so that a
/// server that ignores questions for IPv6 delays nobody. In the other order it waits for the IPv4 addresses: a host without IPv6
/// connectivity needs them. The addresses are sorted by the precedence of RFC 6724, IPv6 first.
///
/// A question goes to one server after another, by UDP from a port of its own with a random id, and again by TCP if the answer
/// does not fit. Only a message from that server that repeats the id and the question counts as its answer. A server that
/// fails is asked last for the next 30 s. The next domain of the search list is tried once a server has said that the
/// name before it has no address; if no server can answer, the look-up fails.
///
/// DNSSEC is left to the servers, and their answers come in plaintext: use TLS where the peer's identity matters. mDNS and
/// other services that the system's resolver may use are not asked.
///
/// # Limits
/// 32 look-ups at a time, as for every resolver, each with one pending question per family; answers of 1,232 bytes by UDP
/// and 8 KiB by TCP; 64 addresses per family, 16 aliases; 1,024 answers in the cache, for at most a day each, or three hours for
/// an answer without addresses.
///
/// # Examples
/// A program that uses the system's configuration, without threads:
/// ```no_run
/// use torsade::prelude::*;
/// use torsade::{DnsResolver, wire::Echo};
///
/// let reactor = Reactor::new()?;
/// reactor.set_resolver(DnsResolver::system()?);
/// reactor.connect_tcp("www.example.com:80", |_peer| Echo)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[doc(alias = "createResolver")]
pub struct DnsResolver(Rc<Dns>);

/// What the tasks of one resolver share.
struct Dns {
    config: DnsConfig,
    hosts: FixedResolver,
    servers: Servers,
    cache: RefCell<Cache>,
}

impl DnsResolver {
    /// Makes a resolver from a configuration, or from the addresses of servers.
    ///
    /// # Examples
    /// ```
    /// use std::time::Duration;
    /// use torsade::{DnsConfig, DnsResolver, Reactor};
    ///
    /// let reactor = Reactor::new()?;
    /// reactor.set_resolver(DnsResolver::new(["127.0.0.1:5353".parse()?]));
    /// // Or with more to say:
    /// let servers = vec!["10.0.0.53:53".parse()?, "[fd00::53]:53".parse()?];
    /// reactor.set_resolver(DnsResolver::new(DnsConfig { servers, timeout: Duration::from_secs(1), ..DnsConfig::default() }));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn new(config: impl Into<DnsConfig>) -> Self {
        Self::with(config.into(), FixedResolver::new())
    }

    fn with(config: DnsConfig, hosts: FixedResolver) -> Self {
        let servers = Servers::new(&config.servers, config.rotate);
        Self(Rc::new(Dns { config, hosts, servers, cache: RefCell::default() }))
    }

    /// Makes a resolver from `/etc/resolv.conf`, which looks in `/etc/hosts` first. A missing file counts as empty.
    ///
    /// This reads both files, and blocks while the disk does. They are not read again: when they change, make another resolver.
    ///
    /// # Errors
    /// If one of the files cannot be read; the error names it. `Unsupported` on systems that keep these settings elsewhere.
    pub fn system() -> io::Result<Self> {
        if cfg!(not(unix)) {
            return Err(io::Error::new(io::ErrorKind::Unsupported, "this system has no /etc/resolv.conf: name the servers"));
        }
        let config = DnsConfig::from_resolv_conf(&read("/etc/resolv.conf")?);
        Ok(Self::with(config, FixedResolver::from_hosts(&read("/etc/hosts")?)))
    }

    /// Sets the table in which names are looked up first. Names that are not in it are asked for by DNS.
    ///
    /// Call it before the resolver is used: it discards the cache.
    #[must_use]
    pub fn with_hosts(self, hosts: FixedResolver) -> Self {
        Self::with(self.0.config.clone(), hosts)
    }
}

fn read(path: &str) -> io::Result<String> {
    match std::fs::read(path) {
        Ok(text) => Ok(String::from_utf8_lossy(&text).into_owned()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(String::new()),
        Err(error) => Err(io::Error::new(error.kind(), format!("{path} cannot be read: {error}"))),
    }
}

impl Resolver for DnsResolver {
    fn resolve(&self, reactor: &Reactor, name: &str, resolved: Resolved) {
        if let Some(known) = self.0.known(name) {
            return resolved(Ok(known));
        }
        let (dns, there, name) = (Rc::clone(&self.0), reactor.clone(), name.to_owned());
        let task = reactor.spawn(async move { resolved(dns.look_up(&there, &name).await) });
        drop(task);
    }
}

impl Dns {
    /// The addresses of names that need no question.
    fn known(&self, name: &str) -> Option<Vec<SocketAddr>> {
        if let Some(found @ [_, ..]) = self.hosts.get(name) {
            return Some(found.to_vec());
        }
        let name = name.trim_end_matches('.').to_ascii_lowercase();
        let loopback = [IpAddr::V6(Ipv6Addr::LOCALHOST), IpAddr::V4(Ipv4Addr::LOCALHOST)];
        let here = name == "localhost" || name.ends_with(".localhost");
        here.then(|| loopback.map(|ip| SocketAddr::new(ip, 0)).to_vec())
    }

    async fn look_up(self: Rc<Self>, reactor: &Reactor, name: &str) -> io::Result<Vec<SocketAddr>> {
        for candidate in self.config.candidates(name) {
            // A name that is too long with one domain may fit with another.
            let Some(name) = Name::from_ascii(&candidate).ok().filter(|name| !name.is_root()) else { continue };
            let found = self.addresses(reactor, &name).await?;
            if !found.is_empty() {
                return Ok(found);
            }
        }
        Err(io::Error::new(io::ErrorKind::NotFound, "the name servers know no address for it"))
    }

    /// The addresses of both families; one family is enough.
    async fn addresses(self: &Rc<Self>, reactor: &Reactor, name: &Name) -> io::Result<Vec<SocketAddr>> {
        let [v4, v6] = [RecordType::A, RecordType::AAAA].map(|kind| {
            let (dns, there, question) = (Rc::clone(self), reactor.clone(), Question { name: name.clone(), kind });
            reactor.spawn(async move { Ok(dns.ask(&there, &question).await) }).into_deferred()
        });
        // The outer error: the task was cancelled, or has panicked.
        let v4 = v4.await.unwrap_or_else(|failure| Err(failed(&failure)));
        let enough = v4.as_ref().is_ok_and(|answer| !answer.addresses.is_empty());
        let v6 = if enough { v6.add_timeout(RESOLUTION_DELAY, reactor) } else { v6 };
        let v6 = v6.await.unwrap_or_else(|failure| Err(failed(&failure)));
        let (mut found, mut error) = (Vec::new(), None);
        for answer in [v6, v4] {
            match answer {
                Ok(answer) => found.extend(answer.addresses.into_iter().map(|ip| SocketAddr::new(ip, 0))),
                Err(problem) => error = Some(problem),
            }
        }
        precedence::sort(&mut found);
        match error {
            Some(error) if found.is_empty() => Err(error),
            _ => Ok(found),
        }
    }

    /// Answers a question from the cache, or by the first server that can.
    async fn ask(&self, reactor: &Reactor, question: &Question) -> io::Result<Answer> {
        let known = self.cache.borrow().get(question, reactor.now());
        if let Some(answer) = known {
            return Ok(answer);
        }
        let mut problem = String::from("no name server is configured");
        for _ in 0..self.config.attempts.max(1) {
            for server in self.servers.order(reactor.now()) {
                match self.ask_server(reactor, server, question).await {
                    Ok(answer) => {
                        self.servers.answered(server);
                        self.cache.borrow_mut().insert(question.clone(), answer.clone(), reactor.now());
                        return Ok(answer);
                    }
                    Err(error) => {
                        log::debug!("name server {server} did not help: {error}");
                        self.servers.failed(server, reactor.now());
                        problem = format!("no name server had an answer; {server}: {error}");
                    }
                }
            }
        }
        Err(io::Error::other(problem))
    }

    async fn ask_server(&self, reactor: &Reactor, server: SocketAddr, question: &Question) -> Result<Answer, Failure> {
        let id = (reactor.random() & 0xffff) as u16;
        let query = Rc::new(Query::new(question, id).map_err(Failure::new)?);
        let timeout = self.config.timeout;
        let mut message = udp::ask(reactor, server, &query).add_timeout(timeout, reactor).await.map_err(plainly)?;
        if is_truncated(&message) {
            message = tcp::ask(reactor, server, &query).add_timeout(timeout, reactor).await.map_err(plainly)?;
        }
        answer::read(&message, question).map_err(|useless| Failure::new(useless.to_string()))
    }
}

fn failed(failure: &Failure) -> io::Error {
    io::Error::other(failure.to_string())
}

/// Turns the failure of a Deferred's timeout into the error of a look-up.
fn plainly(failure: Failure) -> Failure {
    match failure.downcast_ref() {
        Some(DeferredError::TimedOut(after)) => Failure::new(format!("no answer within {after:?}")),
        _ => failure,
    }
}

impl fmt::Debug for DnsResolver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DnsResolver")
            .field("config", &self.0.config)
            .field("cached", &self.0.cache.borrow().len())
            .finish_non_exhaustive()
    }
}
