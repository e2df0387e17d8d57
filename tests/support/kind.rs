//! The kinds of connection: how each is made, how a test's plain peer reaches it, and what it can do.

use std::net::SocketAddr;
#[cfg(unix)]
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

#[cfg(unix)]
use torsade::UnixName;

use torsade::prelude::*;

#[cfg(unix)]
use super::making::Maker;
use super::peer::Peer;

/// What the two ends of a connection are.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Kind {
    Tcp,
    /// UNIX sockets by path.
    #[cfg(unix)]
    Unix,
    /// A pair of UNIX sockets, one of which was adopted.
    #[cfg(unix)]
    Pair,
    /// Standard input and output of a process, which are two pipes.
    #[cfg(unix)]
    StdioPipes,
    /// Standard input and output of a process, which are one socket.
    #[cfg(unix)]
    StdioSocket,
}

/// What some kinds can do and others cannot. A test names those it needs, and is skipped where one is missing.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Ability {
    /// A port makes it, whose factory may refuse.
    Listen,
    /// A process can have several at a time.
    Several,
    /// It can be reset: the peer always sees that, whatever has been sent and read before.
    Reset,
    /// The side that closes keeps taking what the peer sends until the peer ends its stream too.
    Linger,
}

impl Kind {
    /// All kinds but TCP that parallel tests can have at the same time.
    #[cfg(unix)]
    pub const OTHERS: &[Self] = &[Self::Unix, Self::Pair];
    #[cfg(not(unix))]
    pub const OTHERS: &[Self] = &[];

    /// Those of which a process has only one, so that a test needs its own process.
    #[cfg(unix)]
    pub const OF_A_PROCESS: &[Self] = &[Self::StdioPipes, Self::StdioSocket];

    pub const fn can(self, ability: Ability) -> bool {
        match self {
            Self::Tcp => true,
            #[cfg(unix)]
            Self::Unix => match ability {
                Ability::Listen | Ability::Several | Ability::Linger => true,
                Ability::Reset => false,
            },
            #[cfg(unix)]
            Self::Pair => match ability {
                Ability::Several | Ability::Linger => true,
                Ability::Listen | Ability::Reset => false,
            },
            #[cfg(unix)]
            Self::StdioPipes | Self::StdioSocket => match ability {
                Ability::Listen | Ability::Several | Ability::Reset | Ability::Linger => false,
            },
        }
    }

    /// Returns whether it has all these abilities; prints a message if not.
    pub fn can_all(self, needs: &[Ability]) -> bool {
        let missing = needs.iter().find(|need| !self.can(**need));
        if let Some(missing) = missing {
            println!("skipped over {self:?}: it has no ability to {missing:?}");
        }
        missing.is_none()
    }
}

/// Where a test's plain peer can connect.
#[derive(Clone)]
pub enum Place {
    Tcp(SocketAddr),
    #[cfg(unix)]
    Unix(PathBuf),
    #[cfg(unix)]
    Made(Maker),
}

impl Place {
    /// The address of a port.
    pub fn of(port: &Port) -> Self {
        match port.address() {
            Address::Tcp(address) => Self::Tcp(address),
            #[cfg(unix)]
            Address::Unix(UnixName::Path(path)) => Self::Unix(path),
            other => panic!("{other:?}"),
        }
    }

    pub fn connect(&self) -> Peer {
        match self {
            Self::Tcp(address) => super::connect(*address).into(),
            #[cfg(unix)]
            Self::Unix(path) => UnixStream::connect(path).expect("the server listens").into(),
            #[cfg(unix)]
            Self::Made(maker) => maker.connect(),
        }
    }

    /// The address, for a TCP client.
    pub fn tcp(&self) -> SocketAddr {
        match self {
            Self::Tcp(address) => *address,
            #[cfg(unix)]
            Self::Unix(_) | Self::Made(_) => panic!("it is not over TCP"),
        }
    }
}

impl From<SocketAddr> for Place {
    fn from(address: SocketAddr) -> Self {
        Self::Tcp(address)
    }
}

pub fn socket_path() -> PathBuf {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let number = COUNT.fetch_add(1, Ordering::Relaxed);
    std::env::temp_dir().join(format!("torsade-test-{}-{number}.sock", std::process::id()))
}
