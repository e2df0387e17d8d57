//! Where connections come from and go to.

use std::convert::Infallible;
use std::error::Error;
use std::ffi::OsString;
use std::fmt;
use std::net::{IpAddr, Ipv6Addr, SocketAddr, SocketAddrV6};
use std::str::FromStr;

pub use torsade_reactor::{Address, UnixName};

/// A host: an IP address or a name.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "a host has a number or a name")]
pub enum Host {
    /// An IP address.
    Ip(IpAddr),
    /// A name that has not been looked up yet.
    Name(String),
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ip(ip) => ip.fmt(f),
            Self::Name(name) => name.fmt(f),
        }
    }
}

/// Where to listen or to connect to: a host and a port.
///
/// It is written as `"127.0.0.1:8000"`, `"[::1]:8000"` or `"localhost:8000"`, and can also be made from a [`SocketAddr`] or from
/// a pair such as `("localhost", 8000)`. A link-local IPv6 address may name its link by number or by name: `"[fe80::1%2]:8000"`,
/// `"[fe80::1%eth0]:8000"` (RFC 4007, 11). A link's name is resolved when listening or connecting.
///
/// # Examples
/// ```
/// use torsade::prelude::*;
///
/// let there: HostPort = "[::1]:8000".parse()?;
/// assert_eq!((there.host(), there.port()), (&Host::Ip("::1".parse()?), 8000));
/// assert!("localhost".parse::<HostPort>().is_err());
/// assert_eq!("[fe80::1%eth0]:8000".parse::<HostPort>()?.to_string(), "[fe80::1%eth0]:8000");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[doc(alias = "HostnameAddress")]
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct HostPort {
    host: Host,
    port: u16,
    link: Link,
}

/// The link that a link-local IPv6 address is on.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
enum Link {
    /// By its number; 0 leaves it to the system.
    Number(u32),
    /// By its name.
    Name(String),
}

const NO_LINK: Link = Link::Number(0);

/// The longest name a link may have, in bytes (IFNAMSIZ).
const LONGEST_LINK: usize = 15;

impl HostPort {
    /// The host part.
    #[must_use]
    pub const fn host(&self) -> &Host {
        &self.host
    }

    /// The port; 0 asks the system for a free one when listening.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// The name of the link, if it was given by name rather than by number.
    #[must_use]
    pub fn link(&self) -> Option<&str> {
        if let Link::Name(name) = &self.link { Some(name) } else { None }
    }

    /// The socket address with this port at `ip`, which is the host itself or an address its name resolved to. It does not
    /// include a [`link`](Self::link) given by name.
    #[must_use]
    pub fn at(&self, ip: IpAddr) -> SocketAddr {
        match (ip, &self.link) {
            (IpAddr::V6(ip), Link::Number(number)) => SocketAddrV6::new(ip, self.port, 0, *number).into(),
            _ => SocketAddr::new(ip, self.port),
        }
    }

    /// Parses `text`, the host part alone; errors quote `whole`.
    fn parse(text: &str, port: u16, whole: &str) -> Result<Self, AddressError> {
        let bracketed = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
        if let Ok(ip) = bracketed.parse::<IpAddr>() {
            return Ok((ip, port).into());
        }
        if let Some((ip, link)) = bracketed.split_once('%')
            && let (Ok(ip), Some(link)) = (ip.parse::<Ipv6Addr>(), Self::parse_link(link))
        {
            return Ok(Self { host: Host::Ip(ip.into()), port, link });
        }
        Ok(Self { host: Self::parse_name(text, whole)?, port, link: NO_LINK })
    }

    /// Parses a link's number, or a name without the characters that would end the text elsewhere.
    fn parse_link(text: &str) -> Option<Link> {
        if text.bytes().all(|b| b.is_ascii_digit()) {
            return text.parse().ok().map(Link::Number);
        }
        let is_name =
            text.len() <= LONGEST_LINK && text.chars().all(|c| c.is_ascii_graphic() && !matches!(c, '/' | '%' | '[' | ']'));
        is_name.then(|| Link::Name(text.to_owned()))
    }

    fn parse_name(text: &str, whole: &str) -> Result<Host, AddressError> {
        let named = text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_'));
        // A name never ends in a number (RFC 1123, 2.1), so `1.2.3` or `256.1.1.1` is a mistyped address.
        let numeric =
            text.rsplit('.').find(|label| !label.is_empty()).is_some_and(|last| last.bytes().all(|b| b.is_ascii_digit()));
        if text.is_empty() || text.len() > 253 || !named || numeric {
            return Err(AddressError::Host { text: whole.to_owned() });
        }
        Ok(Host::Name(text.to_owned()))
    }
}

impl FromStr for HostPort {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        if let Ok(address) = text.parse::<SocketAddr>() {
            return Ok(address.into());
        }
        let (host, port) = text.rsplit_once(':').ok_or_else(|| AddressError::NoPort { text: text.to_owned() })?;
        if host.contains(':') && !host.starts_with('[') {
            return Err(AddressError::Host { text: text.to_owned() });
        }
        let port = port.parse().map_err(|_| AddressError::Port { text: text.to_owned() })?;
        Self::parse(host, port, text)
    }
}

impl From<SocketAddr> for HostPort {
    fn from(address: SocketAddr) -> Self {
        let number = if let SocketAddr::V6(address) = address { address.scope_id() } else { 0 };
        Self { host: Host::Ip(address.ip()), port: address.port(), link: Link::Number(number) }
    }
}

impl From<(IpAddr, u16)> for HostPort {
    fn from((ip, port): (IpAddr, u16)) -> Self {
        Self { host: Host::Ip(ip), port, link: NO_LINK }
    }
}

/// A value that converts to an address to listen on or to connect to: text, a [`SocketAddr`], an [`Address`], or a pair of host
/// and port.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not an address to listen on or to connect to",
    label = "not a host and a port",
    note = "write both, as text `\"127.0.0.1:8000\"` or as a pair `(\"127.0.0.1\", 8000)`; \"0.0.0.0\" and \"[::]\" listen for everybody"
)]
pub trait IntoHostPort: TryInto<HostPort, Error: Into<AddressError>> {
    /// Converts to a host and port.
    ///
    /// # Errors
    /// [`AddressError`] if the text is not a valid address.
    fn into_host_port(self) -> Result<HostPort, AddressError> {
        self.try_into().map_err(Into::into)
    }
}

impl IntoHostPort for &str {}
impl IntoHostPort for &String {}
impl IntoHostPort for (&str, u16) {}
impl IntoHostPort for (IpAddr, u16) {}
impl IntoHostPort for Address {}
impl IntoHostPort for HostPort {}
impl IntoHostPort for SocketAddr {}
impl IntoHostPort for String {}

impl TryFrom<&str> for HostPort {
    type Error = AddressError;

    fn try_from(text: &str) -> Result<Self, AddressError> {
        text.parse()
    }
}

impl TryFrom<&String> for HostPort {
    type Error = AddressError;

    fn try_from(text: &String) -> Result<Self, AddressError> {
        text.parse()
    }
}

impl TryFrom<String> for HostPort {
    type Error = AddressError;

    fn try_from(text: String) -> Result<Self, AddressError> {
        text.parse()
    }
}

impl TryFrom<(&str, u16)> for HostPort {
    type Error = AddressError;

    fn try_from((host, port): (&str, u16)) -> Result<Self, AddressError> {
        Self::parse(host, port, host)
    }
}

impl TryFrom<Address> for HostPort {
    type Error = AddressError;

    fn try_from(address: Address) -> Result<Self, AddressError> {
        match address {
            Address::Tcp(address) | Address::Udp(address) => Ok(address.into()),
            _ => Err(AddressError::NoPort { text: address.to_string() }),
        }
    }
}

impl fmt::Display for HostPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.host, &self.link) {
            (Host::Ip(ip), Link::Name(link)) => write!(f, "[{ip}%{link}]:{}", self.port),
            (Host::Ip(ip), Link::Number(_)) => self.at(*ip).fmt(f),
            (Host::Name(name), _) => write!(f, "{name}:{}", self.port),
        }
    }
}

/// Where an outgoing connection goes.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "a host may have to be looked up, an address is used as it is, a program started")]
pub enum Destination {
    /// A socket that has an address.
    Address(Address),
    /// A port of a host, by number or by name.
    Host(HostPort),
    /// A child process that runs this program.
    Process(OsString),
}

impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(address) => address.fmt(f),
            Self::Host(host) => host.fmt(f),
            Self::Process(program) => write!(f, "the process {program:?}"),
        }
    }
}

/// Text that is not a valid address.
#[derive(Clone, Eq, PartialEq)]
#[non_exhaustive]
pub enum AddressError {
    /// The host is neither an IP address nor a host name. Put IPv6 addresses in brackets.
    Host {
        /// The whole text.
        text: String,
    },
    /// There is no `:PORT` at the end.
    NoPort {
        /// The whole text.
        text: String,
    },
    /// What follows the last colon is not a number from 0 to 65535.
    Port {
        /// The whole text.
        text: String,
    },
}

impl fmt::Display for AddressError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (text, problem) = match self {
            Self::Host { text } => (text, "the host is neither an IP address nor a name"),
            Self::NoPort { text } => (text, "the port is missing"),
            Self::Port { text } => (text, "the port is not a number from 0 to 65535"),
        };
        write!(f, "{text:?} is not an address: {problem} (write 127.0.0.1:8000 or [::1]:8000)")
    }
}

torsade_reactor::debug_as_display!(AddressError);

impl Error for AddressError {}

impl From<Infallible> for AddressError {
    fn from(never: Infallible) -> Self {
        match never {}
    }
}
