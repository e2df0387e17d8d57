//! The kinds of connection: what each is made of, how a test's plain peer reaches it, and what it can do.

use std::net::SocketAddr;

use torsade::prelude::*;

use super::peer::Peer;

/// What the two ends of a connection are.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Kind {
    Tcp,
}

/// What some kinds can do and others cannot. A test names those that it is about, and is skipped where one is missing.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Ability {
    /// It can be broken off so that the peer sees that it was, whatever had been sent and read before.
    Reset,
    /// It is made by a port, whose factory may refuse.
    Listen,
}

impl Kind {
    /// All but TCP that this system has.
    pub const OTHERS: &[Self] = &[];

    pub fn can(self, ability: Ability) -> bool {
        match ability {
            Ability::Reset => self == Self::Tcp,
            Ability::Listen => matches!(self, Self::Tcp),
        }
    }
}

/// Where a test's plain peer finds a connection to be made.
#[derive(Clone)]
pub enum Place {
    Tcp(SocketAddr),
}

impl Place {
    /// Where a port is.
    pub fn of(port: &Port) -> Self {
        match port.address() {
            Address::Tcp(address) => Self::Tcp(address),
            other => panic!("{other:?}"),
        }
    }

    pub fn connect(&self) -> Peer {
        match self {
            Self::Tcp(address) => super::connect(*address).into(),
        }
    }

    /// As a client of TCP wants it.
    pub fn tcp(&self) -> SocketAddr {
        match self {
            Self::Tcp(address) => *address,
        }
    }
}

impl From<SocketAddr> for Place {
    fn from(address: SocketAddr) -> Self {
        Self::Tcp(address)
    }
}
