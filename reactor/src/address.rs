//! The address of one end of a connection.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};

/// The address of one end of a connection.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
#[doc(alias = "IPv4Address")]
#[doc(alias = "IPv6Address")]
#[doc(alias = "UNIXAddress")]
#[doc(alias = "IAddress")]
pub enum Address {
    /// No address: a connection in memory, a pipe, an unbound UNIX socket.
    #[doc(alias = "PipeAddress")]
    Unnamed,
    /// TCP over IPv4 or IPv6.
    Tcp(SocketAddr),
    /// UDP over IPv4 or IPv6.
    Udp(SocketAddr),
    /// A UNIX socket.
    Unix(UnixName),
}

/// The name of a UNIX socket; a socket without a name is [`Address::Unnamed`].
///
/// It is made from a path. Text that begins with a zero byte is an abstract name, as in unix(7) and Twisted.
///
/// # Examples
/// ```
/// use torsade::UnixName;
///
/// assert_eq!(UnixName::from("/run/echo.sock"), UnixName::Path("/run/echo.sock".into()));
/// assert_eq!(UnixName::from("\0echo"), UnixName::Abstract(b"echo".to_vec()));
/// assert_eq!(UnixName::from("\0echo").to_string(), "@echo");
/// ```
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "unix(7) has no other")]
pub enum UnixName {
    /// A file.
    Path(PathBuf),
    /// A name in Linux's abstract namespace, without the leading zero byte.
    Abstract(Vec<u8>),
}

impl Address {
    /// The IP address, if there is one.
    #[must_use]
    pub const fn ip(&self) -> Option<IpAddr> {
        match self {
            Self::Tcp(address) | Self::Udp(address) => Some(address.ip()),
            Self::Unnamed | Self::Unix(_) => None,
        }
    }

    /// The port, if there is one.
    #[must_use]
    pub const fn port(&self) -> Option<u16> {
        match self {
            Self::Tcp(address) | Self::Udp(address) => Some(address.port()),
            Self::Unnamed | Self::Unix(_) => None,
        }
    }

    /// The address as one for TCP, in code that supports nothing else.
    pub(crate) fn to_tcp(&self) -> io::Result<SocketAddr> {
        match self {
            Self::Tcp(address) => Ok(*address),
            _ => Err(io::Error::new(io::ErrorKind::Unsupported, format!("{self} is not a TCP address"))),
        }
    }
}

/// Makes a TCP address.
impl From<SocketAddr> for Address {
    fn from(address: SocketAddr) -> Self {
        Self::Tcp(address)
    }
}

impl From<UnixName> for Address {
    fn from(name: UnixName) -> Self {
        Self::Unix(name)
    }
}

/// Makes a UNIX address.
#[cfg(unix)]
impl From<&std::os::unix::net::SocketAddr> for Address {
    fn from(address: &std::os::unix::net::SocketAddr) -> Self {
        #[cfg(target_os = "linux")]
        if let Some(name) = std::os::linux::net::SocketAddrExt::as_abstract_name(address) {
            return Self::Unix(UnixName::Abstract(name.to_vec()));
        }
        address.as_pathname().map_or(Self::Unnamed, |path| Self::Unix(UnixName::Path(path.to_owned())))
    }
}

impl From<PathBuf> for UnixName {
    fn from(path: PathBuf) -> Self {
        match path.as_os_str().as_encoded_bytes().strip_prefix(b"\0") {
            Some(name) => Self::Abstract(name.to_vec()),
            None => Self::Path(path),
        }
    }
}

impl From<&Path> for UnixName {
    fn from(path: &Path) -> Self {
        path.to_owned().into()
    }
}

impl From<&PathBuf> for UnixName {
    fn from(path: &PathBuf) -> Self {
        path.clone().into()
    }
}

impl From<&str> for UnixName {
    fn from(path: &str) -> Self {
        PathBuf::from(path).into()
    }
}

impl From<String> for UnixName {
    fn from(path: String) -> Self {
        PathBuf::from(path).into()
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unnamed => f.write_str("(no address)"),
            Self::Tcp(address) | Self::Udp(address) => address.fmt(f),
            Self::Unix(name) => name.fmt(f),
        }
    }
}

/// A path as it is; an abstract name with a leading `@`, as `ss` prints it.
impl fmt::Display for UnixName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Path(path) => path.display().fmt(f),
            Self::Abstract(name) => write!(f, "@{}", name.escape_ascii()),
        }
    }
}
