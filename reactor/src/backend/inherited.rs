//! Listening sockets opened by another program.

use std::fmt;
#[cfg(unix)]
use std::io::{self, ErrorKind};
use std::net::TcpListener;
#[cfg(unix)]
use std::os::unix::net::UnixListener;

#[cfg(unix)]
use super::unix::Descriptor;
use crate::address::Address;

/// A socket that is already listening: from the program that started this one, or shared with others. It is made from a socket of
/// the standard library, or on UNIX from the descriptor of any listening socket.
///
/// # Examples
/// ```
/// use std::net::TcpListener;
/// use torsade::{Inherited, SocketDomain};
///
/// let inherited = Inherited::from(TcpListener::bind("127.0.0.1:0")?);
/// assert_eq!(inherited.domain(), SocketDomain::Inet);
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
#[expect(clippy::exhaustive_enums, reason = "what it is made from")]
pub enum Inherited {
    /// A TCP socket.
    Tcp(TcpListener),
    /// A UNIX socket. Its file is left alone, for the program that bound it to remove.
    #[cfg(unix)]
    Unix(UnixListener),
}

impl Inherited {
    /// The address it listens on, as far as the system tells.
    #[must_use]
    pub fn local_address(&self) -> Address {
        match self {
            Self::Tcp(listener) => listener.local_addr().map_or(Address::Unnamed, Address::from),
            #[cfg(unix)]
            Self::Unix(listener) => listener.local_addr().map_or(Address::Unnamed, |address| Address::from(&address)),
        }
    }

    /// Its address family.
    #[must_use]
    pub fn domain(&self) -> SocketDomain {
        match self {
            Self::Tcp(listener) if listener.local_addr().is_ok_and(|address| address.is_ipv6()) => SocketDomain::Inet6,
            Self::Tcp(_) => SocketDomain::Inet,
            #[cfg(unix)]
            Self::Unix(_) => SocketDomain::Unix,
        }
    }
}

impl From<TcpListener> for Inherited {
    fn from(listener: TcpListener) -> Self {
        Self::Tcp(listener)
    }
}

#[cfg(unix)]
impl From<UnixListener> for Inherited {
    fn from(listener: UnixListener) -> Self {
        Self::Unix(listener)
    }
}

#[cfg(unix)]
impl TryFrom<Descriptor> for Inherited {
    type Error = io::Error;

    /// Takes over the descriptor of a listening TCP or UNIX socket; the system says which. Closes any other.
    fn try_from(descriptor: Descriptor) -> io::Result<Self> {
        Ok(match listening_domain(&descriptor)? {
            SocketDomain::Unix => Self::Unix(descriptor.into()),
            SocketDomain::Inet | SocketDomain::Inet6 => Self::Tcp(descriptor.into()),
        })
    }
}

/// The address family of a listening socket.
///
/// # Errors
/// `InvalidInput` if it is not a listening TCP or UNIX socket.
#[cfg(unix)]
pub(crate) fn listening_domain(descriptor: &Descriptor) -> io::Result<SocketDomain> {
    let wrong = |what: &str| Err(io::Error::new(ErrorKind::InvalidInput, format!("not a listening socket: {what}")));
    let socket = socket2::SockRef::from(descriptor);
    match socket.r#type() {
        Ok(socket2::Type::STREAM) => {}
        Ok(_) => return wrong("it is a datagram socket"),
        Err(_) => return wrong("it is something else, or closed"),
    }
    // Apple's systems cannot tell.
    #[cfg(not(target_vendor = "apple"))]
    if !rustix::net::sockopt::socket_acceptconn(descriptor)? {
        return wrong("it is a stream socket, but listen(2) was not called on it");
    }
    let address = socket.local_addr()?;
    match address.as_socket() {
        Some(address) if address.is_ipv6() => Ok(SocketDomain::Inet6),
        Some(_) => Ok(SocketDomain::Inet),
        None if address.is_unix() => Ok(SocketDomain::Unix),
        None => wrong("it is neither a TCP nor a UNIX socket"),
    }
}

/// The address family of a socket.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "streams that listen are of no other")]
pub enum SocketDomain {
    /// IPv4.
    Inet,
    /// IPv6; on most systems IPv4 as well.
    Inet6,
    /// UNIX socket names.
    Unix,
}

impl fmt::Display for SocketDomain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Inet => "INET",
            Self::Inet6 => "INET6",
            Self::Unix => "UNIX",
        })
    }
}

/// A socket passed to this program by systemd, or by another service manager that sets `LISTEN_FDS`, `LISTEN_PID` and
/// `LISTEN_FDNAMES` as in sd_listen_fds(3).
///
/// It is made from an index or a name.
///
/// # Examples
/// ```
/// use torsade::PassedSocket;
///
/// assert_eq!(PassedSocket::from(0), PassedSocket::Index(0));
/// assert_eq!(PassedSocket::from("web").to_string(), "the passed socket \"web\"");
/// ```
#[derive(Clone, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "there is no other way to say it")]
#[doc(alias = "ListenFDs")]
pub enum PassedSocket {
    /// By position, from 0.
    Index(usize),
    /// The first with this name that was not taken yet (`FileDescriptorName=` of systemd.socket(5)).
    Name(String),
    /// By descriptor number; the first is 3.
    Descriptor(u32),
}

impl From<usize> for PassedSocket {
    fn from(index: usize) -> Self {
        Self::Index(index)
    }
}

impl From<&str> for PassedSocket {
    fn from(name: &str) -> Self {
        Self::Name(name.to_owned())
    }
}

impl From<String> for PassedSocket {
    fn from(name: String) -> Self {
        Self::Name(name)
    }
}

impl fmt::Display for PassedSocket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Index(index) => write!(f, "the passed socket {index}"),
            Self::Name(name) => write!(f, "the passed socket {name:?}"),
            Self::Descriptor(number) => write!(f, "the passed descriptor {number}"),
        }
    }
}
