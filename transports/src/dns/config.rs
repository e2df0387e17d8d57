//! Which servers to ask, and how.

use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::time::Duration;

/// Where a name server listens.
const PORT: u16 = 53;
/// The most servers taken from resolv.conf(5) (its MAXNS).
const SERVERS: usize = 3;
/// The most search domains that are tried; the system's resolver had a limit of 6, and has none now.
const DOMAINS: usize = 32;

/// How to look names up by DNS: which servers to ask, and for which names.
///
/// # Examples
/// ```
/// use std::time::Duration;
/// use torsade::DnsConfig;
///
/// let config = DnsConfig::from_resolv_conf("nameserver 10.0.0.53\nsearch corp.example\noptions timeout:2 rotate");
/// assert_eq!(config.servers, ["10.0.0.53:53".parse()?]);
/// assert_eq!((config.timeout, config.attempts, config.rotate), (Duration::from_secs(2), 2, true));
/// # Ok::<(), std::net::AddrParseError>(())
/// ```
#[derive(Clone, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "made with the update syntax")]
pub struct DnsConfig {
    /// The servers, in the order in which they are asked: the next one if one does not answer in time, cannot be reached, or
    /// reports an error. They must be recursive, as a provider's are. Default: this host's, on port 53.
    pub servers: Vec<SocketAddr>,
    /// The domains to append to names. A name with fewer than [`ndots`](Self::ndots) dots is tried with these domains before it
    /// is tried alone; other names are tried alone first; a name that ends in a dot, only alone. Default: none.
    pub search: Vec<String>,
    /// See [`search`](Self::search). Default 1.
    pub ndots: usize,
    /// The timeout for one answer from one server. Default 5 s.
    pub timeout: Duration,
    /// How many times each server is asked, at least once. Default 2.
    pub attempts: u32,
    /// Whether successive questions begin with different servers. Default false.
    pub rotate: bool,
}

impl Default for DnsConfig {
    fn default() -> Self {
        Self {
            servers: vec![SocketAddr::from(([127, 0, 0, 1], PORT))],
            search: Vec::new(),
            ndots: 1,
            timeout: Duration::from_secs(5),
            attempts: 2,
            rotate: false,
        }
    }
}

impl DnsConfig {
    /// Reads the text of `/etc/resolv.conf`: `nameserver` (the first three), `search` and `domain`, and of the `options`
    /// `ndots`, `timeout`, `attempts` and `rotate`.
    ///
    /// Everything else is ignored, as are servers with an invalid address. Values are limited as in the system's resolver: 15
    /// dots, 30 s, 5 attempts. Source: resolv.conf(5).
    #[must_use]
    pub fn from_resolv_conf(text: &str) -> Self {
        let mut config = Self { servers: Vec::new(), ..Self::default() };
        for line in text.lines().filter(|line| !line.starts_with(['#', ';'])) {
            let mut words = line.split_whitespace();
            match words.next() {
                Some("nameserver") => config.servers.extend(words.next().and_then(parse_server)),
                Some("search" | "domain") => config.search = words.take(DOMAINS).map(str::to_owned).collect(),
                Some("options") => words.for_each(|option| config.read_option(option)),
                _ => {}
            }
        }
        config.servers.truncate(SERVERS);
        if config.servers.is_empty() {
            config.servers = Self::default().servers;
        }
        config
    }

    fn read_option(&mut self, option: &str) {
        let (name, value) = option.split_once(':').unwrap_or((option, ""));
        match (name, value.parse::<u32>()) {
            ("rotate", _) => self.rotate = true,
            ("ndots", Ok(dots)) => self.ndots = dots.min(15) as usize,
            ("timeout", Ok(seconds)) => self.timeout = Duration::from_secs(seconds.clamp(1, 30).into()),
            ("attempts", Ok(attempts)) => self.attempts = attempts.clamp(1, 5),
            _ => {}
        }
    }

    /// The names to ask for in place of `name`, in order; each ends in a dot.
    pub(super) fn candidates(&self, name: &str) -> Vec<String> {
        if name.ends_with('.') {
            return vec![name.to_owned()];
        }
        let searched = self.search.iter().map(|domain| match domain.trim_matches('.') {
            "" => format!("{name}."),
            domain => format!("{name}.{domain}."),
        });
        let mut candidates: Vec<String> = searched.collect();
        let as_it_is = format!("{name}.");
        let dots = name.bytes().filter(|byte| *byte == b'.').count();
        candidates.insert(if dots < self.ndots { candidates.len() } else { 0 }, as_it_is);
        candidates
    }
}

impl<const N: usize> From<[SocketAddr; N]> for DnsConfig {
    fn from(servers: [SocketAddr; N]) -> Self {
        servers.to_vec().into()
    }
}

impl From<Vec<SocketAddr>> for DnsConfig {
    fn from(servers: Vec<SocketAddr>) -> Self {
        Self { servers, ..Self::default() }
    }
}

/// Parses a server's address, which may name a link (`fe80::1%eth0`). The system parses that form, without a look-up.
fn parse_server(text: &str) -> Option<SocketAddr> {
    let (ip, link) = text.split_once('%').unwrap_or((text, ""));
    let ip: IpAddr = ip.parse().ok()?;
    if link.is_empty() { Some(SocketAddr::new(ip, PORT)) } else { (text, PORT).to_socket_addrs().ok()?.next() }
}
