//! A listening socket that somebody else has opened.

use std::net::TcpListener;
#[cfg(unix)]
use std::os::unix::net::UnixListener;

use crate::address::Address;

/// A socket that listens already: from the program that started this one, or shared with others. Made from one of the standard
/// library's.
#[derive(Debug)]
#[expect(clippy::exhaustive_enums, reason = "what it is made from")]
pub enum Inherited {
    /// One of TCP.
    Tcp(TcpListener),
    /// One of UNIX. Its file is left alone: whoever has bound it removes it.
    #[cfg(unix)]
    Unix(UnixListener),
}

impl Inherited {
    /// Where it listens, as far as the system tells.
    #[must_use]
    pub fn local_address(&self) -> Address {
        match self {
            Self::Tcp(listener) => listener.local_addr().map_or(Address::Unnamed, Address::from),
            #[cfg(unix)]
            Self::Unix(listener) => listener.local_addr().map_or(Address::Unnamed, |address| Address::from(&address)),
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
